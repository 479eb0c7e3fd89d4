//! The services that a test makes up: a clock that stands still, a network of a few answers, and a log that is kept.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hooks::{BoxFuture, HttpClient, HttpError, HttpRequest, HttpTerms};
use model::Timestamp;
use parking_lot::Mutex;
use plugin_host::WallClock;
use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::suite::HttpAnswer;

/// Lines that are kept of one step.
const MAX_LINES: usize = 1_000;

/// A wall clock that moves when it is told to.
#[derive(Debug, Clone, Default)]
pub(super) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(super) fn at(now: Timestamp) -> Self {
        Self(Arc::new(AtomicU64::new(now.0)))
    }

    pub(super) fn advance(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    pub(super) fn reader(&self) -> WallClock {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }
}

/// Answers what it was told to, by the URL.
#[derive(Debug)]
pub(super) struct Web {
    answers: Vec<HttpAnswer>,
    asked: Mutex<Vec<String>>,
}

impl Web {
    pub(super) fn new(answers: Vec<HttpAnswer>) -> Self {
        Self { answers, asked: Mutex::default() }
    }

    /// What was asked since the last call: methods and URLs.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock())
    }
}

impl HttpClient for Web {
    fn ask(&self, request: HttpRequest, _: HttpTerms) -> BoxFuture<'_, Result<hooks::HttpAnswer, HttpError>> {
        self.asked.lock().push(format!("{} {}", request.method, url_of(&request)));
        let answer = match self.answers.iter().find(|answer| is_meant(&answer.url, &request)) {
            None => Err(HttpError::NoSuchHost(request.host)),
            Some(HttpAnswer { fails: Some(why), .. }) => Err(HttpError::Failed(why.clone())),
            Some(answer) => Ok(hooks::HttpAnswer {
                status: answer.status,
                headers: answer
                    .headers
                    .iter()
                    .map(|(name, value)| (name.to_ascii_lowercase(), value.clone().into_bytes()))
                    .collect(),
                body: answer.body.clone().into_bytes().into(),
            }),
        };
        Box::pin(std::future::ready(answer))
    }
}

/// The URL without the usual port.
fn url_of(request: &HttpRequest) -> String {
    let (scheme, usual) = if request.encrypted { ("https", 443) } else { ("http", 80) };
    let host = if request.host.contains(':') { format!("[{}]", request.host) } else { request.host.clone() };
    match request.port == usual {
        true => format!("{scheme}://{host}{}", request.target),
        false => format!("{scheme}://{host}:{}{}", request.port, request.target),
    }
}

/// A URL without a query stands for it with any, and the usual port may be there or not.
fn is_meant(url: &str, request: &HttpRequest) -> bool {
    let asked = url_of(request);
    let asked = if url.contains('?') { &asked } else { asked.split('?').next().unwrap_or_default() };
    let usual = if request.encrypted { ":443" } else { ":80" };
    // The port ends the authority, before the path.
    let path = asked.match_indices('/').nth(2).map_or(asked.len(), |(at, _)| at);
    url == asked || url == format!("{}{usual}{}", &asked[..path], &asked[path..])
}

/// A line that the plugin logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct LogLine {
    pub(super) level: String,
    pub(super) text: String,
}

/// What plugins have logged since somebody looked.
#[derive(Debug, Clone, Default)]
pub(super) struct Journal(Arc<Mutex<Vec<LogLine>>>);

impl Journal {
    /// Keeps what plugins log from now on, instead of writing it to standard error.
    pub(super) fn start() -> Self {
        let journal = Self::default();
        // Another one that was there first stays: then nothing is kept.
        let _ = tracing_subscriber::registry().with(journal.clone()).try_init();
        journal
    }

    /// The lines since the last call.
    pub(super) fn take(&self) -> Vec<LogLine> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Journal {
    fn enabled(
        &self,
        metadata: &tracing::Metadata<'_>,
        _: tracing_subscriber::layer::Context<'_, S>,
    ) -> bool {
        metadata.target() == "plugin"
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        let mut message = Message::default();
        event.record(&mut message);
        let mut lines = self.0.lock();
        if lines.len() < MAX_LINES {
            let level = event.metadata().level().as_str().to_ascii_lowercase();
            lines.push(LogLine { level, text: message.0 });
        }
    }
}

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            // Writing to a string cannot fail.
            let _ = write!(self.0, "{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_answered_with_its_port_and_its_query() {
        let asks = |target: &str, port: u16| HttpRequest {
            method: "GET".to_owned(),
            encrypted: true,
            host: "api.example.org".to_owned(),
            port,
            target: target.to_owned(),
            headers: Vec::new(),
            body: bytes::Bytes::new(),
        };
        for (url, target, port, meant) in [
            ("https://api.example.org/x", "/x", 443, true),
            ("https://api.example.org/x", "/x?y=1", 443, true),
            ("https://api.example.org/x?y=1", "/x?y=2", 443, false),
            ("https://api.example.org/x", "/x", 8443, false),
            ("https://api.example.org:8443/x", "/x", 8443, true),
            ("https://api.example.org:443/x", "/x", 443, true),
            ("http://api.example.org/x", "/x", 443, false),
        ] {
            assert_eq!(is_meant(url, &asks(target, port)), meant, "{url} {target} {port}");
        }
    }
}
