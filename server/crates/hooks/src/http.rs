//! Requests to other hosts over HTTP, for plugins that were granted the host: what is asked, not who asks the network.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use ipnet::IpNet;

use crate::session::BoxFuture;

/// One request. What frames it on the wire (`Host`, `Content-Length`, `Connection` and the like) is the client's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    pub method: String,
    pub encrypted: bool,
    /// A name, or an address without brackets.
    pub host: String,
    pub port: u16,
    /// Path and query: begins with a slash.
    pub target: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Bytes,
}

/// Under which conditions it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpTerms {
    /// From the question to DNS to the last octet of the answer.
    pub time: Duration,
    /// Octets that the answer's body may have.
    pub answer_octets: u64,
    /// Addresses that may be connected to beside those of the public Internet.
    pub private: Networks,
}

/// A set of networks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks(pub Vec<IpNet>);

impl Networks {
    /// Whether the address is in one of them; an IPv4 address that is written as IPv6 counts as what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// What came back, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    pub status: u16,
    /// Names in lower case, in the order of the answer.
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The request is not valid; nothing was sent.
    #[error("{0}")]
    BadInput(String),
    /// The name leads to an address that may not be asked; nothing was sent.
    #[error("{host} leads to {address}, which is no public address and was not granted")]
    Private { host: String, address: IpAddr },
    #[error("there is no host {0}")]
    NoSuchHost(String),
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The answer's header or body is over its limit.
    #[error("the answer is larger than {0} octets")]
    TooLarge(u64),
    /// The host is not who it should be.
    #[error("its certificate is not valid: {0}")]
    Certificate(String),
    #[error("{0}")]
    Failed(String),
}

/// Asks other hosts. Follows no redirect, keeps no cookie, uses no proxy.
pub trait HttpClient: Send + Sync + fmt::Debug {
    /// One request, one answer. Dropping the future closes the connection.
    fn ask(&self, request: HttpRequest, terms: HttpTerms) -> BoxFuture<'_, Result<HttpAnswer, HttpError>>;
}
