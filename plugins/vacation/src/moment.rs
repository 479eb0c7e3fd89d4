//! Days and moments, as settings have them.

use mail_parser::DateTime;
use serde::{Deserialize, Deserializer, de::Error};

const DAY_MS: u64 = 86_400_000;

/// Which end of a day is meant.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Edge {
    First,
    Last,
}

/// A day in UTC, or a moment with its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    unix_ms: u64,
    is_day: bool,
}

impl Moment {
    /// Milliseconds since 1970; of a day its beginning, or that of the next.
    pub(crate) fn at(&self, edge: Edge) -> u64 {
        match edge {
            Edge::Last if self.is_day => self.unix_ms + DAY_MS,
            _ => self.unix_ms,
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Moment> {
        let is_day = text.len() == 10;
        let whole = if is_day { format!("{text}T00:00:00Z") } else { text.replacen(' ', "T", 1) };
        // The parser takes more than RFC 3339 has.
        let shape: String = whole.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        let (local, offset) = shape.split_at_checked(19)?;
        let offset = match offset.strip_prefix('.') {
            Some(fraction) => fraction.trim_start_matches('0'),
            None => offset,
        };
        if local != "0000-00-00T00:00:00" || !["Z", "z", "+00:00", "-00:00"].contains(&offset) {
            return None;
        }
        let moment = DateTime::parse_rfc3339(&whole).filter(DateTime::is_valid)?;
        // 30 February would be 2 March.
        if DateTime::from_timestamp(moment.to_timestamp_local()).day != moment.day {
            return None;
        }
        let unix_ms = u64::try_from(moment.to_timestamp()).ok()?.checked_mul(1_000)?;
        Some(Moment { unix_ms, is_day })
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Moment, D::Error> {
        let text = String::deserialize(d)?;
        Moment::parse(&text).ok_or_else(|| {
            let form = "2026-07-01 or 2026-07-01T12:00:00+02:00";
            D::Error::custom(format_args!("\"{text}\" is no day or moment such as {form}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_moments_are_read() {
        let at = |text: &str, edge| Moment::parse(text).unwrap().at(edge);
        assert_eq!(at("2026-01-01", Edge::First), 1_767_225_600_000);
        assert_eq!(at("2026-01-01", Edge::Last), 1_767_225_600_000 + DAY_MS);
        for same in ["2026-01-01T12:00:00Z", "2026-01-01T14:00:00+02:00", "2026-01-01 12:00:00.5Z"] {
            assert_eq!(at(same, Edge::First), 1_767_225_600_000 + DAY_MS / 2, "{same}");
            assert_eq!(at(same, Edge::Last), at(same, Edge::First));
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in [
            "",
            "tomorrow",
            "2026-1-1",
            "2026-02-30",
            "2026-13-01",
            "01.07.2026",
            "2026-07-01T12:00",
            "2026-07-01T12:00:00",
            "2026-07-01T25:00:00Z",
            "1969-01-01",
            "2026-07-01T12:00:00+2",
            "2026-07-0é",
        ] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }
}
