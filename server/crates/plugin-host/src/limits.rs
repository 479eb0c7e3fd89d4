//! What a plugin may use up. Each limit has a name, a unit and a default.

use std::time::Duration;

/// Limits of all plugins; those of one plugin can differ by its [`LimitOverrides`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Time that a guest may compute in one hook. Waiting for the server's services is not counted.
    pub cpu_per_hook: Duration,
    /// Time that one hook may take in all, waiting for an instance and for services included.
    pub wall_per_hook: Duration,
    /// Time that a guest may compute in all hooks of one session together, or for one message in delivery.
    pub cpu_per_session: Duration,
    /// As `cpu_per_hook`, for `lifecycle.init`.
    pub cpu_for_init: Duration,
    /// As `wall_per_hook`, for `lifecycle.init`.
    pub wall_for_init: Duration,
    /// Octets of one instance, all its linear memories and tables together.
    pub memory_octets: u64,
    /// Elements of one table of an instance.
    pub table_elements: u32,
    /// Instances alive at once, over all sessions and plugins; a session that finds none free waits for one.
    pub instances: u32,
    /// Octets of a plugin's file.
    pub component_octets: u64,
    /// Lines that one hook may log; what comes after them is counted, not written.
    pub log_lines_per_hook: u32,
    /// Octets of one logged line, its fields included.
    pub log_line_octets: usize,
    /// Questions to DNS in one hook; each zone of a `dnsbl` is one.
    pub dns_questions_per_hook: u32,
    /// Requests to other hosts over HTTP in one hook.
    pub http_requests_per_hook: u32,
    /// The same in one session, for each plugin.
    pub http_requests_per_session: u32,
    /// The same at once, of all plugins together; whoever makes them obeys it.
    pub http_requests_at_once: usize,
    /// Time that one of them may take; a hook's time bounds it too.
    pub http_time: Duration,
    /// Octets of a request, its header included.
    pub http_request_octets: usize,
    /// Octets of an answer's body.
    pub http_answer_octets: u64,
    /// Scans for viruses in one hook.
    pub scans_per_hook: u32,
    /// The same at once, of all plugins together; whoever makes them obeys it.
    pub scans_at_once: usize,
    /// Messages that one hook may submit.
    pub submissions_per_hook: u32,
    /// The same within an hour, for each plugin.
    pub submissions_per_hour: u32,
    /// Octets of a message that a plugin submits.
    pub submission_octets: usize,
    /// Recipients of one, before aliases.
    pub submission_recipients: usize,
    /// Calls of the key-value store in one hook.
    pub kv_calls_per_hook: u32,
    /// Octets of a key.
    pub kv_key_octets: usize,
    /// Octets of a value in the key-value store.
    pub kv_value_octets: usize,
    /// Notes that the plugins of one session share.
    pub notes_per_session: usize,
    /// Octets of one note, its key included.
    pub note_octets: usize,
    /// Octets of one header field that a plugin writes.
    pub header_field_octets: usize,
    /// Header fields and recipients that one hook may add.
    pub additions_per_hook: u32,
    /// Octets that a guest may hand over in one call of a service, all its texts and lists together.
    pub call_octets: usize,
    /// Octets of the body that one hook may have read, searched, digested and decoded.
    pub body_read_octets: u64,
    /// Octets that one hook may write into a body.
    pub body_written_octets: u64,
    /// Pieces of a body that one hook may put together.
    pub body_pieces: u32,
    /// Recipients of an envelope, the added ones included.
    pub recipients: usize,
    /// Metric series of one plugin: names with different labels count each.
    pub metric_series_per_plugin: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu_per_hook: Duration::from_millis(500),
            wall_per_hook: Duration::from_secs(10),
            cpu_per_session: Duration::from_secs(60),
            cpu_for_init: Duration::from_secs(5),
            wall_for_init: Duration::from_secs(30),
            memory_octets: 64 << 20,
            table_elements: 100_000,
            instances: 4_000,
            component_octets: 64 << 20,
            log_lines_per_hook: 100,
            log_line_octets: 4_096,
            dns_questions_per_hook: 50,
            http_requests_per_hook: 10,
            http_requests_per_session: 200,
            http_requests_at_once: 200,
            http_time: Duration::from_secs(5),
            http_request_octets: 32 << 20,
            http_answer_octets: 1 << 20,
            scans_per_hook: 3,
            scans_at_once: 50,
            submissions_per_hook: 5,
            submissions_per_hour: 1_000,
            submission_octets: 1 << 20,
            submission_recipients: 50,
            kv_calls_per_hook: 200,
            kv_key_octets: 512,
            kv_value_octets: 64 << 10,
            notes_per_session: 64,
            note_octets: 4_096,
            header_field_octets: 64 << 10,
            additions_per_hook: 200,
            call_octets: 40 << 20,
            body_read_octets: 1 << 30,
            body_written_octets: 32 << 20,
            body_pieces: 10_000,
            recipients: 1_000,
            metric_series_per_plugin: 200,
        }
    }
}

/// What one plugin may use up instead of the common [`Limits`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitOverrides {
    pub cpu_per_hook: Option<Duration>,
    pub wall_per_hook: Option<Duration>,
    pub cpu_per_session: Option<Duration>,
    pub memory_octets: Option<u64>,
}

impl Limits {
    /// These limits with one plugin's own in their place.
    pub(crate) fn with(&self, overrides: &LimitOverrides) -> Self {
        Self {
            cpu_per_hook: overrides.cpu_per_hook.unwrap_or(self.cpu_per_hook),
            cpu_per_session: overrides.cpu_per_session.unwrap_or(self.cpu_per_session),
            wall_per_hook: overrides.wall_per_hook.unwrap_or(self.wall_per_hook),
            memory_octets: overrides.memory_octets.unwrap_or(self.memory_octets),
            ..self.clone()
        }
    }
}
