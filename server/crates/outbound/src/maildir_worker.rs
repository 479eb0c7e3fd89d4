//! A worker that writes to Maildirs: several messages to one visit of a thread that may wait for the disk.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::{Mailbox, Reply};
use queue::StoreError;

use crate::active::Job;
use crate::destination::{Destination, Next};
use crate::engine::Inner;
use crate::maildir::{FileName, MaildirPattern, MaildirWriter, top_fields};
use crate::notice;
use crate::options::Options;
use crate::outcome::Attempt;
use crate::preparation::{came_back, hops_exceeded, load, unreadable};
use crate::site::Site;
use crate::turn::Turn;

/// Messages to one visit.
const BATCH: usize = 32;

/// Works until there is nothing to do; true when it has signed off, false when the engine stops.
pub(crate) async fn run(inner: &Arc<Inner>, destination: &Arc<Destination>, mut turn: Turn) -> bool {
    while !inner.is_stopping() {
        if !turn.goes_on(inner).await {
            return false;
        }
        let Next::Job(first) = destination.next(false, &inner.options().limits, clock::now()) else {
            return true;
        };
        let options = inner.options();
        inner.unpark(destination, &options);
        let mut jobs = vec![*first];
        jobs.extend(destination.more(BATCH - 1));
        turn.count(jobs.len());
        let (visitor, destination) = (Arc::clone(inner), Arc::clone(destination));
        let visit = tokio::task::spawn_blocking(move || visit(&visitor, &destination, &options, jobs)).await;
        let Ok(done) = visit else { continue };
        let finishing = done.into_iter().map(|(job, attempts)| inner.finish(job, attempts));
        futures_util::future::join_all(finishing).await;
    }
    false
}

fn visit(
    inner: &Inner,
    destination: &Destination,
    options: &Options,
    jobs: Vec<Job>,
) -> Vec<(Job, Vec<Attempt>)> {
    let Site::Maildir(pattern) = &destination.site else { return Vec::new() };
    let mut round = Round { writer: MaildirWriter::default(), options, pattern };
    let written: Vec<_> = jobs.iter().map(|job| round.deliver(inner, job)).collect();
    // What went to a directory that could not be synced is not delivered.
    let unsynced: HashMap<PathBuf, io::Error> = round.writer.finish().into_iter().collect();
    let conclude = |end: End| match end {
        End::Written(directory) => match unsynced.get(&directory) {
            Some(error) => Attempt::own(failed(&directory, error)),
            None => Attempt::own(Reply::new(250, (2, 0, 0), "written to its Maildir")),
        },
        End::Not(attempt) => attempt,
    };
    let conclude_all = |ends: Vec<End>| ends.into_iter().map(conclude).collect();
    jobs.into_iter().zip(written.into_iter().map(conclude_all)).collect()
}

/// How it stands with one recipient before the directories are synced.
enum End {
    Written(PathBuf),
    Not(Attempt),
}

struct Round<'a> {
    writer: MaildirWriter,
    options: &'a Options,
    pattern: &'a MaildirPattern,
}

impl Round<'_> {
    fn deliver(&mut self, inner: &Inner, job: &Job) -> Vec<End> {
        let all = |attempt: Attempt| job.recipients.iter().map(|_| End::Not(attempt.clone())).collect();
        if job.pass.is_cancelled.load(Ordering::Relaxed) {
            return all(Attempt::untouched());
        }
        let (content, traits) = match load(inner, &job.pass) {
            Ok(loaded) => loaded,
            Err(StoreError::NotFound(_)) => return all(Attempt::untouched()),
            Err(error) => return all(Attempt::own(unreadable(&error))),
        };
        if let Some(reply) = hops_exceeded(&traits, self.options) {
            return all(Attempt::own(reply));
        }
        let entry = &job.pass.entry;
        if let Some(reply) = notice::too_late(entry, None, clock::wall()) {
            return all(Attempt::own(reply));
        }
        let mut deliver = |mailbox: &Mailbox| {
            if let Some(reply) = came_back(&traits, mailbox) {
                return End::Not(Attempt::own(reply));
            }
            let maildir = self.pattern.path(mailbox);
            let name = FileName::unique(clock::wall(), &self.options.hostname);
            match self.writer.write(&maildir, &name, &top_fields(&entry.sender, mailbox), &content) {
                Ok(directory) => End::Written(directory),
                Err(error) => End::Not(Attempt::own(failed(&maildir, &error))),
            }
        };
        job.recipients.iter().map(|nth| deliver(&entry.recipients[*nth].recipient.address)).collect()
    }
}

/// Always worth another attempt: disks are emptied, and modes are mended.
fn failed(path: &Path, error: &io::Error) -> Reply {
    let status = match error.kind() {
        io::ErrorKind::StorageFull => (4, 3, 1),
        io::ErrorKind::QuotaExceeded => (4, 2, 2),
        _ => (4, 3, 0),
    };
    Reply::new(451, status, format!("{}: {error}", path.display()))
}
