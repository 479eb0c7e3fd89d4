//! Sender authentication: whether a message is from whom it says it is, and signatures that say so of ours.
//!
//! ```text
//! content + origin -> Verifier -> Evaluation -> Authentication-Results, findings for plugins, a verdict by Policy
//! content -> Signers -> content with signatures, or with one more ARC set
//! Evaluation -> report: what the domains in whose name messages came are told of them
//! ```
//!
//! The checks are the library's ([`mail_auth`]), which never asks DNS: it is answered from what [`dns::Resolver`] said (`view`), so
//! that cache, limits and failures are the server's own. What the library lets pass and the standards do not is held here, each at its check:
//! `spf`, `dkim`, `arc`, `dmarc`. Bodies are hashed in pieces (`body`).
//!
//! Standards: RFC 7208 (SPF), 6376, 8301 and 8463 (DKIM), 7489, 9989 and 9990 (DMARC), 8617 (ARC), 8601 (Authentication-Results).
//! Limits: [`Limits`]; SPF's own. Errors: only of the content's source; whatever a message or DNS says is an [`Outcome`].
//! Cancel safety: dropping an evaluation abandons its lookups.
//! Known gap: third-party signatures (ATPS) are not looked for.

mod arc;
mod body;
mod dkim;
mod dmarc;
mod key;
mod lookups;
mod outcome;
mod policy;
mod renewal;
pub mod report;
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
pub use dmarc::{Disposition, DmarcFinding, Lowered};
pub use key::{Key, KeyError, KeyKind, RSA_BITS, zone_line};
pub use outcome::Outcome;
pub use policy::{Action, Applied, Override, Policy};
pub use results::{on_top, without_forged};
pub use rules::{Checked, Reports, Rules};
pub use signer::{MAX_SIGNATURES, NamedKey, Signers};
pub use spf::{MAX_EXPLANATION, MAX_VOIDS, SpfFinding};
pub use survey::{Level, Remark, published, survey};
pub use verifier::{Evaluation, Limits, Origin, Verifier};
