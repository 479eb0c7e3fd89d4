//! A milter that does what a test says, over a Unix socket.

use std::sync::Arc;

use hooks::FilterAddress;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::options::MilterOptions;

/// What the milter does when it has heard a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Does {
    /// Answers with these frames: code and what follows.
    Says(Vec<Vec<u8>>),
    /// Sends octets as they are.
    Raw(Vec<u8>),
    /// The same, and no more after that.
    RawThenCloses(Vec<u8>),
    Closes,
    /// Never answers.
    Hangs,
}

/// One answer.
pub(crate) fn says(frame: &[u8]) -> Does {
    Does::Says(vec![frame.to_vec()])
}

/// The answer to the negotiation.
pub(crate) fn agrees(actions: u32, steps: u32) -> Does {
    let mut frame = vec![b'O'];
    [6, actions, steps].into_iter().for_each(|number: u32| frame.extend(number.to_be_bytes()));
    Does::Says(vec![frame])
}

type Script = dyn Fn(&[u8]) -> Does + Send + Sync;

/// A running milter; it ends with its value.
pub(crate) struct Scripted {
    folder: TempDir,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    task: JoinHandle<()>,
}

impl Scripted {
    /// A milter that is asked what it does to each frame, code first.
    pub(crate) fn start(script: impl Fn(&[u8]) -> Does + Send + Sync + 'static) -> Self {
        let folder = TempDir::new().unwrap();
        let listener = UnixListener::bind(folder.path().join("milter")).unwrap();
        let heard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let (script, notes): (Arc<Script>, _) = (Arc::new(script), heard.clone());
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(converse(socket, script.clone(), notes.clone()));
            }
        });
        Self { folder, heard, task }
    }

    /// As [`Self::start`], with everything agreed on but what the script says, and `continue` where it says nothing.
    pub(crate) fn answering(answers: &'static [(u8, &'static [u8])]) -> Self {
        Self::start(move |frame| match answers.iter().find(|(code, _)| *code == frame[0]) {
            Some((_, answer)) => says(answer),
            None => usual(frame),
        })
    }

    pub(crate) fn options(&self) -> MilterOptions {
        MilterOptions::new("scripted", FilterAddress::Unix(self.folder.path().join("milter")))
    }

    /// What was heard, each command's code and its texts with spaces between them; macros are left out.
    pub(crate) fn heard(&self) -> Vec<String> {
        let line = |frame: &Vec<u8>| {
            String::from_utf8_lossy(frame).trim_end_matches('\0').replace('\0', " ").replace("\r\n", "~")
        };
        self.heard.lock().iter().filter(|frame| !matches!(frame[0], b'O' | b'D')).map(line).collect()
    }

    /// The macros that stood before a command, by its code.
    pub(crate) fn macros(&self, command: u8) -> String {
        let heard = self.heard.lock();
        let found = heard.iter().find(|frame| frame.starts_with(&[b'D', command]));
        found.map(|frame| String::from_utf8_lossy(&frame[2..]).replace('\0', " ")).unwrap_or_default()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Agrees to everything, and lets everything go on.
pub(crate) fn usual(frame: &[u8]) -> Does {
    match frame[0] {
        b'O' => agrees(0x1ff, 0),
        b'D' | b'A' => Does::Says(Vec::new()),
        b'Q' => Does::Closes,
        _ => says(b"c"),
    }
}

async fn converse(mut socket: UnixStream, script: Arc<Script>, notes: Arc<Mutex<Vec<Vec<u8>>>>) {
    while let Ok(len) = socket.read_u32().await {
        let mut frame = vec![0; len as usize];
        if socket.read_exact(&mut frame).await.is_err() {
            return;
        }
        notes.lock().push(frame.clone());
        match script(&frame) {
            Does::Says(frames) => {
                for frame in frames {
                    let mut out = (frame.len() as u32).to_be_bytes().to_vec();
                    out.extend(frame);
                    if socket.write_all(&out).await.is_err() {
                        return;
                    }
                }
            }
            Does::Raw(octets) => {
                let _ = socket.write_all(&octets).await;
            }
            Does::RawThenCloses(octets) => {
                let _ = socket.write_all(&octets).await;
                return;
            }
            Does::Closes => return,
            Does::Hangs => std::future::pending().await,
        }
    }
}
