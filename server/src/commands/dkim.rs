//! `dkim`: keys made, and held against what DNS says of them.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, Result, ensure};
use config::Config;
use model::Domain;
use sender_auth::{Key, KeyKind, Level, Remark, published, zone_line};
use serde_json::json;

use super::output::{print, print_json};
use crate::cli::{Algorithm, DkimGenerate, Reading};

/// Writes a new key to a file that nobody else may read, and prints the record to publish.
pub(crate) fn generate(options: &DkimGenerate) -> Result<()> {
    let domain = Domain::parse(&options.domain).context("--domain")?;
    let kind = match options.algorithm {
        Algorithm::Rsa => KeyKind::Rsa,
        Algorithm::Ed25519 => KeyKind::Ed25519,
    };
    let pem = Key::generate(kind)?;
    let key = Key::from_pem(pem.as_bytes())?;
    let named = || format!("cannot write {}", options.out.display());
    // A key that is there already signs somebody's mail: it is never written over.
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&options.out).with_context(named)?;
    file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).with_context(named)?;
    let name = format!("{}._domainkey.{}", options.selector, domain.to_ascii());
    print(&format!("{}\n", zone_line(&name, &key.record())))
}

/// Asks DNS for the record of each key in the configuration.
pub(crate) fn check(reading: &Reading) -> Result<()> {
    let config = Config::load(reading.file.config.as_deref())?;
    let keys = config.inbound.senders.as_ref().map(|rules| rules.signers.keys().to_vec()).unwrap_or_default();
    ensure!(!keys.is_empty(), "there is no [[dkim]] in {}", config.file.display());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let remarks = runtime.block_on(async {
        let resolver = dns::Hickory::new(&config.dns).context("dns")?;
        let mut remarks = Vec::new();
        for key in &keys {
            remarks.push(published(&resolver, key).await);
        }
        anyhow::Ok(remarks)
    })?;
    tell(&remarks, reading.json)
}

/// Shows what was found; fails when something is wrong.
pub(super) fn tell(remarks: &[Remark], as_json: bool) -> Result<()> {
    match as_json {
        true => {
            let value = |remark: &Remark| json!({"topic": remark.topic, "level": remark.level.name(), "text": remark.text});
            print_json(&remarks.iter().map(value).collect::<Vec<_>>())?;
        }
        false => {
            let line = |remark: &Remark| {
                format!(
                    "{:8}{:7}{}\n",
                    remark.topic,
                    remark.level.name(),
                    super::output::printable(&remark.text)
                )
            };
            print(&remarks.iter().map(line).collect::<String>())?;
        }
    }
    let wrong = remarks.iter().filter(|remark| remark.level == Level::Bad).count();
    ensure!(wrong == 0, "{wrong} of {} are wrong", remarks.len());
    Ok(())
}
