//! A scanner for viruses, for plugins that were granted one: what is asked, not how.

use std::fmt;
use std::time::Duration;

use model::Content;

use crate::FilterAddress;
use crate::session::BoxFuture;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    #[error("the message is larger than it takes")]
    TooLarge,
    #[error("{0}")]
    Failed(String),
}

/// Whoever asks the scanner.
pub trait Scanner: Send + Sync + fmt::Debug {
    /// The name of what was found in a message, if anything was.
    fn scan<'a>(
        &'a self,
        address: &'a FilterAddress,
        content: &'a Content,
        time: Duration,
    ) -> BoxFuture<'a, Result<Option<String>, ScanError>>;
}
