//! TLS-RPT: sessions counted for the domains that mail is for, and the reports sent once a day is over.
//!
//! Sessions that carry such a report are not counted: no report begets another. When and how they are sent is [`crate::daily`]'s.
//!
//! Standards: RFC 8460 (3 who wants reports, 4.3 result types, 5 how they are sent).
//! Known gaps: where a domain asks nothing of its hosts, its sessions are shared with other domains and not counted (`no-policy-found` is reported of
//! domains alone whose MX records are proven and whose hosts have no TLSA records); a record set of which nothing is usable is counted as a success under TLS.

use std::sync::Arc;

use model::Mailbox;
use reporting::{Day, Reporter};
use smtp::client::{Failure as SessionFailure, Step};
use tls::client::CertificateFault;
use tls_policy::report::{self, Applied, Failure, Kind, Ledger, ResultType, Rua, Tallies};

use crate::daily::{self, Told};
use crate::engine::Inner;
use crate::mx::{Address, Endpoint};
use crate::opening::OpenError;
use crate::options::Options;

/// Counts for one domain, for as long as a connection is sought.
#[derive(Debug, Clone)]
pub(crate) struct Witness {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) domain: String,
}

impl Witness {
    /// A policy of the domain's.
    pub(crate) fn policy(
        &self,
        policy_type: Kind,
        policy_string: Vec<String>,
        mx_host: Vec<String>,
    ) -> Applied {
        Applied { policy_type, policy_string, policy_domain: self.domain.clone(), mx_host }
    }

    /// Notes a session, or why there was none.
    pub(crate) fn count(&self, policy: Applied, endpoint: Option<&Endpoint>, result: Option<ResultType>) {
        let failure = result.map(|result_type| Failure {
            result_type,
            receiving_mx_hostname: endpoint.map(|endpoint| endpoint.host.clone()),
            receiving_ip: endpoint.and_then(|endpoint| match &endpoint.address {
                Address::Tcp(address) => Some(address.ip().to_string()),
                Address::Unix(_) => None,
            }),
        });
        report::count(&self.ledger, policy, failure, clock::wall());
    }
}

/// What a failure counts as; nothing when it is not about TLS.
pub(crate) fn result_type(error: &OpenError, kind: Kind) -> Option<ResultType> {
    Some(match error {
        OpenError::Tls(error) => match error.certificate_fault() {
            Some(CertificateFault::Name) => ResultType::CertificateHostMismatch,
            Some(CertificateFault::Expired) => ResultType::CertificateExpired,
            Some(CertificateFault::Issuer) if kind == Kind::Sts => ResultType::StsWebpkiInvalid,
            Some(CertificateFault::Issuer) => ResultType::CertificateNotTrusted,
            Some(CertificateFault::Other) | None => ResultType::ValidationFailure,
        },
        OpenError::TlsTimeout | OpenError::Secured(_) => ResultType::ValidationFailure,
        OpenError::Session(SessionFailure::NoTls | SessionFailure::Refused { step: Step::StartTls, .. }) => {
            ResultType::StarttlsNotSupported
        }
        OpenError::Connect(_) | OpenError::Session(_) => return None,
    })
}

impl Told for Tallies {
    fn reporter(options: &Options) -> Option<&Reporter> {
        options.tls_report.as_ref().map(|told| &told.reporter)
    }

    async fn tell(self, inner: &Arc<Inner>, about: (Day, &str), reporter: &Reporter) -> bool {
        let (day, domain) = about;
        let records = match inner.resolver.txt(&format!("_smtp._tls.{domain}")).await {
            Ok(records) => records,
            Err(error) => return !error.is_temporary(),
        };
        let Some(report) = report::compressed(&self, day, domain, reporter) else { return true };
        let addresses = report::addresses(records.iter().map(String::as_str));
        let mut is_told = addresses.is_empty();
        for address in addresses {
            is_told |= match address {
                Rua::Mail(mailbox) => {
                    let letter = |id, to: &Mailbox| report::letter(id, to, about, &report, reporter);
                    daily::mail(inner, &mailbox, domain, letter).await
                }
                Rua::Https(address) => post(inner, domain, &address, report.clone()).await,
            };
        }
        is_told
    }
}

async fn post(inner: &Inner, domain: &str, address: &str, report: Vec<u8>) -> bool {
    let tls = inner.options().tls.web_pki();
    let posted = report::post(inner.resolver.as_ref(), &tls, address, report).await;
    match posted {
        Ok(()) => tracing::info!(domain, address, "a TLS report was handed over"),
        Err(ref error) => tracing::warn!(domain, error, "a TLS report was not taken"),
    }
    posted.is_ok()
}
