//! `sendmail`: the command that programs on a host send mail with. It hands a message to the server over its submission socket, where it goes
//! through the same stages as any other session.
//!
//! Standards: RFC 5321, RFC 6409, RFC 3461 (-N, -R, -V). Exit codes: sysexits.h, [`Exit`].
//! Limits: a message of 512 MiB.
//! Errors: while the server cannot be reached the message is left in a folder where the server finds it ([`crate::drops`]), and the command has
//! succeeded. Where there is no such folder it exits with 75, and whoever called it tries again.

mod arguments;
mod exit;
mod handover;
mod letter;
mod order;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::Result;
use model::Domain;
use nix::unistd::{User, getuid};

pub(crate) use arguments::{Called, invoked_as};
pub(crate) use exit::{Exit, Failed};
pub(crate) use handover::{Broken, Handover, Interrupted, Refusal};
pub(crate) use letter::Letter;
pub(crate) use order::Order;

use super::queue;
use crate::cli::{ConfigFile, Queue, QueueFilter, QueueList, Reading, Sendmail};
use crate::drops;

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
    let order = Order::from(options);
    let letter = |host: &Domain| Letter::new(&order, &octets, &name, user.as_ref(), host);
    let begun = connect(options).and_then(|stream| {
        Handover::begin(stream).map_err(|broken| Unreachable { failed: broken.into(), is_forbidden: false })
    });
    let session = match begun {
        Ok(session) => session,
        Err(Unreachable { failed, is_forbidden: false }) if failed.exit == Exit::TempFail => {
            // What no server would take is said now, while somebody listens.
            let somewhere =
                Domain::parse("localhost").map_err(|error| Exit::Config.because(error.to_string()))?;
            letter(&somewhere)?;
            return leave(options, &order, &octets, failed);
        }
        Err(unreachable) => return Err(unreachable.failed),
    };
    let letter = letter(session.server_name())?;
    match session.send(&letter) {
        Ok(refusals) => refused(&refusals),
        // Whether the server has it nobody knows: it may arrive twice, and is not lost.
        Err(Interrupted { broken, left, refusals }) => {
            let failed = Failed::from(broken);
            match failed.exit {
                Exit::TempFail => leave(options, &order.only_to(&left), &octets, failed)?,
                _ => return Err(failed),
            }
            refused(&refusals)
        }
    }
}

/// The first that was refused says how the command ends; the others were sent to.
fn refused(refusals: &[Refusal]) -> Result<(), Failed> {
    let Some(first) = refusals.first() else { return Ok(()) };
    let said: Vec<String> =
        refusals.iter().map(|refusal| format!("{}: {}", refusal.recipient.address, refusal.reply)).collect();
    Err(Exit::of(&first.reply).because(said.join("\nwaxwing: ")))
}

/// Leaves the message where the server finds it. The error is why it could not be handed over, when it cannot be left either.
fn leave(options: &Sendmail, order: &Order, octets: &[u8], failed: Failed) -> Result<(), Failed> {
    let folder = match config::Config::of_programs(options.config.as_deref()) {
        Ok(places) => places.drop_dir,
        // Its configuration may be nobody else's to read.
        Err(_) => Some(PathBuf::from(config::SYSTEM_DROP_DIR)),
    };
    let Some(folder) = folder else { return Err(failed) };
    drops::leave(&folder, order, octets).map_err(|error| {
        Exit::TempFail.because(format!("{failed}; nor can it be left in {}: {error}", folder.display()))
    })
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
    let stream = connect(options).map_err(|unreachable| unreachable.failed)?;
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

/// Why there is no session.
struct Unreachable {
    failed: Failed,
    /// The socket is there, and not for this user.
    is_forbidden: bool,
}

/// The server's submission socket: that of the configuration, where it can be read, and the whole machine's otherwise.
fn connect(options: &Sendmail) -> Result<UnixStream, Unreachable> {
    let named = config::Config::of_programs(options.config.as_deref());
    let places: Vec<PathBuf> = match (named, &options.config) {
        (Ok(named), _) => vec![named.socket],
        (Err(faults), Some(_)) => {
            let failed = Exit::Config.because(faults.to_string());
            return Err(Unreachable { failed, is_forbidden: false });
        }
        (Err(_), None) => Vec::new(),
    };
    let (mut refusal, mut is_forbidden) = (None, false);
    for place in places.iter().map(PathBuf::as_path).chain([Path::new(config::SYSTEM_SOCKET)]) {
        match UnixStream::connect(place) {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                is_forbidden |= error.kind() == std::io::ErrorKind::PermissionDenied;
                let _ = refusal.get_or_insert_with(|| format!("{}: {error}", place.display()));
            }
        }
    }
    let why = refusal.unwrap_or_default();
    let failed = Exit::TempFail
        .because(format!("the mail server does not take mail at the moment, try again later ({why})"));
    Err(Unreachable { failed, is_forbidden })
}
