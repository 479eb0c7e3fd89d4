//! Numbers and health over HTTP: `/metrics` for Prometheus, `/healthz` while the process lives, `/readyz` while it accepts mail.
//!
//! Nothing can be changed here, and nothing in it is secret to whoever may connect; it listens on this machine alone unless the configuration
//! says otherwise.
//!
//! Limits: 16 connections at once, one more is closed; 8 KiB of a request's head; 10 s for a connection, one request each.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::calls::Services;
use crate::exposition;
use crate::http_sockets::HttpSockets;

/// Connections at once; one more is closed.
const MAX_CONNECTIONS: usize = 16;
/// Octets of a request's line and header.
const MAX_HEAD_OCTETS: usize = 8 << 10;
/// A connection takes no longer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Begins to answer on sockets; needs a tokio runtime.
///
/// # Errors
/// What the runtime says of a socket.
pub fn serve_metrics(sockets: &mut HttpSockets, services: &Arc<Services>) -> io::Result<()> {
    let services = Arc::clone(services);
    sockets.start(MAX_CONNECTIONS, move |stream, _| serve(stream, Arc::clone(&services)))
}

async fn serve(stream: TcpStream, services: Arc<Services>) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let services = Arc::clone(&services);
        async move { Ok::<_, Infallible>(answer(request.method(), request.uri().path(), &services).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(CONNECTION_TIMEOUT)
        .max_buf_size(MAX_HEAD_OCTETS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection for metrics broke"),
        Err(_) => tracing::debug!("a connection for metrics took too long"),
    }
}

async fn answer(method: &Method, path: &str, services: &Arc<Services>) -> Response<String> {
    let plain = "text/plain; charset=utf-8";
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = response(StatusCode::METHOD_NOT_ALLOWED, plain, "only GET\n".to_owned());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/metrics" => {
            let services = Arc::clone(services);
            // It reads a few files of the system.
            match tokio::task::spawn_blocking(move || services.metrics()).await {
                Ok(text) => response(StatusCode::OK, exposition::CONTENT_TYPE, text),
                Err(_) => response(StatusCode::INTERNAL_SERVER_ERROR, plain, "no metrics\n".to_owned()),
            }
        }
        "/healthz" => response(StatusCode::OK, plain, "alive\n".to_owned()),
        "/readyz" => match services.store.admit() {
            Ok(()) => response(StatusCode::OK, plain, "ready\n".to_owned()),
            Err(error) => response(StatusCode::SERVICE_UNAVAILABLE, plain, format!("{error}\n")),
        },
        _ => response(StatusCode::NOT_FOUND, plain, "/metrics, /healthz or /readyz\n".to_owned()),
    }
}

fn response(status: StatusCode, kind: &'static str, text: String) -> Response<String> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
