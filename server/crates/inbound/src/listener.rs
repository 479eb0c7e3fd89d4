//! Sockets that listen, and the loop that accepts.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::Reply;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::connection::Connection;
use crate::server::Shared;
use crate::stats::count;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1_024;
/// How long accepting rests when the process is out of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a client that is turned away may take to hear why.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// Binds one address. An IPv6 one takes IPv6 alone, so that `0.0.0.0` and `[::]` can stand side by side.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => {
            let socket = TcpSocket::new_v6()?;
            rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
            socket
        }
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts until the server stops. `alive` is dropped with the last session.
pub(crate) async fn accept(
    socket: TcpListener,
    name: Arc<str>,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
    alive: mpsc::Sender<()>,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.changed() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => open(stream, peer, &name, &shared, &stop, &alive),
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                warn!(listener = %name, %error, "cannot accept connections for now");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection that was gone before it was accepted is no trouble of ours.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

fn open(
    stream: TcpStream,
    peer: SocketAddr,
    name: &Arc<str>,
    shared: &Arc<Shared>,
    stop: &watch::Receiver<bool>,
    alive: &mpsc::Sender<()>,
) {
    let options = shared.options();
    let Some(listener) = options.listeners.iter().find(|listener| listener.name == *name) else {
        // A reload took this listener out; its socket stays open until the next start.
        let reply = Reply::new(421, (4, 3, 2), format!("{} does not serve here any more", options.hostname));
        tokio::spawn(turn_away(stream, reply));
        return;
    };
    let place = match shared.admission.admit(peer.ip(), &options.hostname, &options.limits) {
        Ok(place) => place,
        Err(reply) => {
            info!(peer = %peer.ip(), listener = %name, %reply, "turned away");
            count(&shared.stats.turned_away);
            tokio::spawn(turn_away(stream, reply));
            return;
        }
    };
    // Replies are small and must not wait for the client's acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        warn!(peer = %peer.ip(), %error, "cannot set TCP_NODELAY");
    }
    let connection = Connection::new(stream, peer, listener.clone(), options.clone(), shared.clone());
    let (stop, alive, shared) = (stop.clone(), alive.clone(), shared.clone());
    tokio::spawn(async move {
        let open = shared.count_session();
        connection.run(stop).await;
        drop((open, place, alive));
    });
}

async fn turn_away(mut stream: TcpStream, reply: Reply) {
    let mut wire = Vec::new();
    reply.write(true, &mut wire);
    // Whether the client hears it is up to the client.
    let _ = tokio::time::timeout(FAREWELL_TIMEOUT, async {
        stream.write_all(&wire).await?;
        stream.shutdown().await
    })
    .await;
}
