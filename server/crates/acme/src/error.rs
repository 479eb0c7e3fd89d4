//! Why there is no new certificate.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What an order failed of. Everything is worth another try, later.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the authority: {}", chain(.0))]
    Authority(#[from] instant_acme::Error),
    #[error("cannot listen on {address} for the authority's question: {source}")]
    Bind { address: SocketAddr, source: io::Error },
    #[error("{}: {source}", file.display())]
    File { file: PathBuf, source: io::Error },
    #[error("the authority does not ask for {name} over HTTP")]
    NoHttpChallenge { name: String },
    #[error("the authority is not content: {why}")]
    Refused { why: String },
    #[error("what the authority sent cannot be used: {0}")]
    Unusable(tls::Faults),
    #[error("the order took longer than five minutes")]
    TooLong,
}

/// An error with what is behind it: HTTP clients say little at the top.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
