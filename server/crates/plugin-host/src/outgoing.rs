//! Requests over HTTP that one instance makes: which may be made, how often, and within which time. `waxwing:mail/http` and
//! `wasi:http` come here, so that there is one rule for both.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hooks::{HttpAnswer, HttpClient, HttpError, HttpRequest, HttpTerms, Networks};

use crate::HttpHost;
use crate::host::Shared;
use crate::plugin::Plugin;

/// Kept back from a hook's time, so that the plugin can still decide when an answer does not come.
const RESERVE: Duration = Duration::from_millis(100);

/// Why there is no answer: the plugin's fault or limit, or the network's.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The service, or this host, was not granted.
    Denied,
    /// This many requests, or octets, are too many.
    Quota,
    Failed(HttpError),
}

/// What an instance has asked, and may ask yet.
pub(crate) struct Outgoing {
    plugin: Arc<Plugin>,
    host: Arc<Shared>,
    /// The hook that runs, for the log.
    pub(crate) hook: &'static str,
    in_hook: u32,
    /// Since the session began, or the deliveries of the message.
    pub(crate) in_session: u32,
    /// When the hook's wall time is over; nothing in `lifecycle.init`, which its own time ends.
    deadline: Option<Instant>,
}

/// A request that may be made.
pub(crate) struct Admitted {
    client: Arc<dyn HttpClient>,
    plugin: Arc<str>,
    hook: &'static str,
    pub(crate) terms: HttpTerms,
    /// Octets that its body may have.
    pub(crate) body_octets: usize,
}

impl Outgoing {
    pub(crate) fn new(plugin: Arc<Plugin>, host: Arc<Shared>) -> Self {
        Self { plugin, host, hook: "", in_hook: 0, in_session: 0, deadline: None }
    }

    /// A hook begins, in a session that has made this many requests.
    pub(crate) fn begin_hook(&mut self, deadline: Option<Instant>, in_session: u32) {
        (self.in_hook, self.in_session, self.deadline) = (0, in_session, deadline);
    }

    /// Takes one request off what may be made, if it is one that may; `time` can only shorten it.
    pub(crate) fn admit(
        &mut self,
        request: &HttpRequest,
        time: Option<Duration>,
    ) -> Result<Admitted, Refusal> {
        let limits = &self.plugin.limits;
        let Some(private) = self.may_ask(request) else { return Err(Refusal::Denied) };
        let client = self.host.services.http.clone().ok_or(Refusal::Denied)?;
        let is_over = self.in_hook >= limits.http_requests_per_hook
            || self.in_session >= limits.http_requests_per_session;
        let body_octets = limits.http_request_octets.checked_sub(head_octets(request));
        let body_octets = body_octets.filter(|most| request.body.len() <= *most);
        let (false, Some(body_octets)) = (is_over, body_octets) else { return Err(Refusal::Quota) };
        self.in_hook += 1;
        self.in_session += 1;
        let time = time.unwrap_or(limits.http_time).min(limits.http_time).min(self.time_left());
        let terms = HttpTerms { time, answer_octets: limits.http_answer_octets, private };
        Ok(Admitted { client, plugin: self.plugin.name.clone(), hook: self.hook, terms, body_octets })
    }

    /// The networks of this site that the host may be in; nothing when it may not be asked at all.
    fn may_ask(&self, request: &HttpRequest) -> Option<Networks> {
        let grants = &self.plugin.options.grants;
        let is_it = |host: &&HttpHost| host.is(&request.host, request.port, request.encrypted);
        let granted: Vec<_> = grants.http.iter().filter(is_it).collect();
        if granted.is_empty() {
            let (plugin, hook, host, port) = (&*self.plugin.name, self.hook, &request.host, request.port);
            tracing::info!(plugin, hook, host, port, "a host that was not granted was not asked over HTTP");
            return None;
        }
        let mut private = grants.http_private.clone();
        private.0.extend(granted.iter().filter_map(|host| host.network()));
        Some(private)
    }

    /// What is left of the hook's time, less what the plugin needs to make something of a failure.
    pub(crate) fn time_left(&self) -> Duration {
        self.deadline.map_or(Duration::MAX, |deadline| {
            deadline.saturating_duration_since(clock::now()).saturating_sub(RESERVE)
        })
    }
}

impl Admitted {
    /// Asks the network.
    pub(crate) async fn ask(self, request: HttpRequest) -> Result<HttpAnswer, Refusal> {
        let (host, port) = (request.host.clone(), request.port);
        let answer = self.client.ask(request, self.terms).await;
        let (plugin, hook) = (&*self.plugin, self.hook);
        match &answer {
            Ok(answer) => {
                tracing::debug!(plugin, hook, host, port, status = answer.status, "asked over HTTP")
            }
            Err(error) => tracing::info!(plugin, hook, host, port, %error, "no answer over HTTP"),
        }
        answer.map_err(Refusal::Failed)
    }
}

/// Octets that a request costs without its body: about what goes over the wire.
fn head_octets(request: &HttpRequest) -> usize {
    let fields = request.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>();
    request.method.len() + request.host.len() + request.target.len() + fields
}
