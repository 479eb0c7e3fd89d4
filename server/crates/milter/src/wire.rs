//! The milter protocol as octets: a length of four octets, a code, and what belongs to it. No I/O here.
//!
//! Texts end with a NUL, so that none can stand in one. Numbers are in network order.

use bytes::{Buf, BufMut};

/// The version that is spoken, and the least that is taken.
pub(crate) const VERSION: u32 = 6;
pub(crate) const LEAST_VERSION: u32 = 2;

/// Octets of a frame that a milter may send, its code included. libmilter sends 65,536.
pub(crate) const MAX_FRAME_OCTETS: usize = 128 << 10;
/// Octets of a piece of a body that a milter is sent; more has to be negotiated.
pub(crate) const CHUNK_OCTETS: usize = 65_535;

/// What a milter may change (`SMFIF_...`).
pub(crate) mod actions {
    pub(crate) const ADD_HEADERS: u32 = 0x01;
    pub(crate) const CHANGE_BODY: u32 = 0x02;
    pub(crate) const ADD_RECIPIENTS: u32 = 0x04;
    pub(crate) const DELETE_RECIPIENTS: u32 = 0x08;
    pub(crate) const CHANGE_HEADERS: u32 = 0x10;
    pub(crate) const QUARANTINE: u32 = 0x20;
    pub(crate) const CHANGE_SENDER: u32 = 0x40;
    pub(crate) const ADD_RECIPIENTS_WITH_PARAMS: u32 = 0x80;
    pub(crate) const SET_MACROS: u32 = 0x100;

    /// All that is offered.
    pub(crate) const ALL: u32 = 0x1ff;
}

/// What a milter does not want to be told, or to answer (`SMFIP_...`).
pub(crate) mod steps {
    pub(crate) const NO_CONNECT: u32 = 0x01;
    pub(crate) const NO_HELO: u32 = 0x02;
    pub(crate) const NO_MAIL: u32 = 0x04;
    pub(crate) const NO_RCPT: u32 = 0x08;
    pub(crate) const NO_BODY: u32 = 0x10;
    pub(crate) const NO_HEADERS: u32 = 0x20;
    pub(crate) const NO_END_OF_HEADERS: u32 = 0x40;
    pub(crate) const NO_REPLY_HEADER: u32 = 0x80;
    pub(crate) const NO_UNKNOWN: u32 = 0x100;
    pub(crate) const NO_DATA: u32 = 0x200;
    pub(crate) const SKIP: u32 = 0x400;
    /// It wants to be told of recipients that were refused.
    pub(crate) const REFUSED_RECIPIENTS: u32 = 0x800;
    pub(crate) const NO_REPLY_CONNECT: u32 = 0x1000;
    pub(crate) const NO_REPLY_HELO: u32 = 0x2000;
    pub(crate) const NO_REPLY_MAIL: u32 = 0x4000;
    pub(crate) const NO_REPLY_RCPT: u32 = 0x8000;
    pub(crate) const NO_REPLY_DATA: u32 = 0x1_0000;
    pub(crate) const NO_REPLY_UNKNOWN: u32 = 0x2_0000;
    pub(crate) const NO_REPLY_END_OF_HEADERS: u32 = 0x4_0000;
    pub(crate) const NO_REPLY_BODY: u32 = 0x8_0000;
    pub(crate) const LEADING_SPACE: u32 = 0x10_0000;

    /// All that is offered: not larger pieces of a body.
    pub(crate) const ALL: u32 = 0x1f_ffff;
}

/// Where in a session macros belong: what `SMFIR_SETSYMLIST` calls them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MacroStage {
    Connect = 0,
    Helo = 1,
    Mail = 2,
    Rcpt = 3,
    Data = 4,
    EndOfMessage = 5,
    EndOfHeaders = 6,
}

impl MacroStage {
    pub(crate) const COUNT: usize = 7;

    /// The code of the command that the macros stand before.
    fn command(self) -> u8 {
        match self {
            Self::Connect => b'C',
            Self::Helo => b'H',
            Self::Mail => b'M',
            Self::Rcpt => b'R',
            Self::Data => b'T',
            Self::EndOfMessage => b'E',
            Self::EndOfHeaders => b'N',
        }
    }
}

/// What a milter is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    Negotiate {
        version: u32,
        actions: u32,
        steps: u32,
    },
    Macros {
        stage: MacroStage,
        values: &'a [(String, String)],
    },
    Connect {
        name: &'a str,
        family: u8,
        port: u16,
        address: &'a str,
    },
    Helo(&'a str),
    /// The address in angle brackets, then the parameters.
    Mail(&'a [String]),
    Rcpt(&'a [String]),
    Data,
    /// A command that the server does not know.
    Unknown(&'a str),
    Header {
        name: &'a str,
        value: &'a [u8],
    },
    EndOfHeaders,
    Body(&'a [u8]),
    EndOfMessage,
    Abort,
    Quit,
}

impl Command<'_> {
    /// Appends the frame.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let begin = out.len();
        out.put_u32(0);
        self.encode_inner(out);
        let len = u32::try_from(out.len() - begin - 4).unwrap_or(u32::MAX);
        out[begin..begin + 4].copy_from_slice(&len.to_be_bytes());
    }

    fn encode_inner(&self, out: &mut Vec<u8>) {
        match self {
            Self::Negotiate { version, actions, steps } => {
                out.put_u8(b'O');
                [version, actions, steps].into_iter().for_each(|number| out.put_u32(*number));
            }
            Self::Macros { stage, values } => {
                out.put_slice(&[b'D', stage.command()]);
                values.iter().flat_map(|(name, value)| [name, value]).for_each(|text| put_text(text, out));
            }
            Self::Connect { name, family, port, address } => {
                out.put_u8(b'C');
                put_text(name, out);
                out.put_u8(*family);
                out.put_u16(*port);
                put_text(address, out);
            }
            Self::Helo(name) => with_texts(b'H', &[*name], out),
            Self::Mail(words) => with_texts(b'M', words, out),
            Self::Rcpt(words) => with_texts(b'R', words, out),
            Self::Data => out.put_u8(b'T'),
            Self::Unknown(line) => with_texts(b'U', &[*line], out),
            Self::Header { name, value } => {
                out.put_u8(b'L');
                put_text(name, out);
                put_octets(value, out);
            }
            Self::EndOfHeaders => out.put_u8(b'N'),
            Self::Body(piece) => {
                out.put_u8(b'B');
                out.put_slice(piece);
            }
            Self::EndOfMessage => out.put_u8(b'E'),
            Self::Abort => out.put_u8(b'A'),
            Self::Quit => out.put_u8(b'Q'),
        }
    }
}

fn with_texts<T: AsRef<str>>(code: u8, texts: &[T], out: &mut Vec<u8>) {
    out.put_u8(code);
    texts.iter().for_each(|text| put_text(text.as_ref(), out));
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    put_octets(text.as_bytes(), out);
}

/// A NUL in a text would end it; what stands there instead is a question mark.
fn put_octets(octets: &[u8], out: &mut Vec<u8>) {
    out.extend(octets.iter().map(|octet| if *octet == 0 { b'?' } else { *octet }));
    out.put_u8(0);
}

/// Why octets are no frame of a milter's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    #[error("it sent a frame of {0} octets")]
    Length(u32),
    #[error("it sent the unknown code {0:#04x}")]
    Code(u8),
    #[error("it sent a {0} that is cut off, or has more than belongs to it")]
    Shape(&'static str),
    #[error("it sent a {0} that is not UTF-8")]
    Characters(&'static str),
}

/// Cuts what a milter sends into frames, however it arrives.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    buffer: bytes::BytesMut,
}

impl Frames {
    /// Where octets that were read are appended.
    pub(crate) fn buffer(&mut self) -> &mut bytes::BytesMut {
        &mut self.buffer
    }

    /// The next frame, code first, once it is whole.
    pub(crate) fn next(&mut self) -> Result<Option<bytes::Bytes>, WireError> {
        let Some(head) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let len = u32::from_be_bytes(*head);
        if len == 0 || len as usize > MAX_FRAME_OCTETS {
            return Err(WireError::Length(len));
        }
        if self.buffer.len() < 4 + len as usize {
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(len as usize).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commands_look_as_libmilter_reads_them() {
        let frame = |command: Command<'_>| {
            let mut out = Vec::new();
            command.encode(&mut out);
            out
        };
        assert_eq!(
            frame(Command::Negotiate { version: 6, actions: 0x1ff, steps: 0x1f_ffff }),
            b"\0\0\0\x0dO\0\0\0\x06\0\0\x01\xff\0\x1f\xff\xff"
        );
        assert_eq!(
            frame(Command::Connect { name: "a.example", family: b'4', port: 25, address: "192.0.2.1" }),
            b"\0\0\0\x18Ca.example\x004\0\x19192.0.2.1\0"
        );
        let macros = [("i".to_owned(), "1".to_owned()), ("{mail_addr}".to_owned(), "a@b".to_owned())];
        assert_eq!(
            frame(Command::Macros { stage: MacroStage::Mail, values: &macros }),
            b"\0\0\0\x16DMi\x001\0{mail_addr}\0a@b\0"
        );
        assert_eq!(frame(Command::Header { name: "A", value: b"b\0c" }), b"\0\0\0\x07LA\0b?c\0");
        assert_eq!(frame(Command::EndOfMessage), b"\0\0\0\x01E");
    }

    proptest! {
        #[test]
        fn frames_are_the_same_wherever_the_octets_are_cut(
            bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 1..6),
            cuts in proptest::collection::vec(1usize..9, 1..40),
        ) {
            let mut sent = Vec::new();
            for body in &bodies {
                sent.put_u32(body.len() as u32);
                sent.put_slice(body);
            }
            let (mut frames, mut heard, mut at, mut cuts) = (Frames::default(), Vec::new(), 0, cuts.iter().cycle());
            while at < sent.len() {
                let end = (at + cuts.next().copied().unwrap_or(1)).min(sent.len());
                frames.buffer().extend_from_slice(&sent[at..end]);
                at = end;
                while let Some(frame) = frames.next().unwrap() {
                    heard.push(frame.to_vec());
                }
            }
            prop_assert_eq!(heard, bodies);
        }
    }

    #[test]
    fn a_frame_of_no_octets_or_of_too_many_is_refused() {
        for len in [0, MAX_FRAME_OCTETS as u32 + 1, u32::MAX] {
            let mut frames = Frames::default();
            frames.buffer().put_u32(len);
            assert_eq!(frames.next(), Err(WireError::Length(len)));
        }
    }
}
