//! What all requests share.

use std::sync::Arc;

use accounts::ApiTokens;
use admin::{Request, Services};
use arc_swap::ArcSwap;
use axum::Json;
use hooks::KeyValue;
use queue::{Store, StoreError};
use serde_json::Value;
use tokio::sync::Semaphore;
use tracing::debug;

use crate::history::History;
use crate::idempotency::Keys;
use crate::outcomes::{self, Outcomes};
use crate::problem::Problem;
use crate::rates::Rate;

/// Octets of messages in memory over all requests, in KiB: what a semaphore counts.
const BODIES_KIB: usize = 64 << 10;

/// What a reload may change.
#[derive(Debug, Clone)]
pub struct Options {
    pub tokens: ApiTokens,
    /// Requests of an address; 0 is no limit.
    pub requests_per_minute: u32,
    /// Wrong tokens of an address; 0 is no limit.
    pub failed_tokens_per_minute: u32,
    /// Octets of a message; the sessions that take it in have the same limit.
    pub message_size: usize,
}

/// The other rooms, as this one sees them.
#[derive(Debug)]
pub struct Parts {
    pub services: Arc<Services>,
    /// What became of messages; also handed to delivery, which fills it.
    pub history: Arc<History>,
    /// Where idempotency keys are kept.
    pub keys: Arc<dyn KeyValue>,
}

/// What all requests share.
pub struct Site {
    pub(crate) services: Arc<Services>,
    pub(crate) history: Arc<History>,
    pub(crate) keys: Keys,
    pub(crate) outcomes: Outcomes,
    pub(crate) requests: Rate,
    pub(crate) failures: Rate,
    /// Room for messages, a permit for each KiB.
    pub(crate) bodies: Arc<Semaphore>,
    options: ArcSwap<Options>,
}

impl Site {
    /// A site that answers by these options.
    pub fn new(options: Options, parts: Parts) -> Self {
        let now = clock::now();
        let outcomes = Outcomes::of(parts.history.take_outcomes(), clock::wall());
        Self {
            services: parts.services,
            history: parts.history,
            keys: Keys::new(parts.keys),
            outcomes,
            requests: Rate::per_minute("requests-per-minute", options.requests_per_minute, now),
            failures: Rate::per_minute("failed-tokens-per-minute", options.failed_tokens_per_minute, now),
            bodies: Arc::new(Semaphore::new(BODIES_KIB)),
            options: ArcSwap::from_pointee(options),
        }
    }

    /// New options for the requests that come from now on.
    pub fn replace_options(&self, options: Options) {
        self.requests.replace(options.requests_per_minute);
        self.failures.replace(options.failed_tokens_per_minute);
        self.options.store(Arc::new(options));
    }

    /// Saves what a start is to know of; nothing that happens later is. May wait for the disk.
    pub fn close(&self) {
        outcomes::look_at_counters(self);
        self.save_outcomes();
        if let Some(journal) = &self.history.journal {
            journal.close();
        }
    }

    /// May wait for the disk.
    pub(crate) fn save_outcomes(&self) {
        if let Some(journal) = &self.history.journal
            && let Err(error) = journal.save_outcomes(&self.outcomes.saved())
        {
            debug!(%error, "what was counted over time cannot be saved");
        }
    }

    pub(crate) fn options(&self) -> Arc<Options> {
        self.options.load_full()
    }

    /// Asks what the control socket may be asked.
    pub(crate) async fn ask(&self, request: Request) -> Result<Json<Value>, Problem> {
        Ok(Json(self.services.answer(request).await?))
    }

    /// Asks the store on a thread that may wait for the disk.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let store = Arc::clone(&self.services.store);
        match tokio::task::spawn_blocking(move || read(&*store)).await {
            Ok(read) => read.map_err(|error| admin::Refusal::from(error).into()),
            Err(_) => Err(Problem::unavailable("reading the queue ended early")),
        }
    }
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("options", &self.options()).finish_non_exhaustive()
    }
}
