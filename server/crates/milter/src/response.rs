//! What a milter answers, read from a frame. Nothing that is no answer gets past here.

use bytes::{Buf, Bytes};
use model::{EnhancedStatus, Reply};

use crate::wire::WireError;

/// Octets of a reply's text, and of a reason, that are kept.
const MAX_TEXT_OCTETS: usize = 2_048;

/// One answer, or one of the changes that stand before the answer to the end of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Response {
    Negotiated(Negotiated),
    Continue,
    Accept,
    Reject,
    TempFail,
    Discard,
    /// No more of this body.
    Skip,
    /// The session is to end.
    Shutdown,
    Progress,
    ReplyCode(Reply),
    Change(Change),
}

/// What a milter wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Negotiated {
    pub(crate) version: u32,
    pub(crate) actions: u32,
    pub(crate) steps: u32,
    /// By the number of a stage: the names, with white space between them.
    pub(crate) macros: Vec<(u32, String)>,
}

/// A change of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    AddHeader {
        name: String,
        value: Bytes,
    },
    InsertHeader {
        at: u32,
        name: String,
        value: Bytes,
    },
    /// The `nth` of its name, from 1. An empty value removes it.
    SetHeader {
        nth: u32,
        name: String,
        value: Bytes,
    },
    Body(Bytes),
    Sender {
        address: String,
        params: String,
    },
    AddRecipient {
        address: String,
        params: String,
    },
    DeleteRecipient(String),
    Quarantine(String),
}

impl Response {
    /// Reads a frame.
    pub(crate) fn decode(mut frame: Bytes) -> Result<Self, WireError> {
        let code = frame.try_get_u8().map_err(|_| WireError::Length(0))?;
        let rest = Rest(frame);
        Ok(match code {
            b'O' => Self::Negotiated(rest.negotiated()?),
            b'c' => rest.nothing(Self::Continue, "continue")?,
            b'a' => rest.nothing(Self::Accept, "accept")?,
            b'r' => rest.nothing(Self::Reject, "reject")?,
            b't' => rest.nothing(Self::TempFail, "tempfail")?,
            b'd' => rest.nothing(Self::Discard, "discard")?,
            b's' => rest.nothing(Self::Skip, "skip")?,
            b'4' | b'f' => rest.nothing(Self::Shutdown, "shutdown")?,
            b'p' => rest.nothing(Self::Progress, "progress")?,
            b'y' => Self::ReplyCode(rest.reply()?),
            b'h' => Self::Change(rest.add_header()?),
            b'i' => Self::Change(rest.numbered_header(true)?),
            b'm' => Self::Change(rest.numbered_header(false)?),
            b'b' => Self::Change(Change::Body(rest.0)),
            b'e' => {
                let (address, params) = rest.address_with_params("sender")?;
                Self::Change(Change::Sender { address, params })
            }
            b'+' => {
                let address = rest.only_text("recipient")?;
                Self::Change(Change::AddRecipient { address, params: String::new() })
            }
            b'2' => {
                let (address, params) = rest.address_with_params("recipient")?;
                Self::Change(Change::AddRecipient { address, params })
            }
            b'-' => Self::Change(Change::DeleteRecipient(rest.only_text("recipient")?)),
            b'q' => Self::Change(Change::Quarantine(one_line(&rest.only_text("quarantine")?))),
            other => return Err(WireError::Code(other)),
        })
    }

    /// What the log calls it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Negotiated(_) => "a negotiation",
            Self::Continue => "continue",
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::TempFail => "tempfail",
            Self::Discard => "discard",
            Self::Skip => "skip",
            Self::Shutdown => "shutdown",
            Self::Progress => "progress",
            Self::ReplyCode(_) => "a reply",
            Self::Change(_) => "a change",
        }
    }
}

/// What follows the code.
struct Rest(Bytes);

impl Rest {
    fn nothing(self, response: Response, what: &'static str) -> Result<Response, WireError> {
        if self.0.is_empty() { Ok(response) } else { Err(WireError::Shape(what)) }
    }

    fn number(&mut self, what: &'static str) -> Result<u32, WireError> {
        self.0.try_get_u32().map_err(|_| WireError::Shape(what))
    }

    /// Octets up to the next NUL.
    fn octets(&mut self, what: &'static str) -> Result<Bytes, WireError> {
        let end = memchr::memchr(0, &self.0).ok_or(WireError::Shape(what))?;
        let octets = self.0.split_to(end);
        self.0.advance(1);
        Ok(octets)
    }

    fn text(&mut self, what: &'static str) -> Result<String, WireError> {
        let octets = self.octets(what)?;
        String::from_utf8(octets.to_vec()).map_err(|_| WireError::Characters(what))
    }

    fn only_text(mut self, what: &'static str) -> Result<String, WireError> {
        let text = self.text(what)?;
        if self.0.is_empty() { Ok(text) } else { Err(WireError::Shape(what)) }
    }

    fn address_with_params(mut self, what: &'static str) -> Result<(String, String), WireError> {
        let address = self.text(what)?;
        let params = if self.0.is_empty() { String::new() } else { self.text(what)? };
        if self.0.is_empty() { Ok((address, params)) } else { Err(WireError::Shape(what)) }
    }

    fn negotiated(mut self) -> Result<Negotiated, WireError> {
        let what = "negotiation";
        let (version, actions, steps) = (self.number(what)?, self.number(what)?, self.number(what)?);
        let mut macros = Vec::new();
        while !self.0.is_empty() {
            macros.push((self.number(what)?, self.text(what)?));
        }
        Ok(Negotiated { version, actions, steps, macros })
    }

    fn add_header(mut self) -> Result<Change, WireError> {
        let (name, value) = self.header()?;
        Ok(Change::AddHeader { name, value })
    }

    fn numbered_header(mut self, inserts: bool) -> Result<Change, WireError> {
        let number = self.number("header field")?;
        let (name, value) = self.header()?;
        Ok(match inserts {
            true => Change::InsertHeader { at: number, name, value },
            false => Change::SetHeader { nth: number, name, value },
        })
    }

    fn header(&mut self) -> Result<(String, Bytes), WireError> {
        let (name, value) = (self.text("header field")?, self.octets("header field")?);
        if self.0.is_empty() { Ok((name, value)) } else { Err(WireError::Shape("header field")) }
    }

    /// `550 5.7.1 text`, one line or several. Only 4xx and 5xx refuse.
    fn reply(self) -> Result<Reply, WireError> {
        let text = self.only_text("reply")?;
        let mut reply: Option<Reply> = None;
        for line in text.split(['\r', '\n']).filter(|line| !line.is_empty()) {
            let (code, status, text) = reply_line(line).ok_or(WireError::Shape("reply"))?;
            match &mut reply {
                None => reply = Some(Reply { code, status, text: text.to_owned() }),
                Some(reply) => {
                    reply.text.push('\n');
                    reply.text.push_str(text);
                }
            }
        }
        let mut reply = reply.ok_or(WireError::Shape("reply"))?;
        // sendmail reads `%%` where one is meant, and libmilter's users write it so.
        reply.text = reply.text.replace("%%", "%");
        reply.text.truncate(reply.text.floor_char_boundary(MAX_TEXT_OCTETS));
        Ok(reply)
    }
}

/// Code, status and text of a line.
fn reply_line(line: &str) -> Option<(u16, Option<EnhancedStatus>, &str)> {
    let (code, rest) = line.split_at_checked(3)?;
    let code: u16 = code.parse().ok().filter(|code| (400..600).contains(code))?;
    let rest = rest.strip_prefix([' ', '-']).or(rest.is_empty().then_some(""))?;
    let (first, behind) = rest.split_once(' ').unwrap_or((rest, ""));
    Some(match EnhancedStatus::parse(first) {
        Some(status) => (code, Some(status), behind),
        None => (code, None, rest),
    })
}

/// A text that stays one line of a log.
fn one_line(text: &str) -> String {
    let kept = &text[..text.floor_char_boundary(MAX_TEXT_OCTETS)];
    kept.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(frame: &[u8]) -> Result<Response, WireError> {
        Response::decode(Bytes::copy_from_slice(frame))
    }

    #[test]
    fn answers_are_read() {
        assert_eq!(decode(b"c"), Ok(Response::Continue));
        assert_eq!(decode(b"f"), Ok(Response::Shutdown));
        let inserted =
            Change::InsertHeader { at: 1, name: "X-A".to_owned(), value: Bytes::from_static(b"b") };
        assert_eq!(decode(b"i\0\0\0\x01X-A\0b\0"), Ok(Response::Change(inserted)));
        let with_params =
            Change::AddRecipient { address: "<a@b>".to_owned(), params: "NOTIFY=NEVER".to_owned() };
        assert_eq!(decode(b"2<a@b>\0NOTIFY=NEVER\0"), Ok(Response::Change(with_params)));
        let wanted =
            Negotiated { version: 6, actions: 1, steps: 2, macros: vec![(2, "i {auth_type}".to_owned())] };
        assert_eq!(
            decode(b"O\0\0\0\x06\0\0\0\x01\0\0\0\x02\0\0\0\x02i {auth_type}\0"),
            Ok(Response::Negotiated(wanted))
        );
    }

    #[test]
    fn a_reply_has_code_status_and_lines() {
        let reply = |frame: &[u8]| match decode(frame) {
            Ok(Response::ReplyCode(reply)) => reply,
            other => panic!("{other:?}"),
        };
        assert_eq!(reply(b"y550 5.7.9 no, 100%% sure\0"), Reply::new(550, (5, 7, 9), "no, 100% sure"));
        assert_eq!(reply(b"y451-4.7.1 one\r\n451 4.7.1 two\0"), Reply::new(451, (4, 7, 1), "one\ntwo"));
        assert_eq!(reply(b"y554\0"), Reply::plain(554, ""));
        for bad in [&b"y250 2.0.0 fine\0"[..], b"yno\0", b"y550no\0", b"y\0", b"y550 no", b"y999 x\0"] {
            assert_eq!(decode(bad), Err(WireError::Shape("reply")), "{bad:?}");
        }
    }

    #[test]
    fn what_is_cut_off_or_too_long_is_refused() {
        for bad in
            [&b"cx"[..], b"h", b"hX\0v", b"hX\0v\0more\0", b"i\0\0X\0v\0", b"+a", b"O\0\0\0\x06", b"Z", b""]
        {
            assert!(decode(bad).is_err(), "{bad:?}");
        }
        assert_eq!(decode(b"q\xff\0"), Err(WireError::Characters("quarantine")));
    }

    proptest! {
        #[test]
        fn no_octets_cause_a_panic(frame in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&frame);
        }
    }
}
