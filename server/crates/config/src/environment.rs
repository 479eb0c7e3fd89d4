//! What the process was given by whoever started it. Nothing else reads the environment.

#![expect(clippy::disallowed_methods, reason = "this is the one room where the environment is read")]

use std::io;
use std::os::unix::net::UnixListener;

use inbound::{Inherited, Insider};
use listenfd::ListenFd;
use sd_notify::NotifyState;

/// What the service manager is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The server accepts; also after a reload, however it went.
    Ready,
    Reloading,
    Stopping,
}

/// The name of the socket where programs of this host hand mail over.
pub const OF_PROGRAMS: &str = Insider::SENDMAIL;
/// The name of what is handed over and is no socket of ours.
const UNUSED: &str = "unused";
/// Set to the process's own id by a server that begins anew inside of its sandbox.
const SANDBOXED: &str = "WAXWING_SANDBOXED";

/// What a server that begins anew as the same process is to find in its environment: its sockets, by the numbers of their descriptors and the
/// names of their listeners, and whether it is in its sandbox already.
pub fn heritage(sockets: &[(i32, String)], is_sandboxed: bool) -> Vec<(&'static str, String)> {
    // systemd's protocol: all from 3 on, each with a name.
    let last = sockets.iter().map(|(number, _)| *number).max().unwrap_or(2);
    let name = |number| sockets.iter().find(|(known, _)| *known == number).map_or(UNUSED, |(_, name)| name);
    let names: Vec<&str> = (3..=last).map(name).collect();
    let (count, process) = (names.len().to_string(), std::process::id().to_string());
    let mut variables =
        vec![("LISTEN_FDS", count), ("LISTEN_FDNAMES", names.join(":")), ("LISTEN_PID", process.clone())];
    // A child of this process has another id, so that it is no news to it.
    variables.push((SANDBOXED, if is_sandboxed { process } else { String::new() }));
    variables
}

/// Whether this process was in its sandbox before it began anew.
pub fn is_sandboxed() -> bool {
    std::env::var(SANDBOXED).is_ok_and(|process| process == std::process::id().to_string())
}

/// The sockets that whoever started the server had bound already: systemd's LISTEN_FDS and LISTEN_FDNAMES. They are handed out
/// once.
///
/// # Errors
/// What was handed over is no TCP socket, nor a Unix one of the name `sendmail`.
pub fn inherited_sockets() -> io::Result<(Vec<Inherited>, Option<UnixListener>)> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut given = ListenFd::from_env();
    let (mut sockets, mut of_programs) = (Vec::new(), None);
    for nth in 0..given.len() {
        let name = names.next().filter(|name| !name.is_empty()).map(str::to_owned);
        if name.as_deref() == Some(UNUSED) {
            continue;
        }
        if name.as_deref() == Some(OF_PROGRAMS) {
            of_programs = given.take_unix_listener(nth)?;
            continue;
        }
        if let Some(socket) = given.take_tcp_listener(nth)? {
            sockets.push(Inherited { name, socket });
        }
    }
    Ok((sockets, of_programs))
}

/// Tells the service manager (sd_notify), if there is one that wants to know.
///
/// # Errors
/// It wants to know and cannot be reached.
pub fn notify(notice: Notice) -> io::Result<()> {
    match notice {
        Notice::Ready => sd_notify::notify(&[NotifyState::Ready]),
        Notice::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
        // The time tells the manager which reload this answers.
        Notice::Reloading => sd_notify::notify(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?]),
    }
}

/// The system's name for itself.
pub fn system_hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether the person at the terminal wants no colours (no-color.org).
pub fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}
