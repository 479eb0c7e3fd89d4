//! The sockets of HTTP, and the connections that come over them.
//!
//! Limits: 64 connections at once, one more is closed; 16 KiB of a request's head, which has 10 s to come, as has the next one; ten minutes
//! for a connection, then it is closed behind the request under way.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::debug;

use crate::access::Peer;
use crate::outcomes;
use crate::router;
use crate::site::Site;

/// Connections at once; one more is closed.
const MAX_CONNECTIONS: usize = 64;
/// Octets of a request's line and header.
const MAX_HEAD_OCTETS: usize = 16 << 10;
/// For a request's head, from the end of the request before.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection ends after the request under way when it is this old.
const CONNECTION_TIME: Duration = Duration::from_secs(600);
/// And then at the latest after this.
const LAST_REQUEST_TIME: Duration = Duration::from_secs(180);
/// How long accepting rests when the process is out of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Sockets that are bound. Dropping it closes them and ends their connections.
#[derive(Debug, Default)]
pub struct WebSockets {
    bound: Vec<StdListener>,
    tasks: JoinSet<()>,
}

impl WebSockets {
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
                io::Error::new(error.kind(), format!("cannot listen on {address} (web): {error}"))
            })
        };
        let bound = addresses.iter().map(bind).collect::<io::Result<_>>()?;
        Ok(Self { bound, tasks: JoinSet::new() })
    }

    /// Where it listens, with the ports that port 0 became; until it was started.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.bound.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }

    /// Whether there is no socket.
    pub fn is_empty(&self) -> bool {
        self.bound.is_empty()
    }

    /// Begins to answer; needs a tokio runtime.
    ///
    /// # Errors
    /// What the runtime says of a socket.
    pub fn start(&mut self, site: &Arc<Site>) -> io::Result<()> {
        if self.bound.is_empty() {
            return Ok(());
        }
        let router = router::router(site);
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        for socket in self.bound.drain(..) {
            let socket = TcpListener::from_std(socket)?;
            self.tasks.spawn(accept(socket, router.clone(), Arc::clone(&places)));
        }
        self.tasks.spawn(outcomes::keep(Arc::clone(site)));
        Ok(())
    }
}

async fn accept(socket: TcpListener, router: Router, places: Arc<Semaphore>) {
    let mut connections = JoinSet::new();
    loop {
        // Those that have ended need not be remembered.
        while connections.try_join_next().is_some() {}
        match socket.accept().await {
            Ok((stream, peer)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    let router = router.clone();
                    connections.spawn(async move {
                        serve(stream, peer, router).await;
                        drop(place);
                    });
                }
                Err(_) => debug!(%peer, "too many connections over HTTP"),
            },
            Err(error) => {
                debug!(%error, "cannot accept a connection over HTTP");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, router: Router) {
    // Answers are small, and the next request may wait for one.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        hyper::service::Service::call(&TowerToHyperService::new(router.clone()), request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_OCTETS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = match tokio::time::timeout(CONNECTION_TIME, connection.as_mut()).await {
        Ok(ended) => ended,
        Err(_) => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(LAST_REQUEST_TIME, connection).await {
                Ok(ended) => ended,
                Err(_) => return debug!(%peer, "a connection over HTTP took too long"),
            }
        }
    };
    if let Err(error) = ended {
        debug!(%peer, %error, "a connection over HTTP broke");
    }
}
