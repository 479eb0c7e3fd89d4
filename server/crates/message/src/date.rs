//! Dates and message ids as header fields carry them.
//!
//! Standards: RFC 5322 (3.3 dates, 3.6.4 message ids).

use std::fmt::Display;

use jiff::tz::TimeZone;
use model::Timestamp;

/// The date in the form of RFC 5322 section 3.3, in UTC: `Sun, 22 Nov 2026 10:35:47 +0000`. Times beyond the
/// year 9999 are all its 30 December.
pub fn format_date(time: Timestamp) -> String {
    let millisecond = i64::try_from(time.0).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millisecond).unwrap_or(jiff::Timestamp::MAX);
    jiff::fmt::rfc2822::to_string(&time.to_zoned(TimeZone::UTC)).unwrap_or_default()
}

/// A message id with its angle brackets. `id` is unique on this host over all times (a queue id) and an RFC
/// 5322 `dot-atom-text`; `hostname` is this host's.
pub fn message_id(id: impl Display, hostname: &str) -> String {
    format!("<{id}@{hostname}>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_in_the_form_of_rfc_5322() {
        assert_eq!(format_date(Timestamp(0)), "Thu, 1 Jan 1970 00:00:00 +0000");
        assert_eq!(format_date(Timestamp(1_795_343_747_999)), "Sun, 22 Nov 2026 10:35:47 +0000");
        assert_eq!(format_date(Timestamp(u64::MAX)), "Thu, 30 Dec 9999 22:00:00 +0000");
        for time in [0, 951_782_400_000, 1_795_343_747_000] {
            let parsed = mail_parser::DateTime::parse_rfc822(&format_date(Timestamp(time))).unwrap();
            assert_eq!(parsed.to_timestamp() * 1000, i64::try_from(time).unwrap());
        }
    }

    #[test]
    fn message_ids_have_angle_brackets() {
        assert_eq!(message_id(model::QueueId(7), "mx.example.org"), "<0000000000007@mx.example.org>");
    }
}
