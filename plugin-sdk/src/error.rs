//! What a call to the server can answer instead of a value.

use std::fmt;

/// Why the server did not do what the plugin asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The plugin's `grants` in the server's configuration do not name this service.
    Denied,
    /// A limit of the plugin is reached: calls, bytes or keys.
    Quota,
    /// There is no such thing.
    NotFound,
    /// The service did not answer in time.
    TimedOut,
    /// What the plugin gave makes no sense; the text says why.
    BadInput(String),
    /// The service does not work now, or not in this hook.
    Unavailable(String),
}

impl Error {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Error::Quota | Error::TimedOut | Error::Unavailable(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Denied => f.write_str("not granted"),
            Error::Quota => f.write_str("over the limit"),
            Error::NotFound => f.write_str("not found"),
            Error::TimedOut => f.write_str("timed out"),
            Error::BadInput(why) => write!(f, "bad input: {why}"),
            Error::Unavailable(why) => write!(f, "unavailable: {why}"),
        }
    }
}

impl std::error::Error for Error {}
