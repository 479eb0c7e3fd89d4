//! `Idempotency-Key`: a request that is repeated with the same key is answered as the first one, and does nothing more.
//!
//! A key is its token's own. What it stood for (a hash of the request) is noted before the message is taken in, the answer afterwards,
//! both in the key-value space of the store, where they outlive a restart. A request that a crash cut off between the two is done
//! again when it is repeated: better twice than never.
//!
//! Standards: the draft of the `Idempotency-Key` field: 409 while the first request is under way, 422 for another request.
//! Limits: a key of 255 octets; [`LIFETIME`]; 1,000,000 keys, over it 503; [`ANSWER_OCTETS`] of an answer, a longer one is kept without
//! its list of recipients.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use hooks::{KeyValue, KvError};
use parking_lot::Mutex;
use ring::digest::{Context, SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::warn;

use crate::problem::Problem;

/// How long a key is kept.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// The space of the store; no plugin has such a name.
const SPACE: &str = "web/idempotency";
/// Octets of a key.
const KEY_OCTETS: usize = 255;
/// Octets of an answer that is kept.
const ANSWER_OCTETS: usize = 32 << 10;

/// An answer that can be given again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Given {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// What is noted of a key.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// Of the request.
    hash: String,
    /// Nothing while it is under way, or when it was cut off.
    given: Option<Given>,
}

/// What a request with a key is.
#[derive(Debug)]
pub(crate) enum Begun {
    First(Reserved),
    Again(Given),
}

/// All keys.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    store: Arc<dyn KeyValue>,
    under_way: Arc<Mutex<HashSet<String>>>,
}

/// A key whose request is under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    keys: Keys,
    name: String,
    hash: String,
}

/// The hash of a request, from its parts.
pub(crate) fn fingerprint(parts: &[&[u8]]) -> String {
    let mut context = Context::new(&SHA256);
    for part in parts {
        // Two parts are not to look like one.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    hex(context.finish().as_ref())
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The key of a request, if it has one.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| !key.is_empty() && key.len() <= KEY_OCTETS);
    match key.filter(|_| values.next().is_none()) {
        Some(key) => Ok(Some(key.to_owned())),
        None => Err(Problem::bad_request(
            "Idempotency-Key has to be one text of 1 to 255 visible ASCII characters",
        )),
    }
}

impl Keys {
    pub(crate) fn new(store: Arc<dyn KeyValue>) -> Self {
        Self { store, under_way: Arc::default() }
    }

    /// A request begins whose key and hash are these; `owner` is whose key it is.
    pub(crate) async fn begin(&self, owner: &str, key: &str, hash: String) -> Result<Begun, Problem> {
        let name = hex(digest(&SHA256, format!("{owner}\0{key}").as_bytes()).as_ref());
        if !self.under_way.lock().insert(name.clone()) {
            let detail = "the first request with this Idempotency-Key is under way";
            return Err(Problem::new(StatusCode::CONFLICT, detail)
                .named("idempotency-key-in-use", "The first request is under way"));
        }
        let reserved = Reserved { keys: self.clone(), name, hash };
        blocking(move || reserved.look()).await
    }
}

impl Reserved {
    fn look(self) -> Result<Begun, Problem> {
        let now = clock::wall();
        let failed = |error: KvError| {
            warn!(%error, "an idempotency key cannot be kept");
            Problem::unavailable(format!("the Idempotency-Key cannot be kept: {error}"))
        };
        let known = self.keys.store.get(SPACE, &self.name, now).map_err(failed)?;
        let known = known.and_then(|known| serde_json::from_slice::<Note>(&known.value).ok());
        match known {
            Some(note) if note.hash != self.hash => {
                let detail = "this Idempotency-Key was used for another request";
                Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
                    .named("idempotency-key-reused", "The key belongs to another request"))
            }
            Some(Note { given: Some(given), .. }) => Ok(Begun::Again(given)),
            _ => {
                self.note(None).map_err(failed)?;
                Ok(Begun::First(self))
            }
        }
    }

    fn note(&self, given: Option<Given>) -> Result<(), KvError> {
        let note = Note { hash: self.hash.clone(), given };
        let octets = serde_json::to_vec(&note).map_err(|error| KvError::Failed(error.to_string()))?;
        self.keys.store.set(SPACE, &self.name, &octets, Some(LIFETIME), clock::wall()).map(drop)
    }

    /// The request is over. An answer is kept; without one the request may be made again.
    pub(crate) async fn finish(self, given: Option<Given>) {
        let done = blocking(move || {
            match given {
                Some(given) => self.note(Some(bounded(given))),
                None => self.keys.store.delete(SPACE, &self.name, clock::wall()).map(drop),
            }
            .map_err(|error| Problem::unavailable(error.to_string()))
        });
        if let Err(problem) = done.await {
            warn!(error = %problem.detail, "an idempotency key could not be noted; a repeat sends again");
        }
    }
}

/// An answer to very many recipients is kept without them.
fn bounded(mut given: Given) -> Given {
    if given.body.to_string().len() > ANSWER_OCTETS
        && let Some(body) = given.body.as_object_mut()
    {
        body.remove("recipients");
        body.remove("refused");
    }
    given
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.keys.under_way.lock().remove(&self.name);
    }
}

/// The store may wait for the disk.
async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(call).await;
    done.unwrap_or_else(|_| Err(Problem::unavailable("the key-value store ended early")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Noted;
    use serde_json::json;

    fn keys() -> Keys {
        Keys::new(Arc::new(Noted::default()))
    }

    async fn begin(keys: &Keys, owner: &str, request: &str) -> Result<Begun, Problem> {
        keys.begin(owner, "k", fingerprint(&[request.as_bytes()])).await
    }

    fn given() -> Given {
        Given { status: 202, body: json!({"id": "x"}) }
    }

    #[tokio::test]
    async fn a_repeat_hears_the_first_answer_and_another_request_is_refused() {
        let keys = keys();
        let Begun::First(first) = begin(&keys, "shop", "one").await.unwrap() else { panic!("new") };
        assert_eq!(begin(&keys, "shop", "one").await.unwrap_err().status, StatusCode::CONFLICT);
        first.finish(Some(given())).await;
        let Begun::Again(again) = begin(&keys, "shop", "one").await.unwrap() else { panic!("known") };
        assert_eq!(again, given());
        assert_eq!(begin(&keys, "shop", "two").await.unwrap_err().status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(matches!(begin(&keys, "other", "two").await, Ok(Begun::First(_))));
    }

    #[tokio::test]
    async fn a_request_that_failed_for_now_or_was_cut_off_may_be_made_again() {
        let keys = keys();
        let Begun::First(failed) = begin(&keys, "shop", "one").await.unwrap() else { panic!("new") };
        failed.finish(None).await;
        let Begun::First(cut_off) = begin(&keys, "shop", "two").await.unwrap() else { panic!("new again") };
        drop(cut_off);
        assert!(matches!(begin(&keys, "shop", "two").await, Ok(Begun::First(_))));
    }

    #[test]
    fn parts_do_not_run_into_each_other_and_keys_have_their_form() {
        assert_ne!(fingerprint(&[b"ab", b"c"]), fingerprint(&[b"a", b"bc"]));
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("idempotency-key", value.parse().unwrap());
            }
            key(&headers)
        };
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&["a-b"]), Ok(Some("a-b".to_owned())));
        for bad in [&[""][..], &["a", "b"], &[&"x".repeat(256)], &["ä"]] {
            assert_eq!(of(bad).unwrap_err().status, StatusCode::BAD_REQUEST, "{bad:?}");
        }
    }
}
