//! DMARC: domains are told what became of the messages that came in their name. When and how is [`crate::daily`]'s.
//!
//! Whom to tell is asked of the domain's record as it is when the day is over, and of each other domain whose mailbox it names.
//!
//! Standards: RFC 7489 section 7.2, 9990.

use std::sync::Arc;

use model::Mailbox;
use reporting::{Day, Reporter};
use sender_auth::report::{self, Tallies};

use crate::daily::{self, Told};
use crate::engine::Inner;
use crate::options::Options;

impl Told for Tallies {
    fn reporter(options: &Options) -> Option<&Reporter> {
        options.dmarc_report.as_ref().map(|told| &told.reporter)
    }

    async fn tell(self, inner: &Arc<Inner>, about: (Day, &str), reporter: &Reporter) -> bool {
        let domain = about.1;
        let addresses = match report::destinations(inner.resolver.as_ref(), domain, report::AGGREGATE).await {
            Ok(addresses) => addresses,
            Err(error) => {
                tracing::info!(domain, %error, "who wants the DMARC report cannot be asked yet");
                return false;
            }
        };
        let (mut is_queued, mut is_failed) = (false, false);
        for (nth, published) in self.0.iter().enumerate() {
            let Some(report) = report::compressed(published, about, nth, reporter) else { continue };
            for address in &addresses {
                let letter = |id, to: &Mailbox| report::letter(id, to, (about, nth), &report, reporter);
                //= RFC 7489 section 6.2: a report that is larger than the domain takes is not sent there.
                if address.max_octets.is_some_and(|most| report.len() as u64 > most) {
                    let (mailbox, octets) = (&address.mailbox, report.len());
                    tracing::warn!(
                        domain,
                        mailbox,
                        octets,
                        "the DMARC report is larger than is wanted there"
                    );
                    continue;
                }
                match daily::mail(inner, &address.mailbox, domain, letter).await {
                    true => is_queued = true,
                    false => is_failed = true,
                }
            }
        }
        // Who was told is not told again because another could not be.
        is_queued || !is_failed
    }
}
