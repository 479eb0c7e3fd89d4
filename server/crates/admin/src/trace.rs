//! A trace over the control socket: lines of sessions as they come, until whoever listens has heard enough.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use transcript::{Heard, Hub, Line, Subject, Who};

use crate::answer::rfc3339_millis;

/// How long a line may wait to be read.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", untagged)]
pub enum TraceLine {
    Said {
        at: String,
        session: String,
        /// As in `from 192.0.2.7 at mx` or `to mx.example.net [192.0.2.9]`.
        peer: String,
        /// `client` is who gives the mail, `server` who takes it, `note` neither.
        who: String,
        text: String,
    },
    /// So many lines came faster than they were read.
    Lost { lost: u64 },
}

impl From<&Line> for TraceLine {
    fn from(line: &Line) -> Self {
        let who = match line.who {
            Who::Client => "client",
            Who::Server => "server",
            Who::Note => "note",
        };
        Self::Said {
            at: rfc3339_millis(line.at),
            session: line.session.to_string(),
            peer: line.peer.to_string(),
            who: who.to_owned(),
            text: line.text.clone(),
        }
    }
}

/// Tells what is heard until the other side closes.
pub(crate) async fn tell(
    subject: &str,
    hub: &Arc<Hub>,
    read: &mut (impl AsyncReadExt + Unpin),
    write: &mut (impl AsyncWriteExt + Unpin),
) -> io::Result<()> {
    let watched = subject.parse::<Subject>().map_err(|error| error.to_string());
    let watched = watched.and_then(|subject| hub.watch(subject).map_err(|error| error.to_string()));
    let mut watch = match watched {
        Ok(watch) => watch,
        Err(sentence) => return send(write, &json!({ "error": sentence })).await,
    };
    send(write, &json!({ "ok": subject })).await?;
    let mut ignored = [0; 512];
    loop {
        let heard = tokio::select! {
            biased;
            // Whatever it says is not listened to; that it is gone is.
            read = read.read(&mut ignored) => match read? {
                0 => return Ok(()),
                _ => continue,
            },
            heard = watch.next() => heard,
        };
        let line = match heard {
            Heard::Line(line) => TraceLine::from(&*line),
            Heard::Lost(lost) => TraceLine::Lost { lost },
        };
        send(write, &line).await?;
    }
}

async fn send(write: &mut (impl AsyncWriteExt + Unpin), value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_string(value).map_err(io::Error::other)?;
    line.push('\n');
    let sent = tokio::time::timeout(PATIENCE, write.write_all(line.as_bytes())).await;
    sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
