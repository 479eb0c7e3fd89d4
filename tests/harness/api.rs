//! A client of the API over HTTP, and the tokens that it has.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::{LONG, Server, Setup, run};

/// What was answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// With the line of the status.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The first field of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// What a problem says.
    #[track_caller]
    pub(crate) fn detail(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{self:?}");
        problem["detail"].as_str().expect("a detail").to_owned()
    }
}

/// Somebody with a token.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
}

impl Api {
    /// Whoever has this token of [`Setup::token`].
    pub(crate) fn of(server: &Server, token: &str) -> Self {
        Self { address: server.listener("web"), token: token.to_owned() }
    }

    /// Asks, with more fields and a body.
    pub(crate) fn asks(&self, request: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("{request} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        if !self.token.is_empty() {
            let _ = write!(head, "Authorization: Bearer {}\r\n", self.token);
        }
        for (name, value) in fields {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(head, "Content-Length: {}\r\n\r\n", body.len());
        raw(self.address, &[head.as_bytes(), body].concat())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.asks(&format!("GET {path}"), &[], b"")
    }

    pub(crate) fn post(&self, path: &str) -> Answer {
        self.asks(&format!("POST {path}"), &[], b"")
    }

    pub(crate) fn post_json(&self, path: &str, body: &Value, fields: &[(&str, &str)]) -> Answer {
        let fields = [&[("Content-Type", "application/json")], fields].concat();
        self.asks(&format!("POST {path}"), &fields, body.to_string().as_bytes())
    }
}

/// Sends octets as they are, and reads until the server closes.
pub(crate) fn raw(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(LONG)).expect("a timeout");
    // A server that has heard enough closes meanwhile.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunked(body) } else { body.to_owned() };
    Answer { status, head: head.to_owned(), body }
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap_or(0);
        let Some(chunk) = rest.get(..length).filter(|chunk| !chunk.is_empty()) else { break };
        whole.push_str(chunk);
        body = rest.get(length + 2..).unwrap_or_default();
    }
    whole
}

impl Setup {
    /// Answers over HTTP, at a free port.
    pub(crate) fn answers_over_http(self) -> Self {
        self.set("web", "bind = \"127.0.0.1:0\"")
    }

    /// A new token, which the configuration knows from now on.
    pub(crate) fn token(self, name: &str, arguments: &[&str]) -> (Self, String) {
        let made = run(self.binary().args(["token", "new", name, "--json"]).args(arguments));
        assert_eq!(made.code, 0, "{}", made.err);
        let made: Value = serde_json::from_str(&made.out).expect("JSON");
        let text = |key: &str| made[key].as_str().expect("a text").to_owned();
        (self.block(&text("table")), text("token"))
    }
}
