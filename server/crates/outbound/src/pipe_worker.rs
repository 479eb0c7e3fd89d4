//! A worker that runs a program for each recipient, one after the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::Reply;

use crate::active::Job;
use crate::destination::{Destination, Next};
use crate::engine::Inner;
use crate::maildir::{MaildirWriter, top_fields};
use crate::notice;
use crate::outcome::Attempt;
use crate::pipe::{Pipe, message_file};
use crate::preparation::{came_back, hops_exceeded, ready_content};
use crate::site::Site;
use crate::turn::Turn;

/// Works until there is nothing to do; true when it has signed off, false when the engine stops.
pub(crate) async fn run(inner: &Arc<Inner>, destination: &Arc<Destination>, mut turn: Turn) -> bool {
    let Site::Pipe(pipe) = &destination.site else { return false };
    while !inner.is_stopping() {
        if !turn.goes_on(inner).await {
            return false;
        }
        let next = destination.next(false, &inner.options().limits, clock::now());
        let Next::Job(job) = next else { return true };
        turn.count(1);
        inner.unpark(destination, &inner.options());
        let attempts = attempts(inner, pipe, &job).await;
        inner.finish(*job, attempts).await;
    }
    false
}

async fn attempts(inner: &Arc<Inner>, pipe: &Pipe, job: &Job) -> Vec<Attempt> {
    let all = |attempt: Attempt| vec![attempt; job.recipients.len()];
    let options = inner.options();
    if job.pass.is_cancelled.load(Ordering::Relaxed) {
        return all(Attempt::untouched());
    }
    let (content, traits) = match ready_content(inner, &job.pass).await {
        Ok(ready) => ready,
        Err(attempt) => return all(attempt),
    };
    let entry = &job.pass.entry;
    let refused = hops_exceeded(&traits, &options).or_else(|| notice::too_late(entry, None, clock::wall()));
    if let Some(reply) = refused {
        return all(Attempt::own(reply));
    }
    let mut attempts = Vec::with_capacity(job.recipients.len());
    for nth in &job.recipients {
        // A shutdown lets the program that runs end, and begins no other.
        if inner.is_stopping() || job.pass.is_cancelled.load(Ordering::Relaxed) {
            attempts.push(Attempt::untouched());
            continue;
        }
        let mailbox = &entry.recipients[*nth].recipient.address;
        if let Some(reply) = came_back(&traits, mailbox) {
            attempts.push(Attempt::own(reply));
            continue;
        }
        let reply = match message(&content, top_fields(&entry.sender, mailbox)).await {
            Ok(message) => pipe.run(&entry.sender, mailbox, entry.id, message).await,
            Err(error) => Reply::new(451, (4, 3, 0), format!("the message cannot be handed over: {error}")),
        };
        attempts.push(Attempt::own(reply));
    }
    attempts
}

async fn message(content: &model::Content, top: String) -> std::io::Result<std::fs::File> {
    let content = content.clone();
    let write = move || message_file(|file| MaildirWriter::default().copy(file, &top, &content));
    tokio::task::spawn_blocking(write).await.map_err(std::io::Error::other)?
}
