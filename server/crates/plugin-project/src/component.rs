//! From a core module to a component: what `wasm-tools component new` does, for C and Go.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use crate::Fault;
use crate::interface::World;

/// What Go's runtime asks of WASI preview 1, answered without leaving the component.
pub(crate) const PREVIEW1_ADAPTER: &str = include_str!("preview1.wat");

/// A component of a core module. C modules carry their world in an object file; others are told theirs. The adapter takes the
/// place of WASI preview 1.
pub(crate) fn component(
    mut core: Vec<u8>,
    world: Option<&World>,
    adapter: Option<&str>,
) -> Result<Vec<u8>, Fault> {
    let fail = |error: &dyn std::fmt::Display| Fault::Component(format!("{error:#}"));
    if let Some(World { resolve, id, .. }) = world {
        embed_component_metadata(&mut core, resolve, *id, StringEncoding::UTF8)
            .map_err(|error| fail(&error))?;
    }
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(&core).map_err(|error| fail(&error))?;
    if let Some(text) = adapter {
        let module = wat::parse_str(text).map_err(|error| fail(&error))?;
        encoder.adapter("wasi_snapshot_preview1", &module).map_err(|error| fail(&error))?;
    }
    encoder.encode().map_err(|error| fail(&error))
}
