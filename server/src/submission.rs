//! The socket where programs of this host hand their mail over: each connection is a session of the user whom the system names.
//!
//! Limits: those of sessions; 128 connections that wait to be accepted.

use std::fs::{self, Permissions};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use config::{Config, OfPrograms, SubmissionSocket};
use inbound::{Identity, Insider};
use nix::unistd::{Uid, User};
use rustix::fs::Mode;
use rustix::process::umask;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// What plugins and logs see in the place of a listener's name; also the name of a socket that is handed over.
const LISTENER: &str = config::OF_PROGRAMS;
/// How long accepting rests when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a client that is turned away may take to hear why.
const FAREWELL: Duration = Duration::from_secs(2);

/// Makes the socket, or takes one that was handed over. Comes before rights are given up: its folder may be root's.
///
/// # Errors
/// What is in its place, or what the system says, with its path.
pub(crate) fn bind(config: &Config, inherited: Option<OfPrograms>) -> Result<StdListener> {
    let options = &config.submission;
    let named = || format!("cannot listen at {}", options.path.display());
    let listener = match inherited {
        // Where it is, and whose, is up to whoever handed it over.
        Some(OfPrograms { socket, is_own: false }) => socket,
        // This server's own, from before it began anew, stays where it is still wanted.
        Some(OfPrograms { socket, .. }) if is_at(&socket, &options.path) => {
            if let Err(error) = open_to(options) {
                tracing::warn!(%error, socket = %options.path.display(), "the socket's mode and group stay as they were");
            }
            socket
        }
        before => {
            let made = make(options, config).with_context(named)?;
            before.iter().for_each(|before| remove(&before.socket));
            made
        }
    };
    listener.set_nonblocking(true).with_context(named)?;
    Ok(listener)
}

fn is_at(socket: &StdListener, path: &Path) -> bool {
    socket.local_addr().is_ok_and(|address| address.as_pathname() == Some(path))
}

/// Who calls at the old place hears that nothing is there.
fn remove(socket: &StdListener) {
    let address = socket.local_addr().ok();
    if let Some(path) = address.as_ref().and_then(|address| address.as_pathname()) {
        let _ = fs::remove_file(path);
    }
}

/// Who may call.
fn open_to(options: &SubmissionSocket) -> io::Result<()> {
    // A service manager may have taken away what this needs, and without a group nothing does.
    if options.group_id.is_some() {
        chown(&options.path, None, options.group_id)?;
    }
    fs::set_permissions(&options.path, Permissions::from_mode(options.mode))
}

fn make(options: &SubmissionSocket, config: &Config) -> Result<StdListener> {
    let path = &options.path;
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        fs::create_dir_all(folder)?;
        // Whatever the umask is: users go through it to the socket, unless it is the data directory.
        if folder != config.data_dir {
            fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        }
        give(folder, config)?;
    }
    remove_stale(path)?;
    // It has its mode from the first moment on: who calls while the server starts is not told that it may not.
    let before = umask(Mode::from_raw_mode(0o777 & !options.mode));
    let bound = StdListener::bind(path);
    umask(before);
    let listener = bound?;
    give(path, config)?;
    open_to(options)?;
    Ok(listener)
}

/// Gives what was made to whom the server becomes.
fn give(path: &Path, config: &Config) -> io::Result<()> {
    match &config.process.identity {
        Some(identity) if nix::unistd::geteuid().is_root() => {
            chown(path, Some(identity.user_id), Some(identity.group_id))
        }
        _ => Ok(()),
    }
}

fn remove_stale(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
        Ok(metadata) if !metadata.file_type().is_socket() => bail!("something is there that is no socket"),
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(fs::remove_file(path)?),
            _ => bail!("another server listens there"),
        },
    }
}

/// A socket that accepts; dropping it ends that. Sessions go on.
pub(crate) struct Accepting(JoinHandle<()>);

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Begins to accept. Needs a tokio runtime.
///
/// # Errors
/// What the runtime says of the socket.
pub(crate) fn start(listener: StdListener, inbound: Arc<inbound::Server>) -> io::Result<Accepting> {
    let listener = UnixListener::from_std(listener)?;
    Ok(Accepting(tokio::spawn(accept(listener, inbound))))
}

async fn accept(listener: UnixListener, inbound: Arc<inbound::Server>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => open(stream, &inbound).await,
            Err(error) => {
                tracing::warn!(listener = LISTENER, %error, "cannot accept connections for now");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn open(stream: UnixStream, inbound: &inbound::Server) {
    let Some(name) = stream.peer_cred().ok().and_then(|peer| user(peer.uid())) else {
        tracing::warn!(listener = LISTENER, "the system does not say who calls");
        return;
    };
    let insider = Insider {
        listener: LISTENER.into(),
        peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        identity: Identity::System(name),
    };
    let begun = stream.into_std().and_then(|stream| Ok((UnixStream::from_std(stream.try_clone()?)?, stream)));
    let Ok((stream, spare)) = begun else { return };
    if let Err(reply) = inbound.begin(stream, insider) {
        let mut wire = Vec::new();
        reply.write(true, &mut wire);
        if let Ok(mut spare) = UnixStream::from_std(spare) {
            // Whether the client hears it is up to the client.
            let _ = tokio::time::timeout(FAREWELL, spare.write_all(&wire)).await;
        }
    }
}

/// A user's name; one whom the system does not know has a number.
fn user(id: u32) -> Option<String> {
    match User::from_uid(Uid::from_raw(id)) {
        Ok(Some(user)) => Some(user.name),
        Ok(None) => Some(format!("uid{id}")),
        Err(_) => None,
    }
}
