//! A WASI 0.2 without files, sockets, environment and arguments: what languages' runtimes need to start.
//! Clocks and random numbers are real; what is written to standard output and error becomes lines of the log.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::{WasiCtx, WasiCtxView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView};

use crate::bindings::waxwing::mail::log::Level;
use crate::outgoing::Outgoing;
use crate::state::State;

/// Octets of output that are kept until the hook ends; what comes after them is dropped.
const MAX_OUTPUT_OCTETS: usize = 64 << 10;
/// Resources, such as streams and timers, that one instance may hold.
const MAX_RESOURCES: usize = 1_000;
/// Octets of random numbers that one call gives.
const MAX_RANDOM_OCTETS: u64 = 64 << 10;

pub(crate) struct Wasi {
    ctx: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    output: Output,
    errors: Output,
}

impl Default for Wasi {
    fn default() -> Self {
        let (output, errors) = (Output::default(), Output::default());
        let mut builder = WasiCtx::builder();
        builder.stdout(output.clone()).stderr(errors.clone());
        builder.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        builder.max_random_size(MAX_RANDOM_OCTETS);
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        Self { ctx: builder.build(), http: WasiHttpCtx::new(), table, output, errors }
    }
}

impl Wasi {
    pub(crate) fn view(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.ctx, table: &mut self.table }
    }

    pub(crate) fn http_view<'a>(&'a mut self, outgoing: &'a mut Outgoing) -> WasiHttpCtxView<'a> {
        WasiHttpCtxView { hooks: outgoing, table: &mut self.table, ctx: &mut self.http }
    }

    /// What was written since the last time, by lines.
    pub(crate) fn take_lines(&self) -> Vec<(Level, String)> {
        let lines = |output: &Output, level: Level| {
            let written = std::mem::take(&mut *output.0.lock());
            let text = String::from_utf8_lossy(&written).into_owned();
            let lines: Vec<_> = text.lines().map(|line| (level, crate::convert::one_line(line))).collect();
            lines
        };
        let mut all = lines(&self.output, Level::Info);
        all.extend(lines(&self.errors, Level::Warn));
        all
    }
}

impl State {
    /// Logs what the guest wrote to its standard streams.
    pub(crate) fn log_output(&mut self) {
        let lines = self.wasi.as_ref().map(|wasi| wasi.take_lines()).unwrap_or_default();
        for (level, line) in lines {
            if self.may_log() {
                self.write_line(level, &line);
            }
        }
    }
}

/// A standard stream of one instance.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut kept = self.0.lock();
        let room = MAX_OUTPUT_OCTETS.saturating_sub(kept.len());
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
