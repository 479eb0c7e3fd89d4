//! Sockets for HTTP: bound before rights are given up, and the loop that accepts from them.
//!
//! What is said over a connection is its user's: numbers and health in `http`, the page and the API in the crate `web`.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::debug;

/// How long accepting rests when the process is out of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Sockets that are bound. Dropping it closes them and ends their connections.
#[derive(Debug, Default)]
pub struct HttpSockets {
    bound: Vec<StdListener>,
    tasks: JoinSet<()>,
}

impl HttpSockets {
    /// Binds these addresses; `purpose` is what an error and the log call them. Needs no runtime; nothing is accepted yet.
    ///
    /// # Errors
    /// The first address that cannot be bound, named.
    pub fn bind(addresses: &[SocketAddr], purpose: &str) -> io::Result<Self> {
        let bind = |address: &SocketAddr| {
            let bound = StdListener::bind(address).and_then(|socket| {
                socket.set_nonblocking(true)?;
                Ok(socket)
            });
            bound.map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on {address} ({purpose}): {error}"))
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

    /// Begins to accept, and has `serve` answer each connection; of more than `most` at once, one more is closed. Needs a tokio runtime.
    ///
    /// # Errors
    /// What the runtime says of a socket.
    pub fn start<S, F>(&mut self, most: usize, serve: S) -> io::Result<()>
    where
        S: Fn(TcpStream, SocketAddr) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let places = Arc::new(Semaphore::new(most));
        for socket in self.bound.drain(..) {
            let socket = TcpListener::from_std(socket)?;
            self.tasks.spawn(accept(socket, serve.clone(), Arc::clone(&places)));
        }
        Ok(())
    }

    /// Runs beside the connections, and ends with them.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }
}

async fn accept<S, F>(socket: TcpListener, serve: S, places: Arc<Semaphore>)
where
    S: Fn(TcpStream, SocketAddr) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        // Those that have ended need not be remembered.
        while connections.try_join_next().is_some() {}
        match socket.accept().await {
            Ok((stream, peer)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    let served = serve(stream, peer);
                    connections.spawn(async move {
                        served.await;
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
