//! TLS-RPT: sessions counted for the domains that mail is for, and the reports sent once a day is over.
//!
//! Sessions that carry such a report are not counted, and reports have the null reverse-path: no report begets another. What is counted
//! is written once a minute and when the server stops.
//!
//! Standards: RFC 8460 (3 who wants reports, 4.3 result types, 5 how they are sent).
//! Known gaps: where a domain asks nothing of its hosts, its sessions are shared with other domains and not counted (`no-policy-found` is reported of
//! domains alone whose MX records are proven and whose hosts have no TLSA records); a record set of which nothing is usable is counted as a success under TLS; a message is not signed with DKIM.

use std::sync::Arc;
use std::time::Duration;

use model::{Content, Envelope, Mailbox, ReversePath};
use queue::Entry;
use smtp::client::{Failure as SessionFailure, Step};
use tls::client::CertificateFault;
use tls_policy::report::{self, Applied, Day, Failure, Kind, Ledger, ResultType, Rua};

use crate::engine::Inner;
use crate::mx::{Address, Endpoint};
use crate::opening::OpenError;
use crate::options::TlsReportOptions;

/// Between two looks at what is to be written and sent.
const PAUSE: Duration = Duration::from_secs(60);

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
        self.ledger.count(policy, failure, clock::wall());
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

/// Writes and sends until the engine stops.
pub(crate) async fn run(inner: Arc<Inner>, ledger: Arc<Ledger>) {
    while !inner.is_stopping() {
        if let Some(options) = inner.options().tls_report.clone() {
            for (day, domain) in ledger.due(clock::wall()) {
                if inner.is_stopping() {
                    break;
                }
                if tell(&inner, &ledger, (day, &domain), &options).await {
                    ledger.done(day, &domain);
                }
            }
        }
        write(&ledger).await;
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = inner.stopped() => {}
        }
    }
    write(&ledger).await;
}

async fn write(ledger: &Arc<Ledger>) {
    let ledger = Arc::clone(ledger);
    match tokio::task::spawn_blocking(move || ledger.write()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the counts of TLS sessions cannot be written"),
        Err(error) => tracing::error!(%error, "the counts of TLS sessions cannot be written"),
    }
}

/// Sends a domain its report; whether it has been told, or does not want to be.
async fn tell(
    inner: &Arc<Inner>,
    ledger: &Ledger,
    (day, domain): (Day, &str),
    options: &TlsReportOptions,
) -> bool {
    let records = match inner.resolver.txt(&format!("_smtp._tls.{domain}")).await {
        Ok(records) => records,
        Err(error) => return !error.is_temporary(),
    };
    let Some(report) = report::compressed(ledger, day, domain, &options.reporter) else { return true };
    let addresses = report::addresses(records.iter().map(String::as_str));
    let mut is_told = addresses.is_empty();
    for address in addresses {
        is_told |= match address {
            Rua::Mail(mailbox) => mail(inner, &mailbox, (day, domain), &report, options).await,
            Rua::Https(address) => {
                let tls = inner.options().tls.web_pki();
                let posted = report::post(inner.resolver.as_ref(), &tls, &address, report.clone()).await;
                match posted {
                    Ok(()) => tracing::info!(domain, address, "a TLS report was handed over"),
                    Err(ref error) => tracing::warn!(domain, error, "a TLS report was not taken"),
                }
                posted.is_ok()
            }
        };
    }
    is_told
}

/// Queues a report for a mailbox; a mailbox that is none is passed over.
async fn mail(
    inner: &Arc<Inner>,
    mailbox: &str,
    about: (Day, &str),
    report: &[u8],
    options: &TlsReportOptions,
) -> bool {
    let domain = about.1;
    let Ok(to) = Mailbox::parse(mailbox) else {
        tracing::warn!(domain, mailbox, "a TLS report is wanted by what is no mailbox");
        return true;
    };
    let (id, now) = (inner.store.new_id(), clock::wall());
    let text = report::letter((id, now), &to, about, report, &options.reporter);
    let content = Content::from(bytes::Bytes::from(text));
    let mut envelope = Envelope::new(ReversePath::Null, Vec::new());
    envelope.add_recipient(to.clone(), to, Vec::new());
    let entry = Arc::new(Entry::new(id, envelope, content.len(), now, None));
    match inner.store.commit(Arc::clone(&entry), content.clone()).await {
        Ok(()) => {
            tracing::info!(queue_id = %id, domain, mailbox, "a TLS report is on its way");
            inner.take(entry, content);
            true
        }
        Err(error) => {
            tracing::error!(domain, %error, "a TLS report could not be queued");
            false
        }
    }
}
