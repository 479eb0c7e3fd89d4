//! A policy as its text has it.
//!
//! Standards: RFC 8461 section 3.2 (syntax), section 4.1 (names).

use std::time::Duration;

use model::Domain;

/// The longest that a policy is believed without being fetched again, RFC 8461 section 3.2: 31,557,600 s.
pub const MAX_AGE: Duration = Duration::from_secs(31_557_600);
/// Patterns of one policy.
const MAX_PATTERNS: usize = 1_000;

/// What a domain wants done where its policy does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Not delivered there.
    Enforce,
    /// Delivered, and reported.
    Testing,
    /// There is no policy any more.
    None,
}

/// A domain's policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub mode: Mode,
    pub max_age: Duration,
    /// In lower case, A-labels; `*.` stands for exactly one label.
    pub mx: Vec<String>,
}

/// A text that is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("it is not UTF-8")]
    NotText,
    #[error("line {0} is no field, as in \"mode: enforce\"")]
    BadLine(usize),
    #[error("it does not begin with \"version: STSv1\"")]
    BadVersion,
    #[error("the field \"{0}\" is missing")]
    Missing(&'static str),
    #[error("the field \"{0}\" has no value that the standard knows")]
    BadValue(&'static str),
    #[error("it has more than 1,000 patterns")]
    TooManyPatterns,
}

impl Policy {
    /// Reads a policy. Fields that are not known are passed over; of those that may come once, the first counts.
    ///
    /// # Errors
    /// The text is no policy: then there is none.
    pub fn parse(text: &[u8]) -> Result<Self, PolicyError> {
        let text = std::str::from_utf8(text).map_err(|_| PolicyError::NotText)?;
        let (mut version, mut mode, mut max_age, mut mx) = (None, None, None, Vec::new());
        let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).enumerate();
        for (nth, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let (key, value) = line.split_once(':').ok_or(PolicyError::BadLine(nth + 1))?;
            let (key, value) = (key.trim_end(), value.trim());
            let is_key = |octet: u8| octet.is_ascii_alphanumeric() || b"_-.".contains(&octet);
            if key.is_empty() || !key.bytes().all(is_key) {
                return Err(PolicyError::BadLine(nth + 1));
            }
            match key {
                "version" => version = version.or(Some(value)),
                "mode" => mode = mode.or(Some(value)),
                "max_age" => max_age = max_age.or(Some(value)),
                "mx" if mx.len() == MAX_PATTERNS => return Err(PolicyError::TooManyPatterns),
                "mx" => mx.push(pattern(value).ok_or(PolicyError::BadValue("mx"))?),
                _ => {}
            }
        }
        if version != Some("STSv1") {
            return Err(PolicyError::BadVersion);
        }
        let mode = match mode.ok_or(PolicyError::Missing("mode"))? {
            "enforce" => Mode::Enforce,
            "testing" => Mode::Testing,
            "none" => Mode::None,
            _ => return Err(PolicyError::BadValue("mode")),
        };
        let max_age = max_age.ok_or(PolicyError::Missing("max_age"))?;
        let is_number =
            (1..=10).contains(&max_age.len()) && max_age.bytes().all(|octet| octet.is_ascii_digit());
        let seconds = max_age.parse::<u64>().ok().filter(|_| is_number);
        let seconds = seconds.ok_or(PolicyError::BadValue("max_age"))?;
        //= RFC 8461 section 3.2: at least one "mx" unless the mode is "none".
        if mx.is_empty() && mode != Mode::None {
            return Err(PolicyError::Missing("mx"));
        }
        Ok(Self { mode, max_age: Duration::from_secs(seconds).min(MAX_AGE), mx })
    }

    /// The policy in lines, as a report shows it.
    pub fn lines(&self) -> Vec<String> {
        let mode = match self.mode {
            Mode::Enforce => "enforce",
            Mode::Testing => "testing",
            Mode::None => "none",
        };
        let head = ["version: STSv1".to_owned(), format!("mode: {mode}")];
        let mx = self.mx.iter().map(|pattern| format!("mx: {pattern}"));
        head.into_iter().chain(mx).chain([format!("max_age: {}", self.max_age.as_secs())]).collect()
    }

    /// Whether a host may take the domain's mail.
    pub fn allows(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.mx.iter().any(|pattern| match pattern.strip_prefix("*.") {
            //= RFC 8461 section 4.1: the wildcard is the whole leftmost label, and one label alone.
            Some(parent) => {
                host.split_once('.').is_some_and(|(first, rest)| !first.is_empty() && rest == parent)
            }
            None => *pattern == host,
        })
    }
}

fn pattern(value: &str) -> Option<String> {
    let (wildcard, name) = value.strip_prefix("*.").map_or(("", value), |name| ("*.", name));
    let name = Domain::parse(name.trim_end_matches('.')).ok().filter(|name| name.literal().is_none())?;
    Some(format!("{wildcard}{}", name.to_ascii().to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str =
        "version: STSv1\nmode: enforce\nmx: mail.example.com\r\nmx: *.Example.NET\nmax_age: 604800\n";

    #[test]
    fn the_example_of_the_standard_is_read() {
        let policy = Policy::parse(WHOLE.as_bytes()).unwrap();
        assert_eq!((policy.mode, policy.max_age.as_secs()), (Mode::Enforce, 604_800));
        assert_eq!(policy.mx, ["mail.example.com", "*.example.net"]);
        let none = Policy::parse(b"version: STSv1\nmode: none\nmax_age: 99999999999\n");
        assert_eq!(none, Err(PolicyError::BadValue("max_age")));
        let none =
            Policy::parse(b"mode: none\nversion: STSv1\nmax_age: 9999999999\nfuture-field: 1").unwrap();
        assert_eq!((none.mode, none.max_age), (Mode::None, MAX_AGE));
    }

    #[test]
    fn a_wildcard_is_one_label() {
        let policy = Policy::parse(WHOLE.as_bytes()).unwrap();
        for host in ["mail.example.com", "MAIL.example.com.", "a.example.net"] {
            assert!(policy.allows(host), "{host}");
        }
        for host in
            ["example.com", "a.mail.example.com", "example.net", "a.b.example.net", ".example.net", "*"]
        {
            assert!(!policy.allows(host), "{host}");
        }
    }

    #[test]
    fn what_is_no_policy_is_named() {
        let without = |field: &str| -> Result<Policy, PolicyError> {
            let lines: Vec<&str> = WHOLE.lines().filter(|line| !line.starts_with(field)).collect();
            Policy::parse(lines.join("\n").as_bytes())
        };
        assert_eq!(without("version"), Err(PolicyError::BadVersion));
        assert_eq!(without("mode"), Err(PolicyError::Missing("mode")));
        assert_eq!(without("mx"), Err(PolicyError::Missing("mx")));
        assert_eq!(without("max_age"), Err(PolicyError::Missing("max_age")));
        let with = |line: &str| Policy::parse(format!("{line}\n{WHOLE}").as_bytes());
        assert_eq!(with("mode: never"), Err(PolicyError::BadValue("mode")));
        assert_eq!(with("max_age: -1"), Err(PolicyError::BadValue("max_age")));
        assert_eq!(with("mx: a b"), Err(PolicyError::BadValue("mx")));
        assert_eq!(with("mx: m*il.example"), Err(PolicyError::BadValue("mx")));
        assert_eq!(with("version: STSv2"), Err(PolicyError::BadVersion));
        assert_eq!(with("<html>"), Err(PolicyError::BadLine(1)));
        assert_eq!(Policy::parse(b""), Err(PolicyError::BadVersion));
        assert_eq!(Policy::parse(b"\xff"), Err(PolicyError::NotText));
        assert_eq!(with(&"mx: a.example\n".repeat(1_000)), Err(PolicyError::TooManyPatterns));
    }
}
