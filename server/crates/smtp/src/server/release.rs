//! FUTURERELEASE: when a message that its sender asked to wait is let go (RFC 4865).

use std::time::Duration;

use model::{Param, Timestamp};

/// Until when a message waits, when MAIL asked for it with HOLDFOR or HOLDUNTIL; nothing otherwise, or when the value is not valid.
/// HOLDFOR counts from `arrived` on.
pub fn release_at(params: &[Param], arrived: Timestamp) -> Option<Timestamp> {
    params.iter().find_map(|param| match (param.keyword.as_str(), param.value.as_deref()) {
        ("HOLDFOR", Some(seconds)) => Some(arrived + hold_for(seconds)?),
        ("HOLDUNTIL", Some(date)) => hold_until(date),
        _ => None,
    })
}

/// One to nine digits of seconds (RFC 4865 section 5).
pub(super) fn hold_for(value: &str) -> Option<Duration> {
    let is_number = (1..=9).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { value.parse().ok().map(Duration::from_secs) } else { None }
}

/// A date and time of RFC 3339 (RFC 4865 section 5); one before 1970 is as good as none.
pub(super) fn hold_until(value: &str) -> Option<Timestamp> {
    let date: jiff::Timestamp = value.parse().ok()?;
    u64::try_from(date.as_millisecond()).ok().map(Timestamp)
}

/// As RFC 3339 writes it, in whole seconds of UTC.
pub(super) fn format(time: Timestamp) -> String {
    let seconds = i64::try_from(time.0 / 1_000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn released(keyword: &str, value: &str) -> Option<u64> {
        let param = Param { keyword: keyword.to_owned(), value: Some(value.to_owned()) };
        release_at(&[param], Timestamp(5_000)).map(|time| time.0)
    }

    #[test]
    fn a_message_waits_for_a_time_or_until_one() {
        assert_eq!(released("HOLDFOR", "60"), Some(65_000));
        assert_eq!(released("HOLDUNTIL", "1970-01-01T01:00:00+00:30"), Some(1_800_000));
        for (keyword, bad) in [
            ("HOLDFOR", ""),
            ("HOLDFOR", "-1"),
            ("HOLDFOR", "1234567890"),
            ("HOLDUNTIL", "tomorrow"),
            ("SIZE", "1"),
        ] {
            assert_eq!(released(keyword, bad), None, "{bad}");
        }
        assert_eq!(format(Timestamp(1_800_000)), "1970-01-01T00:30:00Z");
    }
}
