//! The engine that all plugins run on, and the linker that gives them their imports.
//!
//! Pooled slots and copy-on-write images make an instance cost microseconds. The sizes are those of the
//! largest guests that are known: Python and JavaScript bring interpreters with tables of tens of thousands
//! of functions.

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use crate::Limits;
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

/// An engine for these limits.
pub(crate) fn engine(limits: &Limits, memory_octets: u64) -> wasmtime::Result<Engine> {
    let mut pool = PoolingAllocationConfig::new();
    let instances = limits.instances.max(1);
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(10))
        .total_memories(instances.saturating_mul(2))
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
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_init_cow(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(GUEST_STACK_OCTETS)
        .async_stack_size(FIBER_STACK_OCTETS)
        .cranelift_opt_level(OptLevel::Speed);
    Engine::new(&config)
}

/// A linker with every interface that a plugin may import.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    mail::types::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    mail::session::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    mail::transaction::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    mail::authentication::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    mail::log::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    mail::config::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    mail::clock::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    mail::random::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    mail::metrics::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    mail::kv::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    mail::dns::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    mail::http::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    Ok(linker)
}
