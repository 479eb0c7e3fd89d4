//! What a store holds for its guest: the session and transaction of the running hook, the staged edits, what
//! was used up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hooks::{SessionFacts, TransactionFacts};
use parking_lot::Mutex;
use wasmtime::ResourceLimiter;
use wasmtime_wasi::{WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use crate::call::Meter;
use crate::engine::{MEMORIES_PER_COMPONENT, TABLES_PER_COMPONENT};
use crate::host::Shared;
use crate::outgoing::Outgoing;
use crate::overlay::Overlay;
use crate::plugin::Plugin;
use crate::services::wasi::Wasi;

/// Notes of one session, shared by its plugins.
pub(crate) type Notes = Arc<Mutex<HashMap<String, String>>>;

/// The data of one store.
pub(crate) struct State {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) host: Arc<Shared>,
    pub(crate) notes: Notes,
    /// Measures whom the instance serves.
    pub(crate) meter: Meter,
    /// The hook that runs, for the log.
    pub(crate) hook: &'static str,
    /// Nothing while `lifecycle.init` runs, and between hooks.
    pub(crate) session: Option<Arc<SessionFacts>>,
    pub(crate) transaction: Option<Arc<TransactionFacts>>,
    pub(crate) overlay: Overlay,
    pub(crate) spent: Spent,
    pub(crate) outgoing: Outgoing,
    pub(crate) memory: Memory,
    /// Made when the guest first asks for it: small guests never do.
    pub(crate) wasi: Option<Box<Wasi>>,
}

/// What the running hook has used of its limits.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    /// When the hook's wall time is over.
    pub(crate) deadline: Option<Instant>,
    /// Calls of interfaces of `waxwing:mail`.
    pub(crate) host_calls: u64,
    pub(crate) log_lines: u32,
    pub(crate) lines_lost: u32,
    pub(crate) dns_questions: u32,
    pub(crate) kv_calls: u32,
    pub(crate) scans: u32,
    pub(crate) submissions: u32,
    pub(crate) additions: u32,
    pub(crate) body_read: u64,
    pub(crate) body_octets: u64,
    pub(crate) body_pieces: u32,
    pub(crate) metric_warned: bool,
}

/// Octets of one element of a table.
const ELEMENT_OCTETS: u64 = 8;

/// Octets of linear memories and tables, all those of the instance together.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) used: u64,
    limit: u64,
    table_elements: usize,
    /// Growth was refused in the running hook: a trap that follows is most likely its consequence.
    pub(crate) refused: bool,
}

impl Spent {
    /// A clean account of a hook that began then.
    pub(crate) fn within(began: Instant, wall: Duration) -> Self {
        Self { deadline: Some(began + wall), ..Self::default() }
    }
}

impl State {
    pub(crate) fn new(plugin: Arc<Plugin>, host: Arc<Shared>, notes: Notes, meter: Meter) -> Self {
        let memory = Memory {
            used: 0,
            limit: plugin.limits.memory_octets,
            table_elements: plugin.limits.table_elements as usize,
            refused: false,
        };
        let outgoing = Outgoing::new(plugin.clone(), host.clone());
        Self {
            plugin,
            host,
            notes,
            meter,
            hook: "",
            session: None,
            transaction: None,
            overlay: Overlay::default(),
            spent: Spent::default(),
            outgoing,
            memory,
            wasi: None,
        }
    }

    /// Ends a hook: the session's facts are let go, and WASI's unfinished lines are logged.
    pub(crate) fn end_hook(&mut self) {
        self.log_output();
        self.plugin.stats.used(&self.spent);
        if self.spent.lines_lost > 0 {
            self.warn_of_lost_lines();
        }
        self.session = None;
        self.transaction = None;
    }
}

impl Memory {
    /// Accounts for growth; false when it is too much.
    fn grow(&mut self, more: u64) -> bool {
        let after = self.used.saturating_add(more);
        let fits = after <= self.limit;
        if fits {
            self.used = after;
        } else {
            self.refused = true;
        }
        fits
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // What the memory itself forbids does not happen, and must not be accounted for.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.grow(desired.saturating_sub(current) as u64))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        if desired > self.table_elements {
            self.refused = true;
            return Ok(false);
        }
        Ok(self.grow(desired.saturating_sub(current) as u64 * ELEMENT_OCTETS))
    }

    fn tables(&self) -> usize {
        TABLES_PER_COMPONENT
    }

    fn memories(&self) -> usize {
        MEMORIES_PER_COMPONENT
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi.get_or_insert_with(Box::default);
        wasi.view()
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.outgoing.hook = self.hook;
        let wasi = self.wasi.get_or_insert_with(Box::default);
        wasi.http_view(&mut self.outgoing)
    }
}
