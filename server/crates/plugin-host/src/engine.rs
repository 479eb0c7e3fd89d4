//! The engine that all plugins run on, and the linker that gives them their imports.
//!
//! Pooled slots and copy-on-write images make an instance cost microseconds. The sizes are those of the
//! largest guests that are known: Python and JavaScript bring interpreters with tables of tens of thousands
//! of functions.
//!
//! The pool reserves address space, not memory: some 20 TiB for the 4,000 instances of the default. Where a process may not have as
//! much, each instance is mapped when it begins ([`Room::Single`]), and the log says which limit to lower.

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    WasmBacktraceDetails,
};

use crate::Limits;
use crate::backtrace::MAX_CALLS;
use crate::bindings::waxwing::mail;
use crate::state::State;

/// Octets of stack for a guest's own calls: what deep recursion overruns.
const GUEST_STACK_OCTETS: usize = 1 << 20;
/// Octets of stack for a guest and the host functions it calls.
const FIBER_STACK_OCTETS: usize = 2 << 20;
/// Octets of a linear memory that stay resident when its slot is given back: most small guests touch no more.
const RESIDENT_OCTETS: usize = 128 << 10;
/// Core instances in one component; Python's consists of about twenty modules.
const CORE_INSTANCES_PER_COMPONENT: u32 = 100;

/// Tables and memories of one component, whichever way they are allocated.
pub(crate) const TABLES_PER_COMPONENT: usize = 100;
pub(crate) const MEMORIES_PER_COMPONENT: usize = 20;
/// Octets behind a memory of an instance that is mapped on its own; every access is checked.
const GUARD_OCTETS: u64 = 64 << 10;
/// Octets that such a memory may grow before it has to move.
const GROWTH_OCTETS: u64 = 1 << 20;

/// An engine, and how its instances get their memory.
pub(crate) struct Started {
    pub(crate) engine: Engine,
    pub(crate) room: Room,
}

/// How instances get their memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// From slots that were reserved at the start: an instance costs microseconds, and compiled code needs no check of bounds, for
    /// 4 GiB of address space behind each memory belong to it.
    Pool,
    /// Mapped when they begin. It reserves nothing, costs some 30 microseconds an instance, and code that does nothing but read and
    /// write memory takes up to 1.6 times as long; an interpreter 1.15 times.
    Single,
}

/// An engine for these limits: with a pool where the address space has room for one.
pub(crate) fn start(limits: &Limits, memory_octets: u64) -> wasmtime::Result<Started> {
    match with_pool(limits, memory_octets) {
        Ok(engine) => Ok(Started { engine, room: Room::Pool }),
        Err(error) => {
            tracing::warn!(
                instances = limits.instances,
                error = %format!("{error:#}"),
                "no address space for so many instances of plugins; each is mapped when it begins, which is slower: lower \
                 plugins.limits.instances, or raise the limit of address space (ulimit -v)"
            );
            Ok(Started { engine: without_pool()?, room: Room::Single })
        }
    }
}

fn with_pool(limits: &Limits, memory_octets: u64) -> wasmtime::Result<Engine> {
    let mut pool = PoolingAllocationConfig::new();
    let instances = limits.instances.max(1);
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(10))
        // Nearly every component has one memory. A slot is 4 GiB of address space, of which a process has 128 TiB.
        .total_memories(instances.saturating_add(instances.div_ceil(4)))
        .total_tables(instances.saturating_mul(4))
        .total_stacks(instances)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_component_instance_size(8 << 20)
        .max_core_instance_size(8 << 20)
        .max_tables_per_module(10)
        .max_memories_per_module(4)
        .table_elements(limits.table_elements as usize)
        .max_memory_size(usize::try_from(memory_octets).unwrap_or(usize::MAX))
        .linear_memory_keep_resident(RESIDENT_OCTETS)
        .table_keep_resident(RESIDENT_OCTETS)
        .pagemap_scan(Enabled::Auto);
    let mut config = common();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config)
}

fn without_pool() -> wasmtime::Result<Engine> {
    let mut config = common();
    config
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        .memory_reservation(0)
        .memory_reservation_for_growth(GROWTH_OCTETS)
        .memory_guard_size(GUARD_OCTETS);
    Engine::new(&config)
}

fn common() -> Config {
    let mut config = Config::new();
    config
        .memory_init_cow(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        // What a trap is told of: names, and lines where a component has them; not for an environment variable to say.
        .wasm_backtrace_max_frames(Some(MAX_CALLS))
        .wasm_backtrace_details(WasmBacktraceDetails::Enable)
        .max_wasm_stack(GUEST_STACK_OCTETS)
        .async_stack_size(FIBER_STACK_OCTETS)
        .cranelift_opt_level(OptLevel::Speed);
    config
}

/// A linker with every interface that a plugin may import.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    mail::types::add_to_linker::<_, HasSelf<State>>(&mut linker, counted)?;
    mail::session::add_to_linker::<_, HasSelf<State>>(&mut linker, counted)?;
    mail::transaction::add_to_linker::<_, HasSelf<State>>(&mut linker, counted)?;
    mail::authentication::add_to_linker::<_, HasSelf<State>>(&mut linker, counted)?;
    mail::log::add_to_linker::<_, HasSelf<State>>(&mut linker, counted)?;
    mail::config::add_to_linker::<_, HasSelf<State>>(&mut linker, counted)?;
    mail::clock::add_to_linker::<_, HasSelf<State>>(&mut linker, counted)?;
    mail::random::add_to_linker::<_, HasSelf<State>>(&mut linker, counted)?;
    mail::metrics::add_to_linker::<_, HasSelf<State>>(&mut linker, counted)?;
    mail::kv::add_to_linker::<_, HasSelf<State>>(&mut linker, counted)?;
    mail::dns::add_to_linker::<_, HasSelf<State>>(&mut linker, counted)?;
    mail::http::add_to_linker::<_, HasSelf<State>>(&mut linker, counted)?;
    mail::scanner::add_to_linker::<_, HasSelf<State>>(&mut linker, counted)?;
    mail::submission::add_to_linker::<_, HasSelf<State>>(&mut linker, counted)?;
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    Ok(linker)
}

/// Each call of an interface of ours comes through here.
fn counted(state: &mut State) -> &mut State {
    state.spent.host_calls += 1;
    state
}
