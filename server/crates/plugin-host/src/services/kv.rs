//! `kv`: the plugin's own space in the server's store, for plugins that were granted it. The store may wait
//! for its disk, so that every call runs on a thread that may block.

use std::sync::Arc;
use std::time::Duration;

use hooks::{KeyValue, KvError};
use model::Timestamp;

use crate::bindings::waxwing::mail::kv::{Entry, Host};
use crate::bindings::waxwing::mail::types::Error;
use crate::state::State;

/// Keys of one page of a scan.
const MAX_PAGE: u32 = 1_000;

impl Host for State {
    async fn get(&mut self, key: String) -> Result<Option<Entry>, Error> {
        self.check_key(&key)?;
        let value = self.with_store(move |kv, space, now| Ok((kv.get(space, &key, now)?, now))).await?;
        let (value, now) = value;
        Ok(value.map(|value| Entry {
            value: value.value,
            version: value.version,
            ttl_s: value
                .expires
                .map(|expires| u32::try_from(expires.since(now).as_secs()).unwrap_or(u32::MAX)),
        }))
    }

    async fn set(&mut self, key: String, value: Vec<u8>, ttl_s: Option<u32>) -> Result<u64, Error> {
        self.check_key(&key)?;
        self.check_value(&value)?;
        self.with_store(move |kv, space, now| kv.set(space, &key, &value, lifetime(ttl_s), now)).await
    }

    async fn delete(&mut self, key: String) -> Result<bool, Error> {
        self.check_key(&key)?;
        self.with_store(move |kv, space, now| kv.delete(space, &key, now)).await
    }

    async fn increment(&mut self, key: String, by: i64, ttl_s: Option<u32>) -> Result<i64, Error> {
        self.check_key(&key)?;
        self.with_store(move |kv, space, now| kv.increment(space, &key, by, lifetime(ttl_s), now)).await
    }

    async fn compare_and_set(
        &mut self,
        key: String,
        version: Option<u64>,
        value: Vec<u8>,
        ttl_s: Option<u32>,
    ) -> Result<bool, Error> {
        self.check_key(&key)?;
        self.check_value(&value)?;
        let set = move |kv: &dyn KeyValue, space: &str, now: Timestamp| {
            kv.compare_and_set(space, &key, version, &value, lifetime(ttl_s), now)
        };
        self.with_store(set).await
    }

    async fn scan(
        &mut self,
        prefix: String,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<(Vec<String>, Option<String>), Error> {
        let longest = prefix.len().max(cursor.as_deref().map_or(0, str::len));
        if longest > self.plugin.limits.kv_key_octets {
            return Err(Error::Quota);
        }
        let limit = limit.min(MAX_PAGE);
        let scan = move |kv: &dyn KeyValue, space: &str, now: Timestamp| {
            kv.scan(space, &prefix, cursor.as_deref(), limit, now)
        };
        let page = self.with_store(scan).await?;
        Ok((page.keys, page.cursor))
    }
}

impl State {
    fn check_key(&self, key: &str) -> Result<(), Error> {
        if key.is_empty() {
            return Err(Error::BadInput("the key is empty".to_owned()));
        }
        if key.len() > self.plugin.limits.kv_key_octets { Err(Error::Quota) } else { Ok(()) }
    }

    fn check_value(&self, value: &[u8]) -> Result<(), Error> {
        if value.len() > self.plugin.limits.kv_value_octets { Err(Error::Quota) } else { Ok(()) }
    }

    /// One call of the store, on a thread that may block.
    async fn with_store<T, F>(&mut self, call: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&dyn KeyValue, &str, Timestamp) -> Result<T, KvError> + Send + 'static,
    {
        if !self.plugin.options.grants.kv {
            return Err(Error::Denied);
        }
        let kv: Arc<dyn KeyValue> = self.host.services.kv.clone().ok_or(Error::Denied)?;
        if self.spent.kv_calls >= self.plugin.limits.kv_calls_per_hook {
            return Err(Error::Quota);
        }
        self.spent.kv_calls += 1;
        let (space, now) = (self.plugin.name.clone(), (self.host.services.wall_clock)());
        let outcome = tokio::task::spawn_blocking(move || call(&*kv, &space, now)).await;
        match outcome {
            Ok(outcome) => outcome.map_err(failure),
            Err(error) => Err(Error::Unavailable(error.to_string())),
        }
    }
}

fn lifetime(ttl_s: Option<u32>) -> Option<Duration> {
    ttl_s.map(|seconds| Duration::from_secs(seconds.into()))
}

fn failure(error: KvError) -> Error {
    match error {
        KvError::Quota(_) => Error::Quota,
        KvError::BadInput(reason) => Error::BadInput(reason),
        KvError::Failed(reason) => Error::Unavailable(reason),
    }
}
