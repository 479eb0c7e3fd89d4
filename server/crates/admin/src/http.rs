//! Numbers and health over HTTP: `/metrics` for Prometheus, `/healthz` while the process lives, `/readyz` while it accepts mail.
//!
//! Nothing can be changed here, and nothing in it is secret to whoever may connect; it listens on this machine alone unless the configuration
//! says otherwise.
//!
//! Limits: 16 connections at once, one more is closed; 8 KiB of a request's head; 10 s for a connection, one request each.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::calls::Services;
use crate::exposition;

/// Connections at once; one more is closed.
const MAX_CONNECTIONS: usize = 16;
/// Octets of a request's line and header.
const MAX_HEAD_OCTETS: usize = 8 << 10;
/// A connection takes no longer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long accepting rests when the process is out of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Sockets for metrics that are bound. Dropping it closes them and ends their connections.
#[derive(Debug, Default)]
pub struct MetricsSockets {
    bound: Vec<StdListener>,
    accepting: JoinSet<()>,
}

impl MetricsSockets {
    /// Binds these addresses. Needs no runtime; nothing is accepted yet.
    ///
    /// # Errors
    /// The first address that cannot be bound, named.
    pub fn bind(addresses: &[SocketAddr]) -> io::Result<Self> {
        let bind = |address: &SocketAddr| {
            let bound = StdListener::bind(address).and_then(|socket| {
                socket.set_nonblocking(true)?;
                Ok(socket)
            });
            bound.map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on {address} (metrics): {error}"))
            })
        };
        let bound = addresses.iter().map(bind).collect::<io::Result<_>>()?;
        Ok(Self { bound, accepting: JoinSet::new() })
    }

    /// Where it listens, with the ports that port 0 became; until it was started.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.bound.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }

    /// Begins to answer; needs a tokio runtime.
    ///
    /// # Errors
    /// What the runtime says of a socket.
    pub fn start(&mut self, services: &Arc<Services>) -> io::Result<()> {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        for socket in self.bound.drain(..) {
            let socket = TcpListener::from_std(socket)?;
            self.accepting.spawn(accept(socket, Arc::clone(services), Arc::clone(&places)));
        }
        Ok(())
    }
}

async fn accept(socket: TcpListener, services: Arc<Services>, places: Arc<Semaphore>) {
    let mut connections = JoinSet::new();
    loop {
        // Those that have ended need not be remembered.
        while connections.try_join_next().is_some() {}
        match socket.accept().await {
            Ok((stream, _)) => {
                if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                    let services = Arc::clone(&services);
                    connections.spawn(async move {
                        serve(stream, services).await;
                        drop(place);
                    });
                }
            }
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection for metrics");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
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
