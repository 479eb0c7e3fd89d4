//! `http`: requests to hosts that the plugin was granted. What is asked is checked here, whether it may be asked in
//! [`crate::outgoing`]; the server's client asks the network.

use std::time::Duration;

use ::http::header::{self, HeaderName, HeaderValue};
use ::http::{Method, Uri};
use bytes::Bytes;
use hooks::{HttpError, HttpRequest};

use crate::bindings::waxwing::mail::http::{Host, Request, Response};
use crate::bindings::waxwing::mail::types::Error;
use crate::outgoing::Refusal;
use crate::state::State;

/// Header fields of one request.
const MAX_FIELDS: usize = 100;
/// Octets of a URL.
const MAX_URL_OCTETS: usize = 8 << 10;
/// Fields that frame the request or belong to one connection: RFC 9110 section 7.6.1, RFC 9112 section 6.
const FRAMING: [HeaderName; 8] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
];
const FRAMING_BY_NAME: [&str; 2] = ["keep-alive", "proxy-connection"];

impl Host for State {
    async fn send(&mut self, request: Request) -> Result<Response, Error> {
        let time = request.timeout_ms.map(|ms| Duration::from_millis(ms.into()));
        let request = parse(request)?;
        self.outgoing.hook = self.hook;
        let admitted = self.outgoing.admit(&request, time).map_err(error_out)?;
        let answer = admitted.ask(request).await.map_err(error_out)?;
        let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
        let headers = answer.headers.into_iter().map(|(name, value)| (name, text(value))).collect();
        Ok(Response { status: answer.status, headers, body: answer.body.to_vec() })
    }
}

fn error_out(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Denied | Refusal::Failed(HttpError::Private { .. }) => Error::Denied,
        Refusal::Quota | Refusal::Failed(HttpError::TooLarge(_)) => Error::Quota,
        Refusal::Failed(HttpError::NoSuchHost(_)) => Error::NotFound,
        Refusal::Failed(HttpError::TimedOut(_)) => Error::TimedOut,
        Refusal::Failed(HttpError::BadInput(why)) => Error::BadInput(why),
        Refusal::Failed(error) => Error::Unavailable(error.to_string()),
    }
}

fn parse(request: Request) -> Result<HttpRequest, Error> {
    let Request { method, url, headers, body, timeout_ms: _ } = request;
    if url.len() > MAX_URL_OCTETS {
        return Err(bad(format!("the URL is longer than {MAX_URL_OCTETS} octets")));
    }
    let uri: Uri = url.parse().map_err(|error| bad(format!("no URL: {error}")))?;
    let headers = headers.into_iter().map(|(name, value)| (name, value.into_bytes()));
    of_parts(&method, &uri, headers, body.into())
}

/// A request that is well formed, its host in one spelling.
pub(super) fn of_parts(
    method: &str,
    uri: &Uri,
    headers: impl Iterator<Item = (String, Vec<u8>)>,
    body: Bytes,
) -> Result<HttpRequest, Error> {
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| bad("no method of HTTP".to_owned()))?;
    if matches!(method, Method::CONNECT | Method::TRACE) {
        return Err(bad(format!("{method} is not for plugins")));
    }
    let encrypted = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(bad("a URL begins with http:// or https://".to_owned())),
    };
    let authority = uri.authority().ok_or_else(|| bad("the URL has no host".to_owned()))?;
    if authority.as_str().contains('@') {
        return Err(bad("a URL with a user or password is not taken; use a header field".to_owned()));
    }
    let host = authority.host();
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let port = match authority.port_u16() {
        Some(port) => port,
        None if authority.as_str().ends_with(authority.host()) => {
            if encrypted {
                443
            } else {
                80
            }
        }
        None => return Err(bad("the URL's port is no number".to_owned())),
    };
    if host.is_empty() || port == 0 {
        return Err(bad("the URL has no host or port".to_owned()));
    }
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    let headers = fields(headers)?;
    Ok(HttpRequest { method: method.to_string(), encrypted, host, port, target, headers, body })
}

fn fields(headers: impl Iterator<Item = (String, Vec<u8>)>) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut fields = Vec::new();
    for (name, value) in headers {
        if fields.len() == MAX_FIELDS {
            return Err(bad(format!("more than {MAX_FIELDS} header fields")));
        }
        let parsed = HeaderName::from_bytes(name.as_bytes());
        let Ok(parsed) = parsed else { return Err(bad("a header field's name is not valid".to_owned())) };
        if FRAMING.contains(&parsed) || FRAMING_BY_NAME.contains(&parsed.as_str()) {
            return Err(bad(format!("{parsed} is for the server to set")));
        }
        if HeaderValue::from_bytes(&value).is_err() {
            return Err(bad(format!("the value of {parsed} has a control character")));
        }
        fields.push((parsed.as_str().to_owned(), value));
    }
    Ok(fields)
}

fn bad(why: String) -> Error {
    Error::BadInput(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: &str, headers: &[(&str, &str)]) -> Result<HttpRequest, Error> {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        parse(Request {
            method: "GET".to_owned(),
            url: url.to_owned(),
            headers,
            body: vec![],
            timeout_ms: None,
        })
    }

    #[test]
    fn a_url_names_one_host_in_one_spelling() {
        for (url, host, port, target) in [
            ("https://API.Example.org/a?b=c#d", "api.example.org", 443, "/a?b=c"),
            ("http://example.org.:8080", "example.org", 8080, "/"),
            ("http://[::1]:9/", "::1", 9, "/"),
            ("http://example.org?q", "example.org", 80, "/?q"),
        ] {
            let request = request(url, &[]).unwrap();
            assert_eq!((&*request.host, request.port, &*request.target), (host, port, target), "{url}");
        }
    }

    #[test]
    fn what_is_no_plain_url_is_refused() {
        for url in [
            "",
            "/path",
            "example.org",
            "ftp://example.org/",
            "file:///etc/passwd",
            "http://user@example.org/",
            "http://user:secret@example.org/",
            "http://granted.example@127.0.0.1/",
            "http:///",
            "http://example.org:0/",
            "http://example.org:99999/",
            "http://example.org:/",
            "http://exa mple.org/",
            "http://example.org/\r\nX: y",
            "http://example.org/ HTTP/1.1",
        ] {
            assert!(matches!(request(url, &[]), Err(Error::BadInput(_))), "{url:?}");
        }
        let long = format!("http://example.org/{}", "x".repeat(MAX_URL_OCTETS));
        assert!(matches!(request(&long, &[]), Err(Error::BadInput(_))));
    }

    #[test]
    fn header_fields_cannot_break_out_of_their_place() {
        for (name, value) in [
            ("X-A", "b\r\nEvil: yes"),
            ("X-A", "b\nc"),
            ("X-A\r\nEvil", "yes"),
            ("X A", "b"),
            ("X:A", "b"),
            ("", "b"),
            ("Host", "other.example"),
            ("content-length", "0"),
            ("Transfer-Encoding", "chunked"),
            ("Connection", "close"),
            ("Keep-Alive", "1"),
            ("Expect", "100-continue"),
        ] {
            let refused = request("http://example.org/", &[(name, value)]);
            assert!(matches!(refused, Err(Error::BadInput(_))), "{name:?}: {value:?}");
        }
        let many = vec![("x-a", "b"); MAX_FIELDS + 1];
        assert!(request("http://example.org/", &many).is_err());
        assert!(request("http://example.org/", &many[1..]).is_ok());
    }

    #[test]
    fn only_plain_methods_are_taken() {
        let with = |method: &str| {
            of_parts(method, &"http://a.example/".parse().unwrap(), [].into_iter(), Bytes::new())
        };
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "REPORT"] {
            assert_eq!(with(method).unwrap().method, method);
        }
        for method in ["", "CONNECT", "TRACE", "GET / HTTP/1.1\r\n", "G T"] {
            assert!(with(method).is_err(), "{method:?}");
        }
    }
}
