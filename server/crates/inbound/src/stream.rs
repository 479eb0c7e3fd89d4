//! The bytes of a connection: in the clear, under TLS, or inside this host.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Octets read at once. The buffer stands on the stack while there is something to read, so that an idle session has none.
pub(crate) const READ_OCTETS: usize = 32 << 10;

/// The same while content fills its memory: each session may wait for the disk with what it has read.
pub(crate) const CROWDED_READ_OCTETS: usize = 8 << 10;

/// What carries a session that no listener accepted.
pub(crate) trait Inside: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Inside for T {}

/// One connection.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Of an insider; never under TLS.
    Inside(Box<dyn Inside>),
    /// While a handshake has it, and for good when that failed.
    Lost,
}

impl Stream {
    /// Waits for octets and shows them, so many at the most; none at the end.
    ///
    /// Cancel safe: what was not shown is still there.
    pub(crate) async fn read<T>(&mut self, most: usize, mut show: impl FnMut(&[u8]) -> T) -> io::Result<T> {
        poll_fn(|context| {
            let mut octets = [MaybeUninit::uninit(); READ_OCTETS];
            let mut buffer = ReadBuf::uninit(&mut octets[..most.min(READ_OCTETS)]);
            ready!(self.poll_read(context, &mut buffer))?;
            Poll::Ready(Ok(show(buffer.filled())))
        })
        .await
    }

    /// Sends octets to the last. A client that takes none of them for `patience` is given up.
    pub(crate) async fn send(&mut self, octets: &[u8], patience: Duration) -> io::Result<()> {
        let sent = async {
            match self {
                Self::Plain(stream) => stream.write_all(octets).await,
                Self::Tls(stream) => {
                    stream.write_all(octets).await?;
                    stream.flush().await
                }
                Self::Inside(stream) => {
                    stream.write_all(octets).await?;
                    stream.flush().await
                }
                Self::Lost => Err(io::ErrorKind::NotConnected.into()),
            }
        };
        tokio::time::timeout(patience, sent).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn close(&mut self, patience: Duration) -> io::Result<()> {
        let closed = async {
            match self {
                Self::Plain(stream) => stream.shutdown().await,
                Self::Tls(stream) => stream.shutdown().await,
                Self::Inside(stream) => stream.shutdown().await,
                Self::Lost => Ok(()),
            }
        };
        tokio::time::timeout(patience, closed).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The server's side of a TLS handshake, within `patience`. Afterwards the stream is under TLS, or lost.
    ///
    /// # Errors
    /// What went wrong; [`io::ErrorKind::TimedOut`] for a client that took too long.
    pub(crate) async fn handshake(
        &mut self,
        config: Arc<ServerConfig>,
        patience: Duration,
    ) -> io::Result<()> {
        let Self::Plain(stream) = std::mem::replace(self, Self::Lost) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let done = tokio::time::timeout(patience, TlsAcceptor::from(config).accept(stream)).await;
        let stream = done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        *self = Self::Tls(Box::new(stream));
        Ok(())
    }

    /// Whether the client speaks within this time, in the clear. Nothing is taken of what it says.
    pub(crate) async fn speaks_within(&mut self, time: Duration) -> bool {
        let Self::Plain(stream) = self else { return false };
        let spoke = tokio::time::timeout(time, stream.peek(&mut [0])).await;
        matches!(spoke, Ok(Ok(1..)))
    }

    /// What the handshake agreed on.
    pub(crate) fn tls(&self) -> Option<&rustls::ServerConnection> {
        match self {
            Self::Tls(stream) => Some(stream.get_ref().1),
            _ => None,
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Inside(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Lost => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}
