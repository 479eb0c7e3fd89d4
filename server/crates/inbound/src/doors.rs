//! The open sockets of a running server, and how a reload changes them.
//!
//! A change is prepared and then made: what is to be bound is bound first, and accepts nothing yet; if that fails, all is as it was. A socket
//! that stays is never closed meanwhile, so that nobody is refused. Behind one that goes, sessions finish as they would have.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tracing::info;

use crate::listener;
use crate::options::ListenerOptions;
use crate::server::Server;
use crate::sockets::{BindError, Inherited, Known, Place, Sockets, assign, bind};

/// A socket that listens. A clone is the same socket.
#[derive(Debug, Clone)]
struct Door {
    place: Place,
    /// Port 0 resolved.
    address: SocketAddr,
    socket: Arc<Socket>,
}

/// Dropping it ends the accepting, and closes the socket unless somebody else has it too.
#[derive(Debug)]
struct Socket {
    /// Once more, for whoever comes after this server.
    spare: StdListener,
    /// Until it accepts.
    waiting: Mutex<Option<TcpListener>>,
    accepting: OnceLock<AbortHandle>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(task) = self.accepting.get() {
            task.abort();
        }
    }
}

impl Door {
    /// Needs a tokio runtime.
    fn new(place: Place, spare: StdListener) -> io::Result<Self> {
        let address = spare.local_addr()?;
        let waiting = Mutex::new(Some(TcpListener::from_std(spare.try_clone()?)?));
        Ok(Self { place, address, socket: Arc::new(Socket { spare, waiting, accepting: OnceLock::new() }) })
    }

    /// `goes`: where nobody listens soon.
    fn bind(place: Place, address: SocketAddr, goes: &[SocketAddr]) -> Result<Self, BindError> {
        let name = place.name.clone();
        let opened = bind(address).and_then(|socket| Self::new(place, socket));
        opened.map_err(|source| {
            let in_use = source.kind() == io::ErrorKind::AddrInUse;
            let in_the_way = goes.iter().find(|other| in_use && overlap(address, **other)).copied();
            BindError { address, name, in_the_way, source }
        })
    }

    fn known(&self) -> Known<'_> {
        Known { name: Some(&self.place.name), asked: self.place.asked, local: Some(self.address) }
    }
}

/// Whether one of these takes the other's connections as well.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip(), other.ip());
    one.port() == other.port() && a.is_ipv4() == b.is_ipv4() && (a.is_unspecified() || b.is_unspecified())
}

/// Where a server is to listen from now on: sockets that are open already, and new ones that accept nothing yet. Dropping it closes the new ones.
#[derive(Debug)]
pub struct NextDoors(Vec<Door>);

/// What another configuration did to the sockets.
#[derive(Debug, Default)]
pub struct Moved {
    /// Where the server listens now and did not before, with the listeners' names.
    pub opened: Vec<(Arc<str>, SocketAddr)>,
    /// And where it does not any more.
    pub closed: Vec<(Arc<str>, SocketAddr)>,
}

/// The doors of a server.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    open: Mutex<Vec<Door>>,
}

impl Doors {
    pub(crate) fn new(sockets: Sockets) -> io::Result<Self> {
        let doors = sockets.bound.into_iter().map(|(place, socket)| Door::new(place, socket));
        Ok(Self { open: Mutex::new(doors.collect::<io::Result<_>>()?) })
    }

    pub(crate) fn close(&self) {
        self.open.lock().clear();
    }
}

impl Server {
    /// The listeners' names with the addresses they are bound to, port 0 resolved.
    pub fn local_addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        self.doors.open.lock().iter().map(|door| (door.place.name.clone(), door.address)).collect()
    }

    /// Begins to accept at whatever is open. A second call does nothing. Needs a tokio runtime.
    pub fn start(&self) {
        let Some(alive) = self.alive.lock().clone() else { return };
        for door in &*self.doors.open.lock() {
            let Some(socket) = door.socket.waiting.lock().take() else { continue };
            let (shared, stop) = (self.shared.clone(), self.stop.subscribe());
            let accept = listener::accept(socket, door.place.clone(), shared, stop, alive.clone());
            // It waited until now, so that nothing accepts from it yet.
            let _ = door.socket.accepting.set(tokio::spawn(accept).abort_handle());
        }
    }

    /// Finds or binds a socket for every address of other listeners. Nothing has changed when it is done.
    ///
    /// # Errors
    /// The first address that cannot be bound, named.
    pub fn prepare(&self, listeners: &[Arc<ListenerOptions>]) -> Result<NextDoors, BindError> {
        let open = self.doors.open.lock().clone();
        let known: Vec<_> = open.iter().map(Door::known).collect();
        let places = assign(listeners, &known);
        let stays = |nth: usize| places.iter().any(|(_, found)| *found == Some(nth));
        let goes: Vec<_> = (0..open.len()).filter(|nth| !stays(*nth)).map(|nth| open[nth].address).collect();
        let mut next = Vec::new();
        for (place, found) in places {
            match (found, place.asked) {
                (Some(nth), _) => next.push(Door { place, ..open[nth].clone() }),
                (None, Some(address)) => next.push(Door::bind(place, address, &goes)?),
                (None, None) => {}
            }
        }
        Ok(NextDoors(next))
    }

    /// Listens there and nowhere else; the options of those listeners have to count already. Does nothing when the server stops.
    pub fn listen(&self, next: NextDoors) -> Moved {
        let moved = {
            // Held, so that a server that stops meanwhile closes what is opened here.
            let alive = self.alive.lock();
            if alive.is_none() {
                return Moved::default();
            }
            let mut open = self.doors.open.lock();
            let before = std::mem::replace(&mut *open, next.0);
            let lacks = |these: &[Door], door: &&Door| {
                !these.iter().any(|other| Arc::ptr_eq(&other.socket, &door.socket))
            };
            let told = |door: &Door| (door.place.name.clone(), door.address);
            Moved {
                opened: open.iter().filter(|door| lacks(&before, door)).map(told).collect(),
                closed: before.iter().filter(|door| lacks(&open, door)).map(told).collect(),
            }
        };
        for (listener, address) in &moved.opened {
            info!(%listener, %address, "listens from now on");
        }
        for (listener, address) in &moved.closed {
            info!(%listener, %address, "does not listen any more; sessions finish");
        }
        self.start();
        moved
    }

    /// The listening sockets with what they are for. They go on listening when this server has stopped: who connects then waits for
    /// whoever has them.
    ///
    /// # Errors
    /// What the system says of a socket.
    pub fn hand_over(&self) -> io::Result<Vec<Inherited>> {
        let hand = |door: &Door| {
            Ok(Inherited {
                name: Some(door.place.name.to_string()),
                asked: door.place.asked,
                socket: door.socket.spare.try_clone()?,
            })
        };
        self.doors.open.lock().iter().map(hand).collect()
    }
}
