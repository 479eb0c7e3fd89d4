//! The values of ESMTP parameters that an envelope carries to its delivery.
//!
//! Standards: RFC 3461 (NOTIFY, RET, ENVID, ORCPT; section 4: xtext), RFC 2852 (BY), RFC 6710 (MT-PRIORITY). What a client sent stays
//! in the envelope as it was; here is what it means.

use std::fmt;

use crate::Envelope;

/// Octets of an ENVID (RFC 3461 section 4.4).
pub const MAX_ENVID_OCTETS: usize = 100;
/// Octets of an ORCPT (RFC 3461 section 4.2).
pub const MAX_ORCPT_OCTETS: usize = 500;

/// A parameter of RCPT that no client can give and no peer gets: the first of the addresses that an alias stands for has it when the
/// sender asked to hear of success, and is to hear that the alias was expanded (RFC 3461 section 5.2.7). Its value is the alias, unless
/// that is what the recipient was named by.
pub const EXPANDED: &str = "X-EXPANDED";

/// Likewise a parameter of RCPT that only this host knows: the sender that this recipient's mail is forwarded under.
pub const FORWARDED_AS: &str = "X-FORWARDED-AS";

/// Likewise: a plugin refused this recipient alone, with this reply, and the client could not be told. It is the end of the first attempt,
/// which is not made.
pub const REFUSED: &str = "X-REFUSED";

/// Likewise a parameter of MAIL: the plugin that submitted the message.
pub const SUBMITTED_BY: &str = "X-SUBMITTED-BY";

/// Whether a parameter is one that only this host knows.
pub fn is_internal(keyword: &str) -> bool {
    [EXPANDED, FORWARDED_AS, REFUSED, SUBMITTED_BY].iter().any(|known| known.eq_ignore_ascii_case(keyword))
}

/// Of which outcomes a sender wants to hear (RFC 3461 section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notify {
    pub success: bool,
    pub failure: bool,
    pub delay: bool,
}

impl Notify {
    /// What holds when a client said nothing: failures, and delays where the server likes to tell.
    pub const UNSAID: Self = Self { success: false, failure: true, delay: true };

    /// What `NEVER` means.
    pub const NEVER: Self = Self { success: false, failure: false, delay: false };

    /// Reads the value; nothing when it is not valid.
    pub fn parse(value: &str) -> Option<Self> {
        let mut notify = Self::NEVER;
        //= RFC 3461 section 4.1: NEVER stands alone.
        if value.eq_ignore_ascii_case("NEVER") {
            return Some(notify);
        }
        for word in value.split(',') {
            let wanted = match word.to_ascii_uppercase().as_str() {
                "SUCCESS" => &mut notify.success,
                "FAILURE" => &mut notify.failure,
                "DELAY" => &mut notify.delay,
                _ => return None,
            };
            if std::mem::replace(wanted, true) {
                return None;
            }
        }
        Some(notify)
    }
}

/// As the value is written.
impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [(self.success, "SUCCESS"), (self.failure, "FAILURE"), (self.delay, "DELAY")];
        let said: Vec<&str> = words.iter().filter(|(is_said, _)| *is_said).map(|(_, word)| *word).collect();
        f.write_str(if said.is_empty() { "NEVER" } else { "" })?;
        f.write_str(&said.join(","))
    }
}

/// What becomes of a message that was not delivered in time (RFC 2852 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LateMode {
    /// `R`: it comes back.
    Return,
    /// `N`: the sender hears of it, and delivery goes on.
    Notify,
}

/// The parameter BY (RFC 2852 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliverBy {
    /// From the arrival on; what is negative has passed on an earlier host. At most nine digits.
    pub seconds: i64,
    pub mode: LateMode,
    /// Every host on the way is to report that it passed the message on.
    pub trace: bool,
}

impl DeliverBy {
    /// Reads the value; nothing when it is not valid.
    pub fn parse(value: &str) -> Option<Self> {
        let (time, mode) = value.split_once(';')?;
        let digits = time.strip_prefix(['+', '-']).unwrap_or(time);
        if !(1..=9).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let seconds = time.parse().ok()?;
        let (mode, trace) = match mode.to_ascii_uppercase().as_str() {
            "R" => (LateMode::Return, false),
            "RT" => (LateMode::Return, true),
            "N" => (LateMode::Notify, false),
            "NT" => (LateMode::Notify, true),
            _ => return None,
        };
        //= RFC 2852 section 4: with mode R the time is positive.
        (mode == LateMode::Notify || seconds > 0).then_some(Self { seconds, mode, trace })
    }
}

/// Reads the value of MT-PRIORITY: -9 to 9 (RFC 6710 section 4).
pub fn parse_priority(value: &str) -> Option<i8> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let is_digit = matches!(digits.as_bytes(), [digit] if digit.is_ascii_digit());
    if is_digit { value.parse().ok() } else { None }
}

impl Envelope {
    /// How urgent the message is, -9 to 9; 0 when nothing was said (RFC 6710).
    pub fn priority(&self) -> i8 {
        self.sender_param("MT-PRIORITY").and_then(parse_priority).unwrap_or(0)
    }
}

/// Undoes xtext: `+` and two upper-case hexadecimal digits stand for an octet (RFC 3461 section 4). Nothing when the text is no xtext
/// or is not UTF-8 behind it.
pub fn decode_xtext(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => octets.push(hex(rest.next()?)? << 4 | hex(rest.next()?)?),
            b'!'..=b'~' if byte != b'=' => octets.push(byte),
            _ => return None,
        }
    }
    String::from_utf8(octets).ok()
}

/// Writes xtext.
pub fn encode_xtext(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' if !matches!(byte, b'+' | b'=') => encoded.push(char::from(byte)),
            _ => encoded += &format!("+{byte:02X}"),
        }
    }
    encoded
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notify_is_never_or_some_of_three_each_once() {
        let all = Notify { success: true, failure: true, delay: true };
        assert_eq!(Notify::parse("success,FAILURE,Delay"), Some(all));
        assert_eq!(Notify::parse("never"), Some(Notify { success: false, failure: false, delay: false }));
        for text in ["NEVER", "SUCCESS", "FAILURE,DELAY", "SUCCESS,FAILURE,DELAY"] {
            assert_eq!(Notify::parse(text).unwrap().to_string(), text);
        }
        for bad in ["", "NEVER,DELAY", "SUCCESS,SUCCESS", "SUCCESS,", "ALWAYS", "SUCCESS DELAY"] {
            assert_eq!(Notify::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_deadline_has_a_time_and_a_mode() {
        let by = |seconds, mode, trace| Some(DeliverBy { seconds, mode, trace });
        assert_eq!(DeliverBy::parse("120;R"), by(120, LateMode::Return, false));
        assert_eq!(DeliverBy::parse("-120;nt"), by(-120, LateMode::Notify, true));
        for bad in ["", "120", "120;", "120;X", "0;R", "-1;R", "1234567890;R", "1x;N", "--1;N", ";N"] {
            assert_eq!(DeliverBy::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_priority_is_one_digit_with_or_without_a_minus() {
        assert_eq!(["-9", "0", "9"].map(parse_priority), [Some(-9), Some(0), Some(9)]);
        for bad in ["", "-", "10", "+3", "x", "--3"] {
            assert_eq!(parse_priority(bad), None, "{bad}");
        }
    }

    #[test]
    fn xtext_is_read_and_written() {
        assert_eq!(encode_xtext("a+b=c é"), "a+2Bb+3Dc+20+C3+A9");
        assert_eq!(decode_xtext("a+2Bb+3Dc+20+C3+A9").as_deref(), Some("a+b=c é"));
        for bad in ["a+", "a+2", "a+2b", "a=b", "a b", "\u{e9}", "+FF"] {
            assert_eq!(decode_xtext(bad), None, "{bad}");
        }
    }
}
