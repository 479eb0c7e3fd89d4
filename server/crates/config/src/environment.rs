//! What the process was given by whoever started it. Nothing else reads the environment.

#![expect(clippy::disallowed_methods, reason = "this is the one room where the environment is read")]

use std::io;

use inbound::Inherited;
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

/// The sockets that whoever started the server had bound already: systemd's LISTEN_FDS and LISTEN_FDNAMES. They are handed out
/// once.
///
/// # Errors
/// What was handed over is no TCP socket.
pub fn inherited_sockets() -> io::Result<Vec<Inherited>> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut given = ListenFd::from_env();
    let mut sockets = Vec::new();
    for nth in 0..given.len() {
        let name = names.next().filter(|name| !name.is_empty()).map(str::to_owned);
        if let Some(socket) = given.take_tcp_listener(nth)? {
            sockets.push(Inherited { name, socket });
        }
    }
    Ok(sockets)
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
pub(crate) fn system_hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether the person at the terminal wants no colours (no-color.org).
pub fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}
