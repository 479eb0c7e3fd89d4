//! A stream behind a handshake.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::agreed::Agreed;
use crate::{facts, x509};

/// Octets that are written may stay here until the stream is flushed.
pub struct TlsStream<S> {
    inner: tokio_rustls::client::TlsStream<S>,
    agreed: Agreed,
}

impl<S> TlsStream<S> {
    pub(super) fn new(inner: tokio_rustls::client::TlsStream<S>, agreed: Agreed) -> Self {
        Self { inner, agreed }
    }

    /// What was agreed.
    pub fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// What ties an authentication to this session, the best that there is: `tls-exporter` (RFC 9266) or `tls-server-end-point` (RFC 5929
    /// section 4), with its octets.
    pub fn channel_binding(&self) -> Option<(&'static str, Vec<u8>)> {
        let (_, connection) = self.inner.get_ref();
        if let Some(exporter) = facts::exporter(&**connection) {
            return Some(("tls-exporter", exporter));
        }
        let certificate = connection.peer_certificates()?.first()?;
        let end_point = x509::end_point(certificate, &x509::read(certificate)?)?;
        Some(("tls-server-end-point", end_point))
    }
}

impl<S> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("agreed", &self.agreed).finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
