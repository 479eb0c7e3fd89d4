//! A component that was read, checked and compiled, before anybody has configured it.

use std::path::Path;
use std::sync::Arc;

use hooks::{Stage, Stages};
use serde::Serialize;
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};

use crate::cache::Cache;
use crate::folder;
use crate::outline::Outline;
use crate::state::State;
use crate::{Limits, LoadError, versions};

/// Where a component's hooks are, by stage.
#[derive(Debug, Default)]
pub(crate) struct Exports {
    hooks: [Option<ComponentExportIndex>; Stage::ALL.len()],
    pub(crate) init: Option<ComponentExportIndex>,
}

impl Exports {
    pub(crate) fn hook(&self, stage: Stage) -> Option<&ComponentExportIndex> {
        self.hooks[stage as usize].as_ref()
    }
}

/// A component ready to be given instances.
pub(crate) struct Compiled {
    pub(crate) pre: InstancePre<State>,
    pub(crate) exports: Exports,
    pub(crate) stages: Stages,
    pub(crate) inspection: Inspection,
}

/// What a component is, as its file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// SHA-256 of the file, in hexadecimal.
    pub hash: String,
    /// Octets of the file.
    pub size: u64,
    /// The hooks that it answers, by the names of their stages; `init`, `route` and `outcome` too.
    pub hooks: Vec<String>,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
}

/// SHA-256 in hexadecimal.
pub(crate) fn hash(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a file's component is, without compiling it.
pub(crate) fn inspect_file(file: &Path, limits: &Limits) -> Result<Inspection, LoadError> {
    let bytes = folder::read_file(file, limits.component_octets)?;
    Ok(inspect(&bytes, &Outline::read(&bytes)?))
}

fn inspect(bytes: &[u8], outline: &Outline) -> Inspection {
    let hooks = outline.exports.iter().filter_map(|name| versions::stage_of(name)).map(str::to_owned);
    Inspection {
        hash: hash(bytes),
        size: bytes.len() as u64,
        hooks: hooks.collect(),
        imports: outline.imports.clone(),
    }
}

/// Reads, checks and compiles a component.
pub(crate) fn compile(
    engine: &Engine,
    linker: &Linker<State>,
    cache: Option<&Cache>,
    bytes: &[u8],
    threads: &rayon::ThreadPool,
) -> Result<Arc<Compiled>, LoadError> {
    // The names come first: compiling a large component takes seconds.
    let outline = Outline::read(bytes)?;
    versions::check(&outline)?;
    let inspection = inspect(bytes, &outline);
    if inspection.hooks.iter().all(|hook| hook == "init") {
        return Err(LoadError::NoHook);
    }
    let component = match cache.and_then(|cache| cache.load(engine, &inspection.hash)) {
        Some(component) => component,
        None => {
            let component = threads
                .install(|| Component::from_binary(engine, bytes))
                .map_err(|error| LoadError::Invalid(format!("{error:#}")))?;
            if let Some(cache) = cache {
                cache.store(engine, &inspection.hash, &component);
            }
            component
        }
    };
    let (exports, stages) = find_exports(&component)?;
    // A known interface with a function that is not in it, or of another type.
    let pre = linker.instantiate_pre(&component).map_err(|error| LoadError::Import(format!("{error:#}")))?;
    Ok(Arc::new(Compiled { pre, exports, stages, inspection }))
}

/// Looks up the exported hooks once, so that instances need no search by name.
fn find_exports(component: &Component) -> Result<(Exports, Stages), LoadError> {
    let mut exports = Exports::default();
    let mut stages = Stages::NONE;
    for stage in Stage::ALL {
        let name = stage.name();
        exports.hooks[stage as usize] = find(component, &format!("on-{name}"), name)?;
        if exports.hooks[stage as usize].is_some() {
            stages = stages.with(stage);
        }
    }
    exports.init = find(component, "lifecycle", "init")?;
    Ok((exports, stages))
}

/// Where a hook is, in the newest version that both sides know.
fn find(
    component: &Component,
    interface: &str,
    function: &str,
) -> Result<Option<ComponentExportIndex>, LoadError> {
    for name in versions::hook_names(interface) {
        let Some(instance) = component.get_export_index(None, name.as_str()) else { continue };
        return match component.get_export_index(Some(&instance), function) {
            Some(index) => Ok(Some(index)),
            None => Err(LoadError::Export(format!("{name} has no function {function}"))),
        };
    }
    Ok(None)
}
