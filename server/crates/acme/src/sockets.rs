//! The addresses where the authority asks, bound while the process still may.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::net::{
    AddressFamily, Shutdown, SocketFlags, SocketType, bind, listen, shutdown, socket_with, sockopt,
};
use tokio::net::TcpListener;

use crate::error::Error;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// Sockets that are bound and do not listen: whoever connects is refused. Root binds port 80 this way before it becomes
/// somebody else. Clones are the same sockets.
#[derive(Debug, Clone, Default)]
pub struct HeldSockets(Arc<Vec<(SocketAddr, OwnedFd)>>);

impl HeldSockets {
    /// Binds these addresses for as long as a clone lives.
    ///
    /// # Errors
    /// [`Error::Bind`], with the address.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Self, Error> {
        let hold = |address: &SocketAddr| {
            let socket = bound(*address)?;
            keep_to_itself(&socket)
                .map_err(|error| Error::Bind { address: *address, source: error.into() })?;
            Ok((*address, socket))
        };
        Ok(Self(Arc::new(addresses.iter().map(hold).collect::<Result<_, Error>>()?)))
    }

    /// Whether any are held.
    pub fn is_held(&self) -> bool {
        !self.0.is_empty()
    }

    /// Listens at an address: with the socket that is held for it, or with one that is bound now.
    pub(crate) fn listen(&self, address: SocketAddr) -> Result<Open, Error> {
        let failed = |source| Error::Bind { address, source };
        let held = self.0.iter().position(|(other, _)| *other == address).map(|at| (self.clone(), at));
        let socket = match &held {
            Some((sockets, at)) => sockets.0[*at].1.try_clone().map_err(failed)?,
            None => bound(address)?,
        };
        // Connections of the last time that are not quite over are no hindrance.
        sockopt::set_socket_reuseaddr(&socket, true).map_err(|error| failed(error.into()))?;
        listen(&socket, BACKLOG).map_err(|error| failed(error.into()))?;
        let listener = StdListener::from(socket);
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        Ok(Open { listener, _closes: Closes(held) })
    }
}

/// A socket that listens until this is dropped.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) listener: TcpListener,
    _closes: Closes,
}

/// Has a held socket refuse connections again; it stays bound.
#[derive(Debug)]
struct Closes(Option<(HeldSockets, usize)>);

impl Drop for Closes {
    fn drop(&mut self) {
        if let Some((sockets, at)) = &self.0 {
            let socket = &sockets.0[*at].1;
            // Linux takes a listening socket back to where it was after bind.
            let closed = shutdown(socket, Shutdown::Both).and_then(|()| keep_to_itself(socket));
            tracing::trace!(?closed, "no more questions over HTTP");
        }
    }
}

/// While it does not listen: nobody else may bind the address and listen there.
fn keep_to_itself(socket: &OwnedFd) -> rustix::io::Result<()> {
    sockopt::set_socket_reuseaddr(socket, false)
}

/// An IPv6 address takes IPv6 alone, so that `0.0.0.0` and `[::]` can stand side by side.
fn bound(address: SocketAddr) -> Result<OwnedFd, Error> {
    let attempt = || -> io::Result<OwnedFd> {
        let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &address)?;
        Ok(socket)
    };
    attempt().map_err(|source| Error::Bind { address, source })
}
