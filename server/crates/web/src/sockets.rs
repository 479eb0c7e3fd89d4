//! The connections that come over HTTP.
//!
//! Limits: 64 connections at once, one more is closed; 16 KiB of a request's head, which has 10 s to come, as has the next one; ten minutes
//! for a connection, then it is closed behind the request under way.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use admin::HttpSockets;
use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
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
/// Begins to answer on sockets, if there are any; needs a tokio runtime.
///
/// # Errors
/// What the runtime says of a socket.
pub fn serve_web(sockets: &mut HttpSockets, site: &Arc<Site>) -> io::Result<()> {
    if sockets.is_empty() {
        return Ok(());
    }
    let router = router::router(site);
    sockets.start(MAX_CONNECTIONS, move |stream, peer| serve(stream, peer, router.clone()))?;
    sockets.spawn(outcomes::keep(Arc::clone(site)));
    Ok(())
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
