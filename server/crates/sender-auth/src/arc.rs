//! ARC: what those say who handed the message on.
//!
//! Standards: RFC 8617. Limit: 50 sets, the standard's own.

use mail_auth::{AuthenticatedMessage, DkimResult, MessageAuthenticator};

use crate::dkim::{KeyRecords, key_question, told};
use crate::lookups::Lookups;
use crate::outcome::Outcome;
use crate::view::View;

/// The chain of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArcFinding {
    pub outcome: Outcome,
    pub reason: Option<String>,
    /// Who sealed, the latest last.
    pub sealers: Vec<String>,
    /// Whether the latest seal says that the chain was broken before it: nothing is sealed on top of that.
    pub is_closed: bool,
}

impl ArcFinding {
    /// Whether the chain holds, and its last seal is by one of these.
    pub(crate) fn is_by(&self, trusted: &[String]) -> bool {
        self.outcome == Outcome::Pass
            && self
                .sealers
                .last()
                .is_some_and(|last| trusted.iter().any(|one| one.eq_ignore_ascii_case(last)))
    }
}

pub(crate) async fn check(
    library: &MessageAuthenticator,
    lookups: &Lookups<'_>,
    message: &AuthenticatedMessage<'_>,
) -> ArcFinding {
    let view = View::new(lookups, KeyRecords);
    let seals = message.as_headers.iter().map(|header| key_question(&header.header));
    let last = message.ams_headers.last().map(|header| key_question(&header.header));
    // A name once, however many seals are by it.
    let mut keys: Vec<_> = Vec::new();
    for key in seals.chain(last) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    if message.as_headers.len() <= MAX_SETS {
        lookups.ask(keys).await;
    }
    let has_any =
        !(message.as_headers.is_empty() && message.ams_headers.is_empty() && message.aar_headers.is_empty());
    loop {
        view.begin();
        let output = library.verify_arc(view.asking(message)).await;
        if view.settle().await.is_none() {
            continue;
        }
        let (outcome, reason) = match output.result() {
            DkimResult::Pass => (Outcome::Pass, None),
            //= RFC 8617 section 5.2: a set of which a field is missing is no chain that passes, nor none.
            DkimResult::None if has_any => (Outcome::Fail, Some("a set is not complete".to_owned())),
            DkimResult::None => (Outcome::None, None),
            //= RFC 8617 section 5.2: a chain that cannot be verified has failed.
            DkimResult::Neutral(error) | DkimResult::Fail(error) | DkimResult::PermError(error) => {
                (Outcome::Fail, Some(told(error)))
            }
            DkimResult::TempError(error) => (Outcome::TempError, Some(told(error))),
        };
        let sealers = message.as_headers.iter().map(|header| header.header.d.to_ascii_lowercase()).collect();
        let is_closed = outcome != Outcome::None && !output.can_be_sealed();
        return ArcFinding { outcome, reason, sealers, is_closed };
    }
}

/// Sets of one chain.
const MAX_SETS: usize = 50;
