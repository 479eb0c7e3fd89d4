//! The server's side of the socket.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::calls::Services;
use crate::request::Request;
use crate::trace;

/// The socket's name in the data directory.
pub const SOCKET_NAME: &str = "control.sock";
/// Where the socket is made before it has its mode.
const MAKING: &str = ".control";
/// Octets of a request with its line end.
const MAX_REQUEST_OCTETS: u64 = 64 << 10;
/// Connections at once; others wait.
const MAX_CONNECTIONS: usize = 64;
/// How long a connection may be silent, and how long an answer may wait to be read.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause when the system has no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket that is bound. Dropping it removes it and ends its connections.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    listener: Option<UnixListener>,
    accepting: Option<JoinHandle<()>>,
}

impl ControlSocket {
    /// Binds the socket of this data directory, which has to be there. Replaces one that nobody listens at. Needs a tokio runtime.
    ///
    /// # Errors
    /// `AddrInUse` when another server listens there; what the system says otherwise.
    pub fn bind(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(SOCKET_NAME);
        remove_stale(&path)?;
        // Nobody else may look into the folder, so that the socket is never open to others, whatever the umask is.
        let making = data_dir.join(MAKING);
        let _ = fs::remove_dir_all(&making);
        fs::DirBuilder::new().mode(0o700).create(&making)?;
        let made = making.join("s");
        let bound = UnixListener::bind(&made).and_then(|listener| {
            fs::set_permissions(&made, fs::Permissions::from_mode(0o600))?;
            fs::rename(&made, &path)?;
            Ok(listener)
        });
        let _ = fs::remove_dir_all(&making);
        Ok(Self { path, listener: Some(bound?), accepting: None })
    }

    /// Begins to answer. A second call does nothing.
    pub fn start(&mut self, services: Arc<Services>) {
        let Some(listener) = self.listener.take() else { return };
        self.accepting = Some(tokio::spawn(accept(listener, services)));
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
        // It may be gone already.
        let _ = fs::remove_file(&self.path);
    }
}

fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            let text = format!("{} is there and is no socket", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        Ok(_) => {}
    }
    match StdStream::connect(path) {
        Ok(_) => {
            let text = format!("another server listens at {}", path.display());
            Err(io::Error::new(io::ErrorKind::AddrInUse, text))
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

async fn accept(listener: UnixListener, services: Arc<Services>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Connections end with this task.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let services = Arc::clone(&services);
                connections.spawn(async move {
                    if let Err(error) = converse(stream, &services).await {
                        tracing::debug!(%error, "a control connection broke");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket does not accept");
                tokio::time::sleep(PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Answers a connection's requests one after the other, until it closes or breaks a limit.
async fn converse(stream: UnixStream, services: &Services) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut read).take(MAX_REQUEST_OCTETS);
        let Ok(count) = tokio::time::timeout(PATIENCE, limited.read_until(b'\n', &mut line)).await else {
            return send(&mut write, Err("no request came in time".to_owned())).await;
        };
        if count? == 0 {
            return Ok(());
        }
        if line.last() != Some(&b'\n') && line.len() as u64 == MAX_REQUEST_OCTETS {
            return send(&mut write, Err("the request is longer than 64 KiB".to_owned())).await;
        }
        let answer = match serde_json::from_slice::<Request>(&line) {
            Ok(Request::Trace { subject }) => {
                return trace::tell(&subject, &services.transcripts, &mut read, &mut write).await;
            }
            Ok(request) => services.answer(request).await.map_err(|refusal| refusal.to_string()),
            Err(error) => Err(format!("not a request: {error}")),
        };
        send(&mut write, answer).await?;
    }
}

async fn send(write: &mut (impl AsyncWriteExt + Unpin), answer: Result<Value, String>) -> io::Result<()> {
    let answer = match answer {
        Ok(value) => json!({ "ok": value }),
        Err(sentence) => json!({ "error": sentence }),
    };
    let mut line = answer.to_string();
    line.push('\n');
    let sent = tokio::time::timeout(PATIENCE, write.write_all(line.as_bytes())).await;
    sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
