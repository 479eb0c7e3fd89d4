//! Python: componentize-py freezes the interpreter with the plugin's modules in it.

use std::path::Path;

use crate::project::Built;
use crate::{Fault, interface, tool};

const MISSING: &str = "there is no componentize-py: run `python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1` \
    in the project's folder";

pub(crate) fn build(folder: &Path) -> Result<Built, Fault> {
    let world = interface::world(folder)?;
    let wit = super::staged_wit(folder)?;
    let component = super::work_folder(folder)?.join("component.wasm");
    let own = folder.join(".venv/bin/componentize-py");
    let program = if own.is_file() { own.as_os_str() } else { "componentize-py".as_ref() };
    let mut command = tool::command(program, folder);
    command.arg("-d").arg(&wit).arg("-w").arg(&world.name);
    // -s: the interpreter asks nothing of WASI; what would, traps.
    command.args(["componentize", "-s", "-p", "src", "plugin", "-o"]).arg(&component);
    tool::run(&mut command, MISSING)?;
    Ok(Built { name: world.package, component: super::read(&component)? })
}
