//! `sendmail`: the command that programs on a host send mail with. It hands a message to the server over its submission socket, where it goes
//! through the same stages as any other session; it queues nothing itself.
//!
//! Standards: RFC 5321, RFC 6409, RFC 3461 (-N, -R, -V). Exit codes: sysexits.h, [`Exit`].
//! Limits: a message of 512 MiB.
//! Known gaps: while the server is down nothing is kept: the command exits with 75, and whoever called it tries again.

mod arguments;
mod exit;
mod handover;
mod letter;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::Result;
use nix::unistd::{User, getuid};

pub(crate) use arguments::{Called, invoked_as};
pub(crate) use exit::{Exit, Failed};

use super::queue;
use crate::cli::{ConfigFile, Queue, QueueFilter, QueueList, Reading, Sendmail};
use handover::Handover;
use letter::Letter;

/// Where a server of the whole machine listens; its configuration may be nobody else's to read.
const SYSTEM_SOCKET: &str = "/run/waxwing/submission.sock";
/// Octets of a message.
const MAX_OCTETS: u64 = 512 << 20;

/// Does what was asked. The error, if there is one, is an [`Exit`].
pub(crate) fn sendmail(options: &Sendmail) -> Result<()> {
    match options.mode.as_deref().unwrap_or("m") {
        "m" => Ok(send(options)?),
        "s" => Ok(speak(options)?),
        "p" => list(options),
        // There is no table of aliases to build: the configuration has them.
        "i" => Ok(()),
        mode => Err(Exit::Usage
            .because(format!("-b{mode} is not for this command; the server is run by waxwing serve"))
            .into()),
    }
}

/// Sends the message on standard input.
fn send(options: &Sendmail) -> Result<(), Failed> {
    let ends_at_dot = !options.ignore_dots && !options.options.iter().any(|option| option.starts_with('i'));
    let octets = read_message(ends_at_dot)?;
    let user = User::from_uid(getuid()).ok().flatten();
    let name = user.as_ref().map_or_else(|| format!("uid{}", getuid()), |user| user.name.clone());
    let session = Handover::begin(connect(options)?)?;
    let letter = Letter::new(options, octets, &name, user.as_ref(), session.server_name())?;
    session.send(&letter)
}

/// A message up to the end of standard input, or to a line that is a dot.
fn read_message(ends_at_dot: bool) -> Result<Vec<u8>, Failed> {
    let mut octets = Vec::new();
    let read = std::io::stdin().lock().take(MAX_OCTETS + 1).read_to_end(&mut octets);
    read.map_err(|error| Exit::NoInput.because(format!("standard input cannot be read: {error}")))?;
    if octets.len() as u64 > MAX_OCTETS {
        return Err(Exit::Data.because("the message is larger than 512 MiB"));
    }
    if ends_at_dot {
        let mut at = 0;
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            if matches!(line, b".\n" | b".\r\n" | b".") {
                octets.truncate(at);
                break;
            }
            at += line.len();
        }
    }
    Ok(octets)
}

/// SMTP between standard input and output and the server, which knows who speaks.
fn speak(options: &Sendmail) -> Result<(), Failed> {
    let broken = |error: std::io::Error| Exit::TempFail.because(format!("the server broke off: {error}"));
    let stream = connect(options)?;
    let mut from_server = stream.try_clone().map_err(broken)?;
    let mut to_server = stream;
    // It ends with the server's last word; what is still typed then is nobody's to hear.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut to_server);
        let _ = to_server.shutdown(std::net::Shutdown::Write);
    });
    let mut out = std::io::stdout().lock();
    let mut octets = [0; 8 << 10];
    loop {
        match from_server.read(&mut octets).map_err(broken)? {
            0 => return Ok(()),
            // Whoever does not read any more has hung up.
            count if out.write_all(&octets[..count]).and_then(|()| out.flush()).is_err() => return Ok(()),
            _ => {}
        }
    }
}

/// What `mailq` shows; for whoever may look into the queue.
fn list(options: &Sendmail) -> Result<()> {
    let filter =
        QueueFilter { state: None, domain: None, sender: None, recipient: None, reason: None, older: None };
    let reading = Reading { file: ConfigFile { config: options.config.clone() }, json: false };
    let listed =
        queue::queue(Queue::List(QueueList { filter, limit: None, after: None, counts: false, reading }));
    listed.map_err(|error| Exit::Unavailable.because(format!("{error:#}")).into())
}

/// The server's submission socket: that of the configuration, where it can be read, and the whole machine's otherwise.
fn connect(options: &Sendmail) -> Result<UnixStream, Failed> {
    let named = config::Config::submission_socket(options.config.as_deref());
    let places: Vec<PathBuf> = match (named, &options.config) {
        (Ok(named), _) => vec![named],
        (Err(faults), Some(_)) => return Err(Exit::Config.because(faults.to_string())),
        (Err(_), None) => Vec::new(),
    };
    let mut refusal = None;
    for place in places.iter().map(PathBuf::as_path).chain([Path::new(SYSTEM_SOCKET)]) {
        match UnixStream::connect(place) {
            Ok(stream) => return Ok(stream),
            Err(error) => _ = refusal.get_or_insert_with(|| format!("{}: {error}", place.display())),
        }
    }
    let why = refusal.unwrap_or_default();
    Err(Exit::TempFail
        .because(format!("the mail server does not take mail at the moment, try again later ({why})")))
}
