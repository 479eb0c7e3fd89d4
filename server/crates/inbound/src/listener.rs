//! The loop that accepts, and what happens to a connection before it has a session.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use model::Reply;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tracing::{debug, info, warn};

use crate::admission;
use crate::connection::{Caller, Connection};
use crate::options::{ListenerOptions, Options};
use crate::server::Shared;
use crate::sockets::Place;
use crate::stats::TurnedAway;
use crate::stream::Stream;
use crate::{policy, proxy};

/// How long accepting rests when the process is out of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a client that is turned away may take to hear why.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// What a socket that does not know its own address has: one that was closed again.
const UNKNOWN_ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));

/// Accepts until the server stops. `alive` is dropped with the last session.
pub(crate) async fn accept(
    socket: TcpListener,
    place: Place,
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
            Ok((stream, peer)) => open(stream, peer, &place, &shared, &stop, &alive),
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                warn!(listener = %place.name, %error, "cannot accept connections for now");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection that was gone before it was accepted is no trouble of ours.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

/// A connection that was accepted, and what it came through.
struct Accepted {
    stream: TcpStream,
    peer: SocketAddr,
    options: Arc<Options>,
    /// Its number among the listeners of the options.
    listener: usize,
    shared: Arc<Shared>,
    place: admission::Place,
    alive: mpsc::Sender<()>,
}

fn open(
    stream: TcpStream,
    peer: SocketAddr,
    door: &Place,
    shared: &Arc<Shared>,
    stop: &watch::Receiver<bool>,
    alive: &mpsc::Sender<()>,
) {
    let options = shared.options();
    let Some(listener) = door.listener(&options) else {
        // A reload took this listener out, and its socket is about to be closed.
        let reply = Reply::new(421, (4, 3, 2), format!("{} does not serve here any more", options.hostname));
        shared.stats.turned_away(TurnedAway::Listener);
        tokio::spawn(turn_away(stream, reply));
        return;
    };
    let place = match shared.admission.enter(&options.hostname, &options.limits) {
        Ok(place) => place,
        Err(reply) => {
            return refuse(
                stream,
                peer,
                &options.listeners[listener].name,
                shared,
                (TurnedAway::Sessions, reply),
            );
        }
    };
    // Replies are small and must not wait for the client's acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        warn!(peer = %peer.ip(), %error, "cannot set TCP_NODELAY");
    }
    let proxied = policy::is_among(peer.ip(), &options.listeners[listener].proxy_networks);
    let (shared, alive) = (shared.clone(), alive.clone());
    let accepted = Accepted { stream, peer, options, listener, shared, place, alive };
    match proxied {
        true => drop(tokio::spawn(accepted.hear_the_proxy(stop.clone()))),
        false => accepted.begin(stop.clone()),
    }
}

impl Accepted {
    fn listener(&self) -> &ListenerOptions {
        &self.options.listeners[self.listener]
    }

    /// A proxy's connection: who the client is stands in its first octets.
    async fn hear_the_proxy(mut self, mut stop: watch::Receiver<bool>) {
        let (proxy, listener) = (self.peer.ip().to_canonical(), self.listener().name.clone());
        let patience = self.options.limits.proxy_timeout;
        let said = tokio::select! {
            biased;
            _ = stop.changed() => return,
            said = proxy::client(&mut self.stream, patience) => said,
        };
        match said {
            Ok(Some(client)) => {
                debug!(%proxy, %client, %listener, "a proxy hands on a connection");
                self.peer = client;
                self.begin(stop);
            }
            Ok(None) => self.begin(stop),
            Err(error) => {
                warn!(%proxy, %listener, %error, "closed a connection from a trusted proxy");
                self.shared.stats.turned_away(TurnedAway::Proxy);
            }
        }
    }

    /// The session, if the client may have one.
    fn begin(self, mut stop: watch::Receiver<bool>) {
        let Self { stream, peer, options, listener, shared, mut place, alive } = self;
        let listener = &options.listeners[listener];
        let admitted = shared
            .rates
            .admit_connection(peer.ip(), &options.hostname, clock::now())
            .map_err(|reply| (TurnedAway::Rate, reply))
            .and_then(|()| {
                let placed = place.admit(peer.ip(), &options.hostname, &options.limits);
                placed.map_err(|reply| (TurnedAway::Address, reply))
            });
        if let Err(why) = admitted {
            return refuse(stream, peer, &listener.name, &shared, why);
        }
        let local = stream.local_addr().unwrap_or(UNKNOWN_ADDRESS);
        let caller = Caller { stream: Stream::Plain(stream), peer, local, insider: None };
        let mut connection = Connection::new(caller, listener.clone(), options.clone(), shared.clone());
        tokio::spawn(async move {
            let open = shared.count_session(connection.listener_name());
            connection.run(&mut stop).await;
            drop((connection, open, place, alive));
        });
    }
}

fn refuse(
    stream: TcpStream,
    peer: SocketAddr,
    listener: &Arc<str>,
    shared: &Shared,
    (why, reply): (TurnedAway, Reply),
) {
    info!(peer = %peer.ip(), %listener, %reply, "turned away");
    shared.stats.turned_away(why);
    tokio::spawn(turn_away(stream, reply));
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
