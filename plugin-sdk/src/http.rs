//! Requests to other hosts over HTTP, through the server. Needs the grant `http` with the host's name, and for a host of
//! one's own site its address as well (`http = ["127.0.0.1:11333"]`) or `http-private`.
//!
//! ```
//! # use waxwing_plugin::prelude::*;
//! # fn asked(address: &str) -> Result<bool, Error> {
//! let answer = http::get("https://users.example.org/exists")
//!     .query("address", address)
//!     .header("Authorization", "Bearer 0000")
//!     .timeout(seconds(2))
//!     .send()?
//!     .success()?;
//! Ok(answer.text().trim() == "yes")
//! # }
//! ```
//!
//! A redirect is an answer like any other and is not followed. Limits of the server: requests in a hook and in a session,
//! octets of request and answer, time; `timeout` can only shorten it.

use crate::{Error, host};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Write;
use std::time::Duration;

/// A request that is being put together.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a request is made by `send`"]
pub struct Request {
    /// `GET`, `POST` and so on.
    pub method: String,
    /// Absolute, `http` or `https`.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// What is sent with it.
    pub body: Vec<u8>,
    /// How long to wait for the whole answer; the server's limit when nothing is said.
    pub timeout: Option<Duration>,
}

/// What came back, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// 200, 404 and so on.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub body: Vec<u8>,
}

/// `GET` this URL.
pub fn get(url: &str) -> Request {
    request("GET", url)
}

/// `POST` to this URL.
pub fn post(url: &str) -> Request {
    request("POST", url)
}

/// Another method.
pub fn request(method: &str, url: &str) -> Request {
    Request {
        method: method.to_owned(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout: None,
    }
}

impl Request {
    /// One more header field. What frames the request (`Host`, `Content-Length`) is set by the server.
    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// One more parameter behind the URL's question mark, percent-encoded.
    pub fn query(mut self, name: &str, value: &str) -> Request {
        self.url.push(if self.url.contains('?') { '&' } else { '?' });
        encode(&mut self.url, name);
        self.url.push('=');
        encode(&mut self.url, value);
        self
    }

    /// The content.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Request {
        self.body = body.into();
        self
    }

    /// The content as JSON, with its `Content-Type`.
    ///
    /// # Errors
    /// [`Error::BadInput`] for what JSON cannot say.
    pub fn json(self, value: &impl Serialize) -> Result<Request, Error> {
        let body = serde_json::to_vec(value).map_err(|error| Error::BadInput(error.to_string()))?;
        Ok(self.header("Content-Type", "application/json").body(body))
    }

    /// How long to wait for the whole answer.
    pub fn timeout(mut self, timeout: Duration) -> Request {
        self.timeout = Some(timeout);
        self
    }

    /// Makes the request and waits for the answer.
    ///
    /// # Errors
    /// [`Error::Denied`] when the host, or the address that its name leads to, is not granted; [`Error::Quota`] when there
    /// are too many requests or octets; [`Error::TimedOut`]; [`Error::NotFound`] when there is no such host;
    /// [`Error::BadInput`] for what is no request; [`Error::Unavailable`] when there is no connection or no valid answer.
    pub fn send(&self) -> Result<Response, Error> {
        host::http_send(self)
    }
}

impl Response {
    /// An answer, for tests.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Response {
        Response { status, headers: Vec::new(), body: body.into() }
    }

    /// One more header field, for tests.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Response {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The answer when its status is 2xx.
    ///
    /// # Errors
    /// [`Error::Unavailable`] names the status.
    pub fn success(self) -> Result<Response, Error> {
        if self.is_success() {
            return Ok(self);
        }
        Err(Error::Unavailable(format!("the host answered {}", self.status)))
    }

    /// The first header field of this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let is_it = |(found, _): &&(String, String)| found.eq_ignore_ascii_case(name);
        self.headers.iter().find(is_it).map(|(_, value)| value.as_str())
    }

    /// The content as text; what is no UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The content as a value of the plugin's own type, from JSON.
    ///
    /// # Errors
    /// [`Error::Unavailable`] says what does not fit.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Unavailable(format!("its answer: {error}")))
    }
}

/// RFC 3986 section 2.3: what is not unreserved is encoded.
fn encode(url: &mut String, text: &str) {
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            url.push(char::from(octet));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(url, "%{octet:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded_behind_the_url() {
        let request = get("https://a.example/x").query("to", "a+b@é.example").query("n", "1 2");
        assert_eq!(request.url, "https://a.example/x?to=a%2Bb%40%C3%A9.example&n=1%202");
    }

    #[test]
    fn an_answer_that_is_no_success_is_an_error_where_one_is_asked_for() {
        let answer = Response::new(503, "{}").with_header("Retry-After", "5");
        assert_eq!(answer.header("retry-AFTER"), Some("5"));
        assert!(matches!(answer.success(), Err(Error::Unavailable(why)) if why.contains("503")));
        assert!(matches!(Response::new(200, "[").json::<Vec<u8>>(), Err(Error::Unavailable(_))));
    }
}
