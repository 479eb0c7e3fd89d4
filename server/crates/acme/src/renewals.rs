//! The task that renews, and when it does.

use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use rand::RngExt;
use tls::{Acceptor, Summary};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::options::Options;
use crate::order;
use crate::sockets::HeldSockets;

/// How long a certificate that is valid is left alone before it is looked at again.
const LOOK_EVERY: Duration = Duration::from_secs(12 * 60 * 60);
/// After the first failure; authorities count failures by the hour.
const FIRST_PAUSE: Duration = Duration::from_secs(5 * 60);
const LONGEST_PAUSE: Duration = Duration::from_secs(12 * 60 * 60);

/// Keeps a certificate valid until it is dropped.
#[derive(Debug)]
pub struct Renewals {
    options: watch::Sender<Option<Arc<Options>>>,
    task: JoinHandle<()>,
}

impl Renewals {
    /// Begins at once; without options it waits for some. Needs a tokio runtime. Addresses that are not held are bound when
    /// they are needed.
    pub fn start(options: Option<Options>, acceptor: Acceptor, held: HeldSockets) -> Self {
        let (options, changes) = watch::channel(options.map(Arc::new));
        Self { options, task: tokio::spawn(run(changes, acceptor, held)) }
    }

    /// Goes on with other options. What is due is tried at once, whatever failed before.
    pub fn replace(&self, options: Option<Options>) {
        self.options.send_replace(options.map(Arc::new));
    }
}

impl Drop for Renewals {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(mut changes: watch::Receiver<Option<Arc<Options>>>, acceptor: Acceptor, held: HeldSockets) {
    let mut failures = 0;
    loop {
        let options = changes.borrow_and_update().clone();
        let pause = match options {
            Some(options) => look(&options, &acceptor, &held, &mut failures).await,
            None => LOOK_EVERY,
        };
        tokio::select! {
            () = tokio::time::sleep(jitter(pause)) => {}
            changed = changes.changed() => {
                if changed.is_err() {
                    return;
                }
                failures = 0;
            }
        }
    }
}

/// Renews what is due. Says how long to wait.
async fn look(
    options: &Arc<Options>,
    acceptor: &Acceptor,
    held: &HeldSockets,
    failures: &mut u32,
) -> Duration {
    let wait = wait(tls::summary(&options.certificate()).ok().as_ref(), options, clock::wall());
    if !wait.is_zero() {
        return wait.min(LOOK_EVERY);
    }
    let names = options.names.join(", ");
    tracing::info!(names, directory = options.directory_url, "asking for a certificate");
    match order::renew(options, held).await {
        Ok(()) => {
            *failures = 0;
            read(acceptor.clone(), &names).await;
            LOOK_EVERY
        }
        Err(error) => {
            let pause = pause(*failures);
            *failures += 1;
            tracing::error!(names, %error, again_in_s = pause.as_secs(), "no certificate");
            pause
        }
    }
}

async fn read(acceptor: Acceptor, names: &str) {
    match tokio::task::spawn_blocking(move || acceptor.reload()).await {
        Ok(Ok(())) => tracing::info!(names, "a new certificate counts from now on"),
        // One of the other certificates has a fault now.
        Ok(Err(faults)) => tracing::error!(%faults, "the new certificate is not used yet"),
        Err(error) => tracing::error!(%error, "reading the new certificate failed"),
    }
}

/// How long the certificate that is there will do; zero when a new one is due.
fn wait(have: Option<&Summary>, options: &Options, now: Timestamp) -> Duration {
    let Some(have) = have else { return Duration::ZERO };
    if !options.names.iter().all(|name| have.names.contains(name)) {
        return Duration::ZERO;
    }
    // One that is issued for less than `renew_before` would be renewed without end.
    let before = options.renew_before.min(have.not_after.since(have.not_before) / 3);
    have.not_after.since(now + before)
}

fn pause(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE)
}

/// A tenth more or less, so that many servers do not come at once.
fn jitter(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.9..1.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn options() -> Options {
        Options {
            directory_url: "https://127.0.0.1/dir".to_owned(),
            contact: Vec::new(),
            names: vec!["mx.example.org".to_owned()],
            http_bind: Vec::new(),
            ca_file: None,
            renew_before: 30 * DAY,
            dir: "/nowhere".into(),
        }
    }

    fn issued(days: u32) -> Summary {
        let names = vec!["mx.example.org".to_owned(), "other.example.org".to_owned()];
        Summary { names, not_before: Timestamp(0), not_after: Timestamp(0) + days * DAY }
    }

    #[test]
    fn a_certificate_is_due_before_its_end_and_when_a_name_is_missing() {
        let wait_on = |have: Option<&Summary>, day: u32| wait(have, &options(), Timestamp(0) + day * DAY);
        assert_eq!(wait_on(None, 0), Duration::ZERO);
        assert_eq!(wait_on(Some(&issued(90)), 10), 50 * DAY);
        assert_eq!(wait_on(Some(&issued(90)), 60), Duration::ZERO);
        assert_eq!(wait_on(Some(&issued(90)), 100), Duration::ZERO);
        let other = Summary { names: vec!["other.example.org".to_owned()], ..issued(90) };
        assert_eq!(wait_on(Some(&other), 10), Duration::ZERO);
    }

    #[test]
    fn a_certificate_for_a_few_days_is_not_renewed_at_once() {
        assert_eq!(wait(Some(&issued(6)), &options(), Timestamp(0)), 4 * DAY);
    }

    #[test]
    fn pauses_grow_up_to_half_a_day() {
        let minutes: Vec<u64> = (0..5).map(|failures| pause(failures).as_secs() / 60).collect();
        assert_eq!(minutes, [5, 10, 20, 40, 80]);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }
}
