//! What a component must do before it becomes a plugin: have an instance, hooks of the right types, and an init that agrees.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::LoadError;
use crate::call::Budgeted;
use crate::failure::Failure;
use crate::host::Shared;
use crate::instance::Live;
use crate::plugin::Plugin;
use crate::state::Notes;
use crate::ticker::CpuMeter;

/// Makes an instance, compares the types of its hooks, and runs its init.
pub(crate) async fn try_out(shared: &Arc<Shared>, plugin: &Arc<Plugin>) -> Result<(), LoadError> {
    let (cpu, wall) = (plugin.limits.cpu_for_init, plugin.limits.wall_for_init);
    let meter = Arc::new(CpuMeter::new(shared.ticker.clone()));
    meter.begin(cpu);
    let waiting = AtomicBool::default();
    let mut tenancy = shared.places.tenancy(1);
    let trying = async {
        tenancy.take().await;
        let mut live = Live::make(plugin, shared, &Notes::default(), &meter, &waiting).await?;
        if let Err(error) = live.check_types() {
            return Ok(Err(LoadError::Export(format!("{error:#}"))));
        }
        live.store.data_mut().hook = "init";
        let outcome = live.init().await;
        let state = live.store.data_mut();
        state.end_hook();
        let memory = state.memory.refused.then_some(plugin.limits.memory_octets);
        Ok(match outcome {
            Ok(outcome) => outcome.map_err(LoadError::Init),
            Err(error) => Err(failed(plugin, &Failure::from_guest(&error, cpu, memory))),
        })
    };
    match Budgeted::new(trying, &meter, shared.ticker.awake(), clock::now(), wall).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => {
            let error: wasmtime::Error = error;
            Err(failed(plugin, &Failure::from_guest(&error, cpu, None)))
        }
        Err(_) => Err(LoadError::InitFailed(Failure::Wall(wall).to_string())),
    }
}

/// The refusal says what went wrong; where, only the log.
fn failed(plugin: &Plugin, failure: &Failure) -> LoadError {
    if !failure.backtrace().is_empty() {
        tracing::error!(
            plugin = %plugin.name, hook = "init", generation = plugin.generation, reason = %failure,
            backtrace = failure.backtrace(), "plugin failed"
        );
    }
    LoadError::InitFailed(failure.to_string())
}
