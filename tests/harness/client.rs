//! An SMTP client that says what it is told and looks at every reply.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::LONG;
use super::stream::Stream;

/// One reply, of one line or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    /// The lines without their codes, separated by `\n`.
    pub(crate) text: String,
}

impl Reply {
    /// Whether it begins as `start` does: "550", or "550 5.1.1".
    pub(crate) fn begins(&self, start: &str) -> bool {
        format!("{} {}", self.code, self.text).starts_with(start)
    }
}

/// A connection to the server.
#[derive(Debug)]
pub(crate) struct Smtp {
    stream: BufReader<Stream>,
}

impl Smtp {
    /// Connects and reads nothing.
    pub(crate) fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap_or_else(|e| panic!("connect to {to}: {e}"));
        stream.set_read_timeout(Some(LONG)).expect("a read timeout");
        stream.set_nodelay(true).expect("no delay");
        Self { stream: BufReader::new(Stream::Plain(stream)) }
    }

    /// Connects, when somebody listens.
    pub(crate) fn tries_to_connect(to: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(to).ok()?;
        stream.set_read_timeout(Some(LONG)).ok()?;
        stream.set_nodelay(true).ok()?;
        Some(Self { stream: BufReader::new(Stream::Plain(stream)) })
    }

    /// Connects as a proxy does that brings a client of this IPv4 address, and reads nothing.
    pub(crate) fn brought(to: SocketAddr, client: &str) -> Self {
        let mut smtp = Self::connect(to);
        smtp.raw(format!("PROXY TCP4 {client} 127.0.0.1 40000 25\r\n"));
        smtp
    }

    /// Connects, hears 220, and says EHLO.
    pub(crate) fn greeted(to: SocketAddr) -> Self {
        let mut client = Self::connect(to);
        client.hears("220");
        client.asks("EHLO client.example.com", "250");
        client
    }

    /// Makes the TLS handshake, trusting this certificate and no other. What the server said before it is gone.
    pub(crate) fn secures(&mut self, certificate: &Path) {
        assert!(self.stream.buffer().is_empty(), "the server spoke before the handshake");
        self.stream.get_mut().secure(certificate).expect("a handshake");
    }

    /// The port that it connects from.
    pub(crate) fn port(&self) -> u16 {
        self.stream.get_ref().tcp().local_addr().expect("an address").port()
    }

    /// Sends bytes as they are.
    pub(crate) fn raw(&mut self, bytes: impl AsRef<[u8]>) {
        assert!(self.try_raw(bytes), "the server reads");
    }

    /// Sends bytes; false when the server has closed already.
    pub(crate) fn try_raw(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let stream = self.stream.get_mut();
        stream.write_all(bytes.as_ref()).and_then(|()| stream.flush()).is_ok()
    }

    /// Sends a line.
    pub(crate) fn says(&mut self, line: &str) {
        self.raw(format!("{line}\r\n"));
    }

    /// The next reply; nothing when the server has closed the connection.
    pub(crate) fn next_reply(&mut self) -> Option<Reply> {
        let mut text = Vec::new();
        loop {
            let mut line = Vec::new();
            match self.stream.read_until(b'\n', &mut line) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(e) if is_the_end(e.kind()) => {
                    return None;
                }
                Err(e) => panic!("no reply: {e}"),
            }
            let line = String::from_utf8(line).expect("replies are UTF-8");
            let line = line.strip_suffix("\r\n").unwrap_or_else(|| panic!("a reply ends in CRLF: {line:?}"));
            let code: u16 = line.get(..3).and_then(|c| c.parse().ok()).unwrap_or_else(|| panic!("{line:?}"));
            text.push(line.get(4..).unwrap_or_default().to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Some(Reply { code, text: text.join("\n") });
            }
        }
    }

    /// The next reply must begin with this.
    #[track_caller]
    pub(crate) fn hears(&mut self, start: &str) -> Reply {
        match self.next_reply() {
            Some(reply) if reply.begins(start) => reply,
            Some(reply) => panic!("expected {start:?}, heard {} {}", reply.code, reply.text),
            None => panic!("expected {start:?}, the server closed the connection"),
        }
    }

    /// Says a line and hears its reply.
    #[track_caller]
    pub(crate) fn asks(&mut self, line: &str, start: &str) -> Reply {
        self.says(line);
        self.hears(start)
    }

    /// Says a line and hears whatever comes; nothing when the server closes.
    pub(crate) fn tries(&mut self, line: &str) -> Option<Reply> {
        if !self.try_raw(format!("{line}\r\n")) {
            return self.next_reply();
        }
        self.next_reply()
    }

    /// The server must close the connection without another reply.
    #[track_caller]
    pub(crate) fn hears_the_end(&mut self) {
        if let Some(reply) = self.next_reply() {
            panic!("expected the end, heard {} {}", reply.code, reply.text);
        }
    }

    /// MAIL, RCPT for each and DATA, all of which must be taken.
    #[track_caller]
    pub(crate) fn begins_message(&mut self, from: &str, to: &[&str]) {
        self.asks(&format!("MAIL FROM:<{from}>"), "250");
        for to in to {
            self.asks(&format!("RCPT TO:<{to}>"), "250");
        }
        self.asks("DATA", "354");
    }

    /// The content, with dots stuffed and the final dot; then the reply to it.
    pub(crate) fn ends_message(&mut self, content: impl AsRef<[u8]>) -> Reply {
        self.raw(stuffed(content.as_ref()));
        self.next_reply().expect("a reply to the message")
    }

    /// A whole transaction that must be taken.
    #[track_caller]
    pub(crate) fn sends(&mut self, from: &str, to: &[&str], content: impl AsRef<[u8]>) -> Reply {
        self.begins_message(from, to);
        let reply = self.ends_message(content);
        assert_eq!(reply.code, 250, "{}", reply.text);
        reply
    }

    /// Everything that is still to come, up to the end.
    pub(crate) fn drains(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end as well.
        let _ = self.stream.read_to_end(&mut rest);
        rest
    }
}

/// One message in a session of its own; it must be taken.
#[track_caller]
pub(crate) fn deliver(to: SocketAddr, from: &str, recipients: &[&str], content: impl AsRef<[u8]>) -> Reply {
    let mut client = Smtp::greeted(to);
    let reply = client.sends(from, recipients, content);
    client.asks("QUIT", "221");
    reply
}

/// A short message whose subject and body carry a word to look for.
pub(crate) fn message(word: &str) -> String {
    format!("From: ann@example.com\r\nTo: alice@example.org\r\nSubject: {word}\r\n\r\nThis is {word}.\r\n")
}

/// A word that no other call gives.
pub(crate) fn unique(stem: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{stem}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Whether an error of reading says no more than that the server has closed; under TLS it may do so without a word.
fn is_the_end(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof)
}

/// RFC 5321 section 4.5.2.
fn stuffed(content: &[u8]) -> Vec<u8> {
    assert!(content.ends_with(b"\r\n"), "content ends with a line end");
    let mut out = Vec::with_capacity(content.len() + 5);
    for line in content.split_inclusive(|b| *b == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    out.extend_from_slice(b".\r\n");
    out
}
