//! The text in which Prometheus reads numbers: its exposition format, version 0.0.4.
//!
//! Names are ours or were checked where they came in; values of labels and help texts may be anything and are escaped.

use std::fmt::Write;

use model::HistogramView;

/// The content type of the text.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a series is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Writes one family after the other.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    text: String,
    name: String,
}

impl Exposition {
    /// Begins a family; its samples follow.
    pub(crate) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        name.clone_into(&mut self.name);
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a String does not fail; likewise below.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {}", kind.name());
    }

    /// A sample of the family.
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.line("", labels, None, value);
    }

    /// The samples of a histogram.
    pub(crate) fn histogram(&mut self, labels: &[(&str, &str)], view: &HistogramView) {
        for (bound, count) in &view.buckets {
            self.line("_bucket", labels, Some(&number(*bound)), *count as f64);
        }
        self.line("_bucket", labels, Some("+Inf"), view.count as f64);
        self.line("_sum", labels, None, view.sum_s);
        self.line("_count", labels, None, view.count as f64);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], bound: Option<&str>, value: f64) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        let labels = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let mut opened = false;
        for (label, value) in labels {
            let separator = if opened { ',' } else { '{' };
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{separator}{label}=\"{value}\"");
            opened = true;
        }
        let _ = writeln!(self.text, "{} {}", if opened { "}" } else { "" }, number(value));
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

fn number(value: f64) -> String {
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_labels_and_help_say_is_escaped_and_a_histogram_ends_with_infinity() {
        let mut text = Exposition::default();
        text.family("a_total", Kind::Counter, "one\\two\nthree");
        text.sample(&[], 3.0);
        text.sample(&[("x", "a\"b\\c\nd"), ("y", "é")], 0.5);
        text.family("b_seconds", Kind::Histogram, "b");
        let view = HistogramView { buckets: vec![(0.1, 1)], count: 2, sum_s: 1.5 };
        text.histogram(&[("p", "q")], &view);
        let expected = concat!(
            "# HELP a_total one\\\\two\\nthree\n# TYPE a_total counter\na_total 3\n",
            "a_total{x=\"a\\\"b\\\\c\\nd\",y=\"é\"} 0.5\n",
            "# HELP b_seconds b\n# TYPE b_seconds histogram\n",
            "b_seconds_bucket{p=\"q\",le=\"0.1\"} 1\nb_seconds_bucket{p=\"q\",le=\"+Inf\"} 2\n",
            "b_seconds_sum{p=\"q\"} 1.5\nb_seconds_count{p=\"q\"} 2\n",
        );
        assert_eq!(text.into_text(), expected);
    }
}
