//! Sender authentication: whether a message is from whom it says it is, and signatures that say so of ours.
//!
//! ```text
//! content + origin -> Verifier -> Evaluation -> Authentication-Results, findings for plugins, a verdict by Policy
//! content -> Signers -> content with signatures, or with one more ARC set
//! ```
//!
//! The checks are the library's ([`mail_auth`]), which never asks DNS: it is answered from what [`dns::Resolver`] said (`view`), so
//! that cache, limits and failures are the server's own. What the library lets pass and the standards do not is held here, each at its check:
//! `spf`, `dkim`, `arc`, `dmarc`. Bodies are hashed in pieces (`body`).
//!
//! Standards: RFC 7208 (SPF), 6376, 8301 and 8463 (DKIM), 7489 and 9989 (DMARC), 8617 (ARC), 8601 (Authentication-Results).
//! Limits: [`Limits`]; SPF's own. Errors: only of the content's source; whatever a message or DNS says is an [`Outcome`].
//! Cancel safety: dropping an evaluation abandons its lookups.
//! Known gaps: the explanation of an SPF record is not fetched; `pct` of DMARC counts only when it is 0; third-party
//! signatures (ATPS) are not looked for.

mod arc;
mod body;
mod dkim;
mod dmarc;
mod key;
mod lookups;
mod outcome;
mod policy;
mod results;
mod rules;
mod signer;
mod spf;
mod survey;
mod tags;
mod verifier;
mod view;

pub use arc::ArcFinding;
pub use dkim::DkimFinding;
pub use dmarc::{Disposition, DmarcFinding};
pub use key::{Key, KeyError, KeyKind, RSA_BITS, zone_line};
pub use outcome::Outcome;
pub use policy::{Action, Policy};
pub use results::{on_top, without_forged};
pub use rules::{Checked, Rules};
pub use signer::{MAX_SIGNATURES, NamedKey, Signers};
pub use spf::{MAX_VOIDS, SpfFinding};
pub use survey::{Level, Remark, published, survey};
pub use verifier::{Evaluation, Limits, Origin, Verifier};
