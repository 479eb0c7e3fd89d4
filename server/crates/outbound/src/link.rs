//! A connection's octets, whatever carries them.
//!
//! TLS is one more [`Link`], made of a plain one: nothing that moves octets asks what carries them.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, UnixStream};

use crate::mx::Address;

/// A stream in both directions.
pub(crate) trait Link: AsyncRead + AsyncWrite + Send + Sync + Unpin + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin + fmt::Debug> Link for T {}

/// Connects, from an address of this host if one is given. Cancel safe: a dropped attempt leaves nothing.
pub(crate) async fn connect(
    address: &Address,
    source: Option<IpAddr>,
    timeout: Duration,
) -> io::Result<Box<dyn Link>> {
    let attempt = async {
        Ok(match address {
            Address::Tcp(address) => {
                let stream = dial(*address, source).await?;
                // Commands wait for replies: Nagle's algorithm would add 40 ms to each.
                stream.set_nodelay(true)?;
                Box::new(stream) as Box<dyn Link>
            }
            Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    };
    match tokio::time::timeout(timeout, attempt).await {
        Ok(connected) => connected,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the connection timed out")),
    }
}

async fn dial(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let Some(source) = source else { return TcpStream::connect(address).await };
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    socket.bind(SocketAddr::new(source, 0)).map_err(|error| match error.kind() {
        io::ErrorKind::AddrNotAvailable => {
            io::Error::new(error.kind(), format!("{source} is no address of this host"))
        }
        _ => io::Error::new(error.kind(), format!("{source} cannot be the source: {error}")),
    })?;
    socket.connect(address).await
}
