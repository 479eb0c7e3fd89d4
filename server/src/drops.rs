//! The folder for mail that programs of this host send while the server is down: `sendmail` leaves it there, and the server takes it when it
//! starts, and every 5 s after that.
//!
//! A message is one file with its whole envelope. It is written under a name that the server does not look at, synced, renamed, and the folder
//! synced: then the command has succeeded. The server takes a file by another name, hands it in as a session of its owner's, through the same
//! limits, rules and hooks as over the socket, and removes it once the queue has it; a crash between the two sends it a second time, and never
//! loses it. The states of a file are in its name:
//!
//! - `t-*` is being written. A day later it is removed: whoever wrote it was never told that it was sent.
//! - `m-*` is whole; `c-*` as well, and the server has begun with it, now or before a crash.
//! - `x-*` was set aside, with a line in the log that says why. Nobody looks at it again but the postmaster.
//!
//! What is refused for good goes back to its sender by a report; what is refused for now is tried again, for five days.
//!
//! The folder is for everybody to write into and for nobody to list (mode 3733, the server's user and group), so `sendmail` needs no rights of
//! its own. Who sends, the file's owner says. A file counts if it was made in the folder by its owner alone: a regular one, with one link, of the
//! folder's group, which nobody else may write to; links are not followed. `sendmail.mode` and `sendmail.group` hold here too.
//!
//! Limits: [`file::MAX_HEAD_OCTETS`] of envelope; `limits.message-size`, beyond which it goes back; [`taking::AT_ONCE`] files a look.
//! Known gaps: what one user leaves there counts for no quota but the file system's.

mod file;
mod folder;
mod handing;
mod leaving;
mod taking;

#[cfg(test)]
mod tests;

pub(crate) use folder::make;
pub(crate) use leaving::leave;
pub(crate) use taking::{Options, start};

/// Names of files: being written, whole, begun with, set aside.
const WRITTEN: &str = "t-";
const WHOLE: &str = "m-";
const BEGUN: &str = "c-";
const ASIDE: &str = "x-";

/// The name that the same file has in another state.
fn in_state(state: &str, name: &str) -> String {
    format!("{state}{}", name.get(2..).unwrap_or_default())
}
