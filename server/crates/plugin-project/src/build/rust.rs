//! Rust: cargo makes the component, with the linker that comes with the tool chain.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::project::Built;
use crate::{Fault, tool};

const TARGET: &str = "wasm32-unknown-unknown";
const NO_CARGO: &str = "there is no cargo: install Rust with rustup (https://rustup.rs)";
const NO_TARGET: &str =
    "Rust has no standard library for WebAssembly: run `rustup target add wasm32-unknown-unknown`";

pub(crate) fn build(folder: &Path, lines: bool) -> Result<Built, Fault> {
    let Some(libraries) = tool::answers("rustc", &["--print", "target-libdir", "--target", TARGET], folder)
    else {
        return Err(Fault::Missing(NO_CARGO.to_owned()));
    };
    if !has_std(Path::new(&libraries)) {
        return Err(Fault::Missing(NO_TARGET.to_owned()));
    }
    let mut cargo = tool::command("cargo", folder);
    cargo.args(["build", "--release", "--target", TARGET, "--message-format", "json-render-diagnostics"]);
    // Guests must not inherit what was meant for the server's build.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    if lines {
        cargo
            .env("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only")
            .env("CARGO_PROFILE_RELEASE_STRIP", "none");
    }
    let output = tool::run(&mut cargo, NO_CARGO)?;
    let (name, file) = artifact(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| Fault::Project {
        path: folder.join("Cargo.toml"),
        why: "it makes no plugin: its [lib] wants crate-type = [\"cdylib\"]".to_owned(),
    })?;
    Ok(Built { name, component: super::read(&file)? })
}

fn has_std(folder: &Path) -> bool {
    let is_std = |name: &str| name.starts_with("libstd-") && name.ends_with(".rlib");
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.any(|entry| entry.file_name().to_str().is_some_and(is_std))
}

/// The last `.wasm` that cargo tells of, and the name of its package.
fn artifact(messages: &str) -> Option<(String, PathBuf)> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let made = messages.filter(|message| message["reason"] == "compiler-artifact");
    let mut files = made.filter_map(|message| {
        let names = message["filenames"].as_array()?;
        let file = names.iter().filter_map(Value::as_str).find(|name| name.ends_with(".wasm"))?;
        // The library's name has underscores where the package's has hyphens.
        Some((message["target"]["name"].as_str()?.replace('_', "-"), PathBuf::from(file)))
    });
    files.next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_is_found_among_what_cargo_says() {
        let said = r#"{"reason":"compiler-artifact","target":{"name":"serde"},"filenames":["/t/libserde.rlib"]}
{"reason":"compiler-artifact","target":{"name":"no_nobody"},"filenames":["/t/no_nobody.wasm"]}
{"reason":"build-finished","success":true}"#;
        assert_eq!(artifact(said), Some(("no-nobody".to_owned(), PathBuf::from("/t/no_nobody.wasm"))));
        assert_eq!(artifact("nothing\n"), None);
    }
}
