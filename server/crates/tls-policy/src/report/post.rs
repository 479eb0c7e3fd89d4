//! A report by HTTPS.
//!
//! Standards: RFC 8460 section 5.4.

use std::sync::Arc;

use bytes::Bytes;
use dns::Resolver;
use http_body_util::Full;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, Uri};
use rustls::ClientConfig;

use crate::https;

/// Octets of an answer, which nobody reads.
const MAX_ANSWER: usize = 64 * 1024;

/// Hands a report to an address of a record.
///
/// # Errors
/// It was not taken, in one line; later may be better.
pub async fn post(
    resolver: &dyn Resolver,
    tls: &Arc<ClientConfig>,
    address: &str,
    report: Vec<u8>,
) -> Result<(), String> {
    let uri: Uri = address.parse().map_err(|_| format!("{address} is no address"))?;
    let (Some(host), Some("https")) = (uri.host(), uri.scheme_str()) else {
        return Err(format!("{address} is no https address"));
    };
    let target = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::post(target)
        .header(CONTENT_TYPE, "application/tlsrpt+gzip")
        .body(Full::new(Bytes::from(report)))
        .map_err(|error| error.to_string())?;
    let to = (host, uri.port_u16().unwrap_or(443));
    let answer = https::exchange(resolver, tls, to, request, MAX_ANSWER).await;
    let status = answer.map_err(|error| format!("{address}: {error}"))?.status();
    match status.is_success() {
        true => Ok(()),
        false => Err(format!("{address}: HTTP status {status}")),
    }
}
