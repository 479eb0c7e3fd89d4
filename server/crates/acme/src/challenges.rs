//! Answers the authority's question over HTTP, and no other.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::error::Error;
use crate::sockets::{HeldSockets, Open};

/// Connections at once; one more is closed.
const MAX_CONNECTIONS: usize = 64;
/// Octets of a request's line and header.
const MAX_HEAD_OCTETS: usize = 8 << 10;
/// A connection takes no longer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long accepting rests when the process is out of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
//= RFC 8555 section 8.3: this path, with the token behind it.
const PATH: &str = "/.well-known/acme-challenge/";

/// What is answered, by token.
#[derive(Debug, Clone, Default)]
pub(crate) struct Challenges(Arc<Mutex<HashMap<String, String>>>);

impl Challenges {
    pub(crate) fn insert(&self, token: &str, answer: &str) {
        self.0.lock().insert(token.to_owned(), answer.to_owned());
    }

    /// Listens until what comes back is dropped, connections included.
    pub(crate) fn listen(&self, addresses: &[SocketAddr], held: &HeldSockets) -> Result<Listening, Error> {
        let mut tasks = JoinSet::new();
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut bound = Vec::new();
        for address in addresses {
            let socket = held.listen(*address)?;
            let failed = |source| Error::Bind { address: *address, source };
            bound.push(socket.listener.local_addr().map_err(failed)?);
            tasks.spawn(accept(socket, self.clone(), places.clone()));
        }
        Ok(Listening { tasks, addresses: bound })
    }

    fn answer(&self, method: &Method, path: &str) -> Response<String> {
        let answer = path.strip_prefix(PATH).and_then(|token| self.0.lock().get(token).cloned());
        let found = answer.filter(|_| matches!(*method, Method::GET | Method::HEAD));
        let status = if found.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
        let mut response = Response::new(found.unwrap_or_default());
        *response.status_mut() = status;
        let kind = HeaderValue::from_static("application/octet-stream");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }
}

/// Sockets that are open.
#[derive(Debug)]
pub(crate) struct Listening {
    tasks: JoinSet<()>,
    addresses: Vec<SocketAddr>,
}

impl Listening {
    /// With the ports that port 0 became.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns when nothing listens any more.
    pub(crate) async fn close(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn accept(socket: Open, challenges: Challenges, places: Arc<Semaphore>) {
    let mut connections = JoinSet::new();
    loop {
        // Those that have ended need not be remembered.
        while connections.try_join_next().is_some() {}
        match socket.listener.accept().await {
            Ok((stream, _)) => {
                if let Ok(place) = places.clone().try_acquire_owned() {
                    let challenges = challenges.clone();
                    connections.spawn(async move {
                        serve(stream, challenges).await;
                        drop(place);
                    });
                }
            }
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection for the authority's question");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, challenges: Challenges) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let response = challenges.answer(request.method(), request.uri().path());
        tracing::debug!(path = request.uri().path(), status = %response.status(), "a question over HTTP");
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(CONNECTION_TIMEOUT)
        .max_buf_size(MAX_HEAD_OCTETS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // Whether the client hears all of it is up to the client.
    let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
}
