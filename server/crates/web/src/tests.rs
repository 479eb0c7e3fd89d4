//! What tests of this crate share.

use std::collections::HashMap;
use std::time::Duration;

use hooks::{KeyValue, KvError, KvPage, KvValue};
use model::Timestamp;
use parking_lot::Mutex;

/// A key-value space in memory; what is not needed here is not there.
#[derive(Debug, Default)]
pub(crate) struct Noted(Mutex<HashMap<String, (Vec<u8>, u64)>>);

impl KeyValue for Noted {
    fn get(&self, space: &str, key: &str, now: Timestamp) -> Result<Option<KvValue>, KvError> {
        let noted = self.0.lock();
        let alive = noted.get(&format!("{space} {key}")).filter(|(_, expires)| now.0 < *expires);
        Ok(alive.map(|(value, expires)| KvValue {
            value: value.clone(),
            version: 1,
            expires: Some(Timestamp(*expires)),
        }))
    }

    fn set(
        &self,
        space: &str,
        key: &str,
        value: &[u8],
        lifetime: Option<Duration>,
        now: Timestamp,
    ) -> Result<u64, KvError> {
        let expires = lifetime.map_or(u64::MAX, |lifetime| (now + lifetime).0);
        self.0.lock().insert(format!("{space} {key}"), (value.to_vec(), expires));
        Ok(1)
    }

    fn delete(&self, space: &str, key: &str, _: Timestamp) -> Result<bool, KvError> {
        Ok(self.0.lock().remove(&format!("{space} {key}")).is_some())
    }

    fn increment(&self, _: &str, _: &str, _: i64, _: Option<Duration>, _: Timestamp) -> Result<i64, KvError> {
        Err(KvError::Failed("not here".to_owned()))
    }

    fn compare_and_set(
        &self,
        _: &str,
        _: &str,
        _: Option<u64>,
        _: &[u8],
        _: Option<Duration>,
        _: Timestamp,
    ) -> Result<bool, KvError> {
        Err(KvError::Failed("not here".to_owned()))
    }

    fn scan(&self, _: &str, _: &str, _: Option<&str>, _: u32, _: Timestamp) -> Result<KvPage, KvError> {
        Ok(KvPage::default())
    }
}
