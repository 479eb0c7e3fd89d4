//! The log on standard error: for people, or a JSON object a line.
//!
//! What a client sent may stand in a line, so control characters are written as `\u00XX`: nobody forges a line or
//! moves a cursor.

use std::io::{self, IsTerminal, Write};

use config::{Log, LogFormat, LogLevel};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Our own rooms; of what they depend on, less is logged.
const ROOMS: [&str; 22] = [
    "waxwing",
    "accounts",
    "acme",
    "admin",
    "clock",
    "config",
    "dns",
    "fetch",
    "hooks",
    "inbound",
    "message",
    "milter",
    "model",
    "outbound",
    // What plugins log themselves.
    "plugin",
    "plugin_host",
    "queue",
    "smtp",
    "store",
    "tls",
    "tls_policy",
    "web",
];

/// A log that runs: how much of it there is can be changed.
pub(crate) struct Logging(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl Logging {
    /// From now on this much is logged.
    pub(crate) fn set_level(&self, level: LogLevel) {
        (self.0)(filter(level));
    }
}

/// Starts the server's log.
pub(crate) fn start(log: &Log) -> Logging {
    let colours = log.format == LogFormat::Text && io::stderr().is_terminal() && !config::no_color();
    let builder = tracing_subscriber::fmt().with_env_filter(filter(log.level)).with_writer(Lines { colours });
    // A second start, as in tests, keeps the first log; and a log that is gone needs no other filter.
    match log.format {
        LogFormat::Text => {
            let builder = builder.with_ansi(colours).with_filter_reloading();
            let handle = builder.reload_handle();
            let _ = builder.try_init();
            Logging(Box::new(move |filter| drop(handle.reload(filter))))
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_span_list(false).with_filter_reloading();
            let handle = builder.reload_handle();
            let _ = builder.try_init();
            Logging(Box::new(move |filter| drop(handle.reload(filter))))
        }
    }
}

fn filter(level: LogLevel) -> EnvFilter {
    let (ours, others) = match level {
        LogLevel::Error => ("error", "error"),
        LogLevel::Warn => ("warn", "warn"),
        LogLevel::Info => ("info", "warn"),
        LogLevel::Debug => ("debug", "info"),
        LogLevel::Trace => ("trace", "debug"),
    };
    let rooms = ROOMS.iter().map(|room| format!(",{room}={ours}"));
    EnvFilter::new(format!("{others}{}", rooms.collect::<String>()))
}

/// Standard error; each write is one event.
#[derive(Debug, Clone, Copy)]
struct Lines {
    colours: bool,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        *self
    }
}

impl Write for Lines {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = event.strip_suffix(b"\n").unwrap_or(event);
        let mut text = escape(&String::from_utf8_lossy(line), self.colours);
        text.push('\n');
        io::stderr().lock().write_all(text.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The line without control characters; the formatter's own colours may stay, it escapes those of others itself.
fn escape(line: &str, colours: bool) -> String {
    let mut text = String::with_capacity(line.len() + 1);
    for c in line.chars() {
        match c {
            '\n' => text.push_str("\\n"),
            '\u{1b}' if colours => text.push(c),
            c if c.is_control() => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_without_control_characters() {
        assert_eq!(escape("a\nb\u{7f}\u{1b}[2J\u{9b}c", false), "a\\nb\\u007f\\u001b[2J\\u009bc");
        assert_eq!(escape("\u{1b}[32mINFO", true), "\u{1b}[32mINFO");
        assert_eq!(escape("bücher", false), "bücher");
    }
}
