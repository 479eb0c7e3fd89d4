//! The sockets that listen: bound by us, or handed over by whoever started the server.
//!
//! A port below 1024 may be bound by root alone. So those of the start come before there is a runtime, and the server gives its rights up
//! behind them.
//!
//! A socket that was handed over belongs to the listener of its name, and then stands for all that the listener would bind; or to
//! the listener that would bind its address, and stands for that one. One that this server bound itself, before a reload or before it began
//! anew, belongs to whoever binds its address now.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use tracing::warn;

use crate::options::{ListenerOptions, Options};

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 1_024;

/// A socket that listens already, from whoever started the server (systemd's socket activation), or from this server's life before.
#[derive(Debug)]
pub struct Inherited {
    /// The name that it was given there, if any; the listener's name from this server.
    pub name: Option<String>,
    /// The address that this server bound it for, as its configuration had it; nothing of a socket from elsewhere.
    pub asked: Option<SocketAddr>,
    pub socket: TcpListener,
}

/// An address that cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({name}): {source}{}", self.advice())]
pub struct BindError {
    pub address: SocketAddr,
    /// Its listener.
    pub name: Arc<str>,
    /// An address that is closed by the same change and was still in the way.
    pub in_the_way: Option<SocketAddr>,
    pub source: io::Error,
}

impl BindError {
    fn advice(&self) -> String {
        match self.in_the_way {
            Some(other) => format!(
                "; {other} is open until this one is: take it out with one reload and add this one with the next, or restart"
            ),
            None => String::new(),
        }
    }
}

/// What a socket listens for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its listener.
    pub(crate) name: Arc<str>,
    /// The address as the configuration has it; nothing when the socket stands for all of the listener's.
    pub(crate) asked: Option<SocketAddr>,
}

impl Place {
    /// The number of its listener, if these options have it. An address is the listener's that binds it, whatever that is called by now.
    pub(crate) fn listener(&self, options: &Options) -> Option<usize> {
        let by_address = self.asked.filter(|address| address.port() != 0);
        options.listeners.iter().position(|listener| match by_address {
            Some(address) => listener.bind.contains(&address),
            None => listener.name == self.name,
        })
    }
}

/// What is known of a socket that is there.
#[derive(Debug)]
pub(crate) struct Known<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) asked: Option<SocketAddr>,
    pub(crate) local: Option<SocketAddr>,
}

impl Known<'_> {
    fn stands_for(&self, name: &str) -> bool {
        self.asked.is_none() && self.name == Some(name)
    }

    /// Port 0 is any port: which socket has it is known by the name alone.
    fn is_for(&self, address: SocketAddr, name: &str) -> bool {
        match self.asked {
            Some(asked) => asked == address && (address.port() != 0 || self.name == Some(name)),
            None => self.local == Some(address),
        }
    }
}

/// Every place of the listeners, with the number of the socket that is there for it. No socket is for two.
pub(crate) fn assign(listeners: &[Arc<ListenerOptions>], known: &[Known<'_>]) -> Vec<(Place, Option<usize>)> {
    let mut free = vec![true; known.len()];
    let mut take = |is_it: &dyn Fn(&Known<'_>) -> bool| {
        let found = (0..known.len()).find(|&nth| free[nth] && is_it(&known[nth]))?;
        free[found] = false;
        Some(found)
    };
    let mut places = Vec::new();
    for listener in listeners {
        let place = |asked| Place { name: listener.name.clone(), asked };
        let mut has_its_own = false;
        while let Some(nth) = take(&|one| one.stands_for(&listener.name)) {
            places.push((place(None), Some(nth)));
            has_its_own = true;
        }
        if !has_its_own {
            let found = |address| take(&|one| one.is_for(address, &listener.name));
            let bound: Vec<_> = listener.bind.iter().copied().map(found).collect();
            places.extend(listener.bind.iter().map(|address| place(Some(*address))).zip(bound));
        }
    }
    places
}

/// The listeners' sockets, each with what it is for; nothing is accepted yet.
#[derive(Debug, Default)]
pub struct Sockets {
    pub(crate) bound: Vec<(Place, TcpListener)>,
}

impl Sockets {
    /// Finds or binds a socket for every address of the listeners.
    ///
    /// # Errors
    /// The first address that cannot be bound, named.
    pub fn bind(listeners: &[Arc<ListenerOptions>], inherited: Vec<Inherited>) -> io::Result<Self> {
        let known = |given: &Inherited| (given.name.clone(), given.asked, given.socket.local_addr().ok());
        let known: Vec<_> = inherited.iter().map(known).collect();
        let known: Vec<_> = known
            .iter()
            .map(|(name, asked, local)| Known { name: name.as_deref(), asked: *asked, local: *local })
            .collect();
        let mut inherited: Vec<_> = inherited.into_iter().map(Some).collect();
        let places = assign(listeners, &known).into_iter();
        let places: Vec<_> =
            places.map(|(place, found)| (place, found.and_then(|nth| inherited[nth].take()))).collect();
        // Closed first: it may be in the way of one that is to be bound.
        for given in inherited.into_iter().flatten() {
            let address =
                given.socket.local_addr().map_or_else(|error| error.to_string(), |at| at.to_string());
            warn!(
                name = given.name,
                address, "a socket that was handed over is no listener's, and was closed"
            );
        }
        let mut bound = Vec::new();
        for (place, given) in places {
            let socket = match (given, place.asked) {
                (Some(given), _) => given.socket,
                (None, Some(address)) => bind(address).map_err(|source| BindError {
                    address,
                    name: place.name.clone(),
                    in_the_way: None,
                    source,
                })?,
                (None, None) => continue,
            };
            bound.push((place, socket));
        }
        for (_, socket) in &bound {
            socket.set_nonblocking(true)?;
        }
        Ok(Self { bound })
    }
}

impl From<BindError> for io::Error {
    fn from(error: BindError) -> Self {
        Self::new(error.source.kind(), error.to_string())
    }
}

/// Binds one address; nothing is accepted yet. An IPv6 one takes IPv6 alone, so that `0.0.0.0` and `[::]` can stand side by side.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    sockopt::set_socket_reuseaddr(&socket, true)?;
    net::bind(&socket, &address)?;
    net::listen(&socket, BACKLOG)?;
    let socket = TcpListener::from(socket);
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(name: &str, bind: &[SocketAddr]) -> Arc<ListenerOptions> {
        Arc::new(ListenerOptions { name: name.into(), bind: bind.to_vec(), ..ListenerOptions::default() })
    }

    fn given(name: Option<&str>) -> (Inherited, SocketAddr) {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        (Inherited { name: name.map(str::to_owned), asked: None, socket }, address)
    }

    #[test]
    fn a_socket_that_was_handed_over_is_found_by_name_or_by_address() {
        let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
        // Nobody has this address: binding it would fail.
        let elsewhere: SocketAddr = "192.0.2.1:25".parse().unwrap();
        let ((named, at_name), (nameless, at_address)) = (given(Some("mx")), given(None));
        let (nobodys, _) = given(Some("another"));
        let listeners = [listener("mx", &[elsewhere]), listener("lan", &[at_address, free])];
        let sockets = Sockets::bind(&listeners, vec![nameless, nobodys, named]).unwrap();
        let found: Vec<_> = sockets
            .bound
            .iter()
            .map(|(place, socket)| (&*place.name, socket.local_addr().unwrap()))
            .collect();
        assert_eq!(found[..2], [("mx", at_name), ("lan", at_address)]);
        assert_eq!((found.len(), found[2].0), (3, "lan"));
        assert_eq!((sockets.bound[0].0.asked, sockets.bound[1].0.asked), (None, Some(at_address)));
    }

    #[test]
    fn a_socket_of_a_life_before_is_whose_address_it_is_now_and_of_port_0_by_its_name() {
        let (any, fixed): (SocketAddr, SocketAddr) =
            ("127.0.0.1:0".parse().unwrap(), "127.0.0.1:2525".parse().unwrap());
        let known = |name, asked| Known { name: Some(name), asked: Some(asked), local: None };
        let before = [known("mx", any), known("mx", fixed), known("lan", any), known("mx", any)];
        let found = |listeners: &[Arc<ListenerOptions>]| {
            assign(listeners, &before).into_iter().map(|(_, nth)| nth).collect::<Vec<_>>()
        };
        assert_eq!(
            found(&[listener("lan", &[any]), listener("mx", &[any, any, any])]),
            [Some(2), Some(0), Some(3), None]
        );
        assert_eq!(found(&[listener("other", &[fixed, any])]), [Some(1), None], "renamed");
    }

    #[test]
    fn an_address_that_cannot_be_bound_is_named() {
        let listeners = [listener("mx", &["192.0.2.1:25".parse().unwrap()])];
        let error = Sockets::bind(&listeners, Vec::new()).unwrap_err().to_string();
        assert!(error.starts_with("cannot listen on 192.0.2.1:25 (mx): "), "{error}");
    }
}
