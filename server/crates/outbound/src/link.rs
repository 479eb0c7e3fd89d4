//! A connection's octets, whatever carries them.
//!
//! TLS is one more [`Link`], made of a plain one: nothing that moves octets asks what carries them.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::mx::Address;

/// A stream in both directions.
pub(crate) trait Link: AsyncRead + AsyncWrite + Send + Sync + Unpin + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin + fmt::Debug> Link for T {}

/// Connects. Cancel safe: a dropped attempt leaves nothing.
pub(crate) async fn connect(address: &Address, timeout: Duration) -> io::Result<Box<dyn Link>> {
    let attempt = async {
        Ok(match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
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
