//! clamd, through the server. Needs the grant `clamd` with its address (`clamd = "unix:/run/clamav/clamd.ctl"`).
//!
//! The server streams the message itself, so that one of any size costs the plugin nothing.

use crate::{Error, host};

/// Has the message looked at as it stands now, edits included: the name of what was found in it, if anything was.
///
/// # Errors
/// [`Error::Denied`] when no clamd is granted; [`Error::Quota`] when the message is larger than clamd takes, or after too many scans in a hook (three by default);
/// [`Error::TimedOut`]; [`Error::Unavailable`] when clamd is not there or fails, and in other hooks than `message`.
pub fn scan() -> Result<Option<String>, Error> {
    host::scan()
}
