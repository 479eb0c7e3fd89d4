//! Reading replies off the wire (RFC 5321 section 4.2), a few octets or many at a time.

use model::{EnhancedStatus, Reply};

/// Why octets are no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    #[error("a line of the reply is longer than {} octets", ReplyReader::MAX_LINE_OCTETS)]
    LineTooLong,
    #[error("the reply has more than {} lines", ReplyReader::MAX_LINES)]
    TooManyLines,
    #[error("not a reply: {0:?}")]
    Malformed(String),
    #[error("the lines of a reply disagree: {0} and {1}")]
    CodesDiffer(u16, u16),
}

/// Puts lines together to replies. After an error it must not be used again.
#[derive(Debug, Default)]
pub struct ReplyReader {
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// The lines of a reply whose last line has not come.
    partial: Option<Partial>,
}

#[derive(Debug)]
struct Partial {
    reply: Reply,
    lines: usize,
}

impl ReplyReader {
    /// Octets in a line, with its end. RFC 5321 section 4.5.3.1.5 allows 512; peers do more.
    pub const MAX_LINE_OCTETS: usize = 2048;
    /// Lines in a reply.
    pub const MAX_LINES: usize = 100;

    /// Takes octets off the front of `octets` until a reply is whole; nothing when they do not suffice.
    ///
    /// # Errors
    /// When the peer does not speak SMTP, or says too much.
    pub fn read(&mut self, octets: &mut &[u8]) -> Result<Option<Reply>, ReplyError> {
        while let Some(end) = memchr::memchr(b'\n', octets) {
            let (line, rest) = octets.split_at(end);
            *octets = &rest[1..];
            if self.line.len() + line.len() >= Self::MAX_LINE_OCTETS {
                return Err(ReplyError::LineTooLong);
            }
            let whole = if self.line.is_empty() {
                self.take_line(line)?
            } else {
                self.line.extend_from_slice(line);
                let line = std::mem::take(&mut self.line);
                self.take_line(&line)?
            };
            if whole.is_some() {
                return Ok(whole);
            }
        }
        if self.line.len() + octets.len() >= Self::MAX_LINE_OCTETS {
            return Err(ReplyError::LineTooLong);
        }
        self.line.extend_from_slice(octets);
        *octets = &[];
        Ok(None)
    }

    /// Whether a reply has begun and not ended.
    pub fn is_partial(&self) -> bool {
        self.partial.is_some() || !self.line.is_empty()
    }

    fn take_line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        let (code, is_last, text) = split_line(line)?;
        let (status, text) = split_status(code, &text);
        let mut partial = match self.partial.take() {
            None => Partial { reply: Reply { code, status, text: text.to_owned() }, lines: 1 },
            Some(partial) if partial.reply.code != code => {
                return Err(ReplyError::CodesDiffer(partial.reply.code, code));
            }
            Some(mut partial) => {
                partial.lines += 1;
                partial.reply.text.push('\n');
                partial.reply.text.push_str(text);
                partial
            }
        };
        if partial.lines > Self::MAX_LINES {
            return Err(ReplyError::TooManyLines);
        }
        if is_last {
            partial.reply.text.truncate(partial.reply.text.trim_end().len());
            return Ok(Some(partial.reply));
        }
        self.partial = Some(partial);
        Ok(None)
    }
}

/// Code, whether it is the last line, and the text. A bare LF ends a line as CRLF does: nothing can be smuggled into us by it.
fn split_line(line: &[u8]) -> Result<(u16, bool, String), ReplyError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let malformed = || {
        let shown: String = String::from_utf8_lossy(line).chars().take(60).collect();
        ReplyError::Malformed(shown)
    };
    let digits =
        line.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit)).ok_or_else(malformed)?;
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    if !(200..600).contains(&code) {
        return Err(malformed());
    }
    let is_last = match line.get(3) {
        None | Some(b' ') => true,
        Some(b'-') => false,
        Some(_) => return Err(malformed()),
    };
    Ok((code, is_last, String::from_utf8_lossy(line.get(4..).unwrap_or(b"")).into_owned()))
}

/// Takes the enhanced status off the text; only one of the reply's own class is believed (RFC 2034 section 4).
fn split_status(code: u16, text: &str) -> (Option<EnhancedStatus>, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match EnhancedStatus::parse(word).filter(|status| u16::from(status.class) == code / 100) {
        Some(status) => (Some(status), rest),
        None => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_all(mut octets: &[u8]) -> Result<Vec<Reply>, ReplyError> {
        let mut reader = ReplyReader::default();
        let mut replies = Vec::new();
        while let Some(reply) = reader.read(&mut octets)? {
            replies.push(reply);
        }
        Ok(replies)
    }

    #[test]
    fn lines_make_a_reply_and_the_status_stands_apart() {
        let replies = read_all(b"550-5.1.1 no such\r\n550 5.1.1 user\r\n250\r\n354 go\n").unwrap();
        assert_eq!(
            replies,
            [Reply::new(550, (5, 1, 1), "no such\nuser"), Reply::plain(250, ""), Reply::plain(354, "go")]
        );
    }

    #[test]
    fn a_status_of_another_class_is_text() {
        assert_eq!(read_all(b"250 5.1.1 odd\r\n").unwrap(), [Reply::plain(250, "5.1.1 odd")]);
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        for bad in ["hello\r\n", "25\r\n", "199 x\r\n", "600 x\r\n", "250+x\r\n", "\r\n"] {
            assert!(matches!(read_all(bad.as_bytes()), Err(ReplyError::Malformed(_))), "{bad:?}");
        }
        assert_eq!(read_all(b"250-a\r\n251 b\r\n"), Err(ReplyError::CodesDiffer(250, 251)));
    }

    #[test]
    fn a_peer_that_never_ends_is_stopped() {
        assert_eq!(read_all(&[b'2'; 2048]), Err(ReplyError::LineTooLong));
        let endless = format!("250 {}\r\n", "x".repeat(3000));
        assert_eq!(read_all(endless.as_bytes()), Err(ReplyError::LineTooLong));
        assert_eq!(read_all("250-x\r\n".repeat(101).as_bytes()), Err(ReplyError::TooManyLines));
        assert_eq!(read_all(format!("{}250 x\r\n", "250-x\r\n".repeat(99)).as_bytes()).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(octets in "(2[0-9]{2}[- ][ -~]{0,20}\r?\n){0,6}[ -~]{0,5}", cuts in prop::collection::vec(1usize..7, 1..40)) {
            let mut reader = ReplyReader::default();
            let mut replies = Ok(Vec::new());
            let mut rest = octets.as_bytes();
            let mut cuts = cuts.iter().cycle();
            'all: while !rest.is_empty() {
                let (mut chunk, tail) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                rest = tail;
                loop {
                    match reader.read(&mut chunk) {
                        Ok(Some(reply)) => replies.as_mut().unwrap().push(reply),
                        Ok(None) => break,
                        Err(error) => { replies = Err(error); break 'all }
                    }
                }
            }
            prop_assert_eq!(replies, read_all(octets.as_bytes()));
        }

        #[test]
        fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_all(&octets);
        }
    }
}
