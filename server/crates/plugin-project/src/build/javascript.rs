//! JavaScript and TypeScript: an engine with the plugin's code frozen into it, made by the tools in `node_modules`.

use std::path::Path;

use crate::bindings::Bindings;
use crate::project::Built;
use crate::{Fault, Language, interface, tool};

const NO_NODE: &str =
    "there is no node: install Node.js 18 or later with npm, as in `apt-get install nodejs npm`";

pub(crate) fn build(folder: &Path, language: Language) -> Result<Built, Fault> {
    let world = interface::world(folder)?;
    let wit = super::staged_wit(folder)?;
    let work = super::work_folder(folder)?;
    let component = work.join("component.wasm");
    let modules = folder.join("node_modules");
    let installed = |package: &str, file: &str| {
        let path = modules.join(package).join(file);
        let missing = || {
            Fault::Missing(format!("{package} is not installed: run `npm install` in {}", folder.display()))
        };
        path.is_file().then_some(path).ok_or_else(missing)
    };
    let mut sources = folder.join("src");
    if language == Language::TypeScript {
        Bindings::of(folder)?.write(folder)?;
        let compiler = installed("typescript", "bin/tsc")?;
        tool::run(tool::command("node", folder).arg(compiler), NO_NODE)?;
        sources = work.join("src");
    }
    let entry = sources.join("plugin.js");
    let mut command = tool::command("node", folder);
    if language == Language::JavaScriptFull {
        command.arg(installed("@bytecodealliance/componentize-js", "src/cli.js")?).arg(&entry);
        command.arg("-w").arg(&wit).arg("-n").arg(&world.name).arg("-o").arg(&component);
        // The server asks for nothing that the engine would have for these.
        command.args(["-d", "stdio", "random", "clocks", "http", "fetch-event"]);
    } else {
        command.arg(installed("componentize-qjs", "cli.mjs")?);
        command.arg("--wit").arg(&wit).arg("--world").arg(&world.name).arg("--js").arg(&entry);
        // --sync: the hooks are plain functions. --stub-wasi: nothing is imported but what the world names.
        command
            .arg("--module-root")
            .arg(&sources)
            .args(["--sync", "--stub-wasi", "--output"])
            .arg(&component);
    }
    tool::run(&mut command, NO_NODE)?;
    Ok(Built { name: world.package, component: super::read(&component)? })
}
