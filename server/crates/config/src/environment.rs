//! What the process was given by whoever started it. Nothing else reads the environment.

#![expect(clippy::disallowed_methods, reason = "this is the one room where the environment is read")]

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
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
/// What the sockets are that such a server left to itself: the process's id, and a line for each with the descriptor's number, the address
/// that it was bound for or `-`, and the listener's name, with tabs between. systemd's names have no room for that, nor for a colon.
const SOCKETS: &str = "WAXWING_SOCKETS";

/// A socket that a server leaves to itself.
#[derive(Debug, Clone)]
pub struct Bequest {
    /// Its descriptor's.
    pub number: i32,
    /// Its listener's, or [`OF_PROGRAMS`].
    pub name: String,
    /// The address that it was bound for, if this server bound it.
    pub asked: Option<SocketAddr>,
}

impl Bequest {
    fn line(&self) -> String {
        let asked = self.asked.map_or_else(|| "-".to_owned(), |address| address.to_string());
        format!("{}\t{asked}\t{}", self.number, self.name)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.splitn(3, '\t');
        let (number, asked, name) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?.to_owned());
        Some(Self { number, name, asked: asked.parse().ok() })
    }
}

/// What a server that begins anew as the same process is to find in its environment: its sockets, and whether it is in its sandbox already.
pub fn heritage(sockets: &[Bequest], is_sandboxed: bool) -> Vec<(&'static str, String)> {
    // systemd's protocol: all from 3 on, each with a name.
    let last = sockets.iter().map(|socket| socket.number).max().unwrap_or(2);
    let is_known = |number| sockets.iter().any(|socket| socket.number == number);
    let names: Vec<&str> = (3..=last).map(|number| if is_known(number) { "" } else { UNUSED }).collect();
    let (count, process) = (names.len().to_string(), std::process::id().to_string());
    let lines: Vec<_> = sockets.iter().map(Bequest::line).collect();
    let mut variables = vec![
        ("LISTEN_FDS", count),
        ("LISTEN_FDNAMES", names.join(":")),
        ("LISTEN_PID", process.clone()),
        (SOCKETS, format!("{process}\n{}", lines.join("\n"))),
    ];
    // A child of this process has another id, so that it is no news to it.
    variables.push((SANDBOXED, if is_sandboxed { process } else { String::new() }));
    variables
}

/// Whether this process was in its sandbox before it began anew.
pub fn is_sandboxed() -> bool {
    std::env::var(SANDBOXED).is_ok_and(|process| process == std::process::id().to_string())
}

/// What this process left to itself, by the numbers of descriptors. Nothing when it was started from outside.
fn bequests() -> HashMap<i32, Bequest> {
    let text = std::env::var(SOCKETS).unwrap_or_default();
    let mut lines = text.lines();
    // A child of such a process has another id, so that it is no news to it.
    if lines.next() != Some(std::process::id().to_string().as_str()) {
        return HashMap::new();
    }
    lines.filter_map(Bequest::parse).map(|socket| (socket.number, socket)).collect()
}

/// The sockets that whoever started the server had bound already: systemd's LISTEN_FDS and LISTEN_FDNAMES. They are handed out
/// once.
///
/// # Errors
/// What was handed over is no TCP socket, nor a Unix one of the name `sendmail`.
pub fn inherited_sockets() -> io::Result<(Vec<Inherited>, Option<OfPrograms>)> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut given = ListenFd::from_env();
    let mut bequests = bequests();
    let (mut sockets, mut of_programs) = (Vec::new(), None);
    for (nth, number) in (0..given.len()).zip(3..) {
        let name = names.next().filter(|name| !name.is_empty()).map(str::to_owned);
        let (name, asked, is_own) = match bequests.remove(&number) {
            Some(socket) => (Some(socket.name), socket.asked, true),
            None => (name, None, false),
        };
        if name.as_deref() == Some(UNUSED) {
            continue;
        }
        if name.as_deref() == Some(OF_PROGRAMS) {
            of_programs = given.take_unix_listener(nth)?.map(|socket| OfPrograms { socket, is_own });
            continue;
        }
        if let Some(socket) = given.take_tcp_listener(nth)? {
            sockets.push(Inherited { name, asked, socket });
        }
    }
    Ok((sockets, of_programs))
}

/// A socket where programs of this host hand mail over.
#[derive(Debug)]
pub struct OfPrograms {
    pub socket: UnixListener,
    /// This server bound it, before it began anew.
    pub is_own: bool,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_leaves_to_itself_is_read_as_it_was_written() {
        let asked: SocketAddr = "[::1]:25".parse().unwrap();
        for (name, asked) in [("mx:1\u{e9} x", Some(asked)), ("sendmail", None)] {
            let read = Bequest::parse(&Bequest { number: 7, name: name.to_owned(), asked }.line()).unwrap();
            assert_eq!((read.number, &*read.name, read.asked), (7, name, asked));
        }
    }
}
