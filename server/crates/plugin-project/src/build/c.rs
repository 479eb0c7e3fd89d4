//! C: clang makes a core module, which becomes a component here.

use std::path::{Path, PathBuf};

use crate::bindings::Bindings;
use crate::project::Built;
use crate::{Fault, component, interface, tool};

/// The newest first, the plain name last: Debian's plain clang is older than its wasi-libc likes.
const CLANGS: [&str; 6] = ["clang-21", "clang-20", "clang-19", "clang-18", "clang-17", "clang"];
const MISSING: &str = "there is no clang that compiles for WebAssembly: run \
    `apt-get install clang-19 lld-19 libclang-rt-19-dev-wasm32 wasi-libc`, or what brings clang, lld and wasi-libc elsewhere";

pub(crate) fn build(folder: &Path, lines: bool) -> Result<Built, Fault> {
    let world = interface::world(folder)?;
    Bindings::of(folder)?.write(folder)?;
    let clang = find_clang(folder).ok_or_else(|| Fault::Missing(MISSING.to_owned()))?;
    let core = super::work_folder(folder)?.join("core.wasm");
    let mut command = tool::command(clang, folder);
    // No main: the exports are called one by one.
    command.args([
        "--target=wasm32-wasi",
        "-mexec-model=reactor",
        "-std=c17",
        "-Os",
        "-flto",
        "-Wall",
        "-Wextra",
    ]);
    command.args(["-Ibindings", "-Isrc"]);
    command.args(files(&folder.join("src"), &["c"])?).args(files(&folder.join("bindings"), &["c", "o"])?);
    // An overflowing stack traps instead of running into the data.
    command.args(["-Wl,--stack-first", "-Wl,-z,stack-size=65536"]);
    command.arg(if lines { "-gline-tables-only" } else { "-Wl,--strip-debug" }).arg("-o").arg(&core);
    tool::run(&mut command, MISSING)?;
    let component = component::component(super::read(&core)?, None, None)?;
    Ok(Built { name: world.package, component })
}

/// A clang with a linker, a C library and builtins for WebAssembly.
fn find_clang(folder: &Path) -> Option<&'static str> {
    let probe = "int main(void) { return 0; }";
    CLANGS.into_iter().find(|clang| {
        let compiles = || {
            use std::io::Write;
            let mut command = tool::command(clang, folder);
            command.args(["--target=wasm32-wasi", "-mexec-model=reactor", "-xc", "-", "-o", "/dev/null"]);
            command.stdin(std::process::Stdio::piped());
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            let mut child = command.spawn().ok()?;
            child.stdin.take()?.write_all(probe.as_bytes()).ok()?;
            child.wait().ok().filter(std::process::ExitStatus::success)
        };
        compiles().is_some()
    })
}

fn files(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, Fault> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Fault::file(folder))? {
        let path = entry.map_err(Fault::file(folder))?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| extensions.contains(&extension)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
