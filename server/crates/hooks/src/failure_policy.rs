//! What counts when a filter that has to be asked gives no answer.

use model::Reply;
use serde::Serialize;

use crate::Verdict;

/// What a stage's answer is when a plugin or a milter fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// 451 4.3.0: the client comes again.
    #[default]
    Tempfail,
    /// As if the filter were not there.
    Proceed,
    /// The message is accepted and held.
    Quarantine,
}

impl OnFailure {
    /// The verdict for the filter of this name; nothing: go on.
    pub fn verdict(self, name: &str) -> Option<Verdict> {
        match self {
            Self::Proceed => None,
            Self::Quarantine => Some(Verdict::Quarantine(format!("the mail filter {name} failed"))),
            Self::Tempfail => {
                let text = "temporary failure in a mail filter, please try again";
                Some(Verdict::TempFail(Reply::new(451, (4, 3, 0), text)))
            }
        }
    }
}
