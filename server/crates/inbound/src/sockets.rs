//! The sockets that listen, before there is a runtime: bound by us, or handed over by whoever started the server.
//!
//! A port below 1024 may be bound by root alone. So this comes first, and the server gives its rights up behind it.
//!
//! A socket that was handed over belongs to the listener of its name, and then stands for all that the listener would bind; or to
//! the listener that would bind its address, and stands for that one.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use tracing::warn;

use crate::options::ListenerOptions;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 1_024;

/// A socket that listens already, from whoever started the server (systemd's socket activation).
#[derive(Debug)]
pub struct Inherited {
    /// The name that it was given there, if any.
    pub name: Option<String>,
    pub socket: TcpListener,
}

/// The listeners' sockets, each with its listener's name; nothing is accepted yet.
#[derive(Debug, Default)]
pub struct Sockets {
    pub(crate) bound: Vec<(Arc<str>, TcpListener)>,
}

impl Sockets {
    /// Finds or binds a socket for every address of the listeners.
    ///
    /// # Errors
    /// The first address that cannot be bound, named.
    pub fn bind(listeners: &[Arc<ListenerOptions>], mut inherited: Vec<Inherited>) -> io::Result<Self> {
        let mut bound = Vec::new();
        for listener in listeners {
            let is_its_own = |given: &mut Inherited| given.name.as_deref() == Some(&*listener.name);
            let own: Vec<_> = inherited.extract_if(.., is_its_own).collect();
            if !own.is_empty() {
                bound.extend(own.into_iter().map(|given| (listener.name.clone(), given.socket)));
                continue;
            }
            for address in &listener.bind {
                let has_it = |given: &Inherited| given.socket.local_addr().is_ok_and(|at| at == *address);
                let socket = match inherited.iter().position(has_it) {
                    Some(at) => inherited.swap_remove(at).socket,
                    None => bind(*address).map_err(|error| {
                        let text = format!("cannot listen on {address} ({}): {error}", listener.name);
                        io::Error::new(error.kind(), text)
                    })?,
                };
                bound.push((listener.name.clone(), socket));
            }
        }
        for given in inherited {
            let address =
                given.socket.local_addr().map_or_else(|error| error.to_string(), |at| at.to_string());
            warn!(
                name = given.name,
                address, "a socket that was handed over is no listener's, and was closed"
            );
        }
        for (_, socket) in &bound {
            socket.set_nonblocking(true)?;
        }
        Ok(Self { bound })
    }
}

/// Binds one address. An IPv6 one takes IPv6 alone, so that `0.0.0.0` and `[::]` can stand side by side.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
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
    Ok(TcpListener::from(socket))
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
        (Inherited { name: name.map(str::to_owned), socket }, address)
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
        let found: Vec<_> =
            sockets.bound.iter().map(|(name, socket)| (&**name, socket.local_addr().unwrap())).collect();
        assert_eq!(found[..2], [("mx", at_name), ("lan", at_address)]);
        assert_eq!((found.len(), found[2].0), (3, "lan"));
    }

    #[test]
    fn an_address_that_cannot_be_bound_is_named() {
        let listeners = [listener("mx", &["192.0.2.1:25".parse().unwrap()])];
        let error = Sockets::bind(&listeners, Vec::new()).unwrap_err().to_string();
        assert!(error.starts_with("cannot listen on 192.0.2.1:25 (mx): "), "{error}");
    }
}
