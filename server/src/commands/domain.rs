//! `domain check`: a domain's mail as the world sees it.

use std::sync::Arc;

use anyhow::{Context, Result};
use config::Config;
use model::Domain;
use sender_auth::{Level, Remark, survey};
use tls_policy::{Fetcher, Https, Policy};

use super::dkim::tell;
use crate::cli::DomainCheck;

/// Looks at MX, PTR, DANE, SPF, DKIM, DMARC, MTA-STS and TLS-RPT, and says what is missing.
pub(crate) fn check(options: &DomainCheck) -> Result<()> {
    let domain = Domain::parse(&options.name).context("the domain")?.to_ascii();
    let config = Config::load(options.reading.file.config.as_deref())?;
    let keys = config.inbound.senders.as_ref().map(|rules| rules.signers.keys().to_vec()).unwrap_or_default();
    let authorities = tls::client::Connector::open(&config.outbound.authorities)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let remarks = runtime.block_on(async {
        let resolver: Arc<dyn dns::Resolver> = Arc::new(dns::Hickory::new(&config.dns).context("dns")?);
        let mut remarks = survey(&*resolver, &domain, &keys).await;
        if remarks.iter().any(|remark| remark.topic == "MTA-STS" && remark.level == Level::Good) {
            let fetcher = Https::new(Arc::clone(&resolver), authorities.web_pki(), 443);
            remarks.extend(policy(&fetcher, &*resolver, &domain).await);
        }
        anyhow::Ok(remarks)
    })?;
    tell(&remarks, options.reading.json)
}

/// What the policy that the MTA-STS record promises says of the mail hosts.
async fn policy(fetcher: &dyn Fetcher, resolver: &dyn dns::Resolver, domain: &str) -> Vec<Remark> {
    let say = |level, text: String| Remark { topic: "MTA-STS", level, text };
    let text = match fetcher.fetch(domain).await {
        Ok(text) => text,
        Err(fault) => return vec![say(Level::Bad, format!("the policy cannot be had: {fault}"))],
    };
    let policy = match Policy::parse(&text) {
        Ok(policy) => policy,
        Err(error) => return vec![say(Level::Bad, format!("the policy is not valid: {error}"))],
    };
    let hosts = resolver.mx(domain).await.unwrap_or_default();
    let outside: Vec<_> =
        hosts.iter().filter(|mx| !policy.allows(&mx.exchange)).map(|mx| mx.exchange.clone()).collect();
    match outside.is_empty() {
        true => vec![say(Level::Good, format!("the policy is valid: {}", policy.lines().join(", ")))],
        false => vec![say(
            Level::Bad,
            format!("the policy does not allow {}: mail stays away from there", outside.join(", ")),
        )],
    }
}
