//! What domains are told of the messages that came in their name: every day in sum, and of single failures.
//!
//! ```text
//! Evaluation + what became of it -> Ledger (by day and by domain) -> Published -> XML, gzip, letter
//! Evaluation + header ------------------------------------------------------> failure report
//! ```
//!
//! Standards: RFC 7489 sections 7 and 7.2, RFC 9990 (the format), RFC 9991 and 6591 (failures).
//! Limits: [`ROOM`], 4 policies a domain and day, 1,000 rows a policy; what is beyond is counted and named in the report. 4 addresses of a record.
//! Known gap: no report of errors goes to those whose report is too large for them (RFC 9990 has none any more).

mod address;
mod failure;
mod letter;
mod tally;
mod xml;

pub(crate) use address::addresses;
pub use address::{AGGREGATE, Address, FAILURE, destinations};
pub use failure::{FailureReport, Wanted};
pub use letter::letter;
pub use tally::{Ledger, Published, ROOM, Tallies, count};
pub use xml::compressed;

use message::HeaderBlock;

use crate::outcome::Outcome;
use crate::verifier::Evaluation;

/// Whether a message is a report itself, by a domain that it is from: of those no further report is made.
pub fn is_report(header: &HeaderBlock, evaluation: &Evaluation) -> bool {
    let value = |name: &str| {
        let value =
            header.all(name).next().map(|value| String::from_utf8_lossy(value).trim().to_ascii_lowercase());
        value.unwrap_or_default()
    };
    let kind = value("Content-Type");
    let is_of_kind = |name: &str| kind.starts_with("multipart/report") && kind.contains(name);
    evaluation.dmarc.outcome == Outcome::Pass
        && (value("Subject").starts_with("report domain:")
            || is_of_kind("feedback-report")
            || is_of_kind("tlsrpt"))
}
