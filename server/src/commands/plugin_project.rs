//! `plugin new`, `plugin build` and `plugin bindings`: what an author does before a server comes in.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use plugin_host::PluginHost;
use plugin_project::{Bindings, Language, Name, Project, Sdk};

use super::output::{print, size};

/// Writes a project and says what comes next.
pub(crate) fn begin(name: &str, language: &str, folder: Option<&Path>, sdk: Option<&Path>) -> Result<()> {
    let (name, language): (Name, Language) = (name.parse()?, language.parse()?);
    let folder = folder.map_or_else(|| PathBuf::from(name.as_str()), Path::to_owned);
    let sdk = match sdk {
        Some(folder) => {
            ensure!(is_sdk(folder), "{}: there is no waxwing-plugin in it", folder.display());
            Sdk::Folder(std::fs::canonicalize(folder).with_context(|| folder.display().to_string())?)
        }
        None => own_checkout().map_or(Sdk::Published, Sdk::Folder),
    };
    let written = plugin_project::begin(language, &name, &folder, &sdk)?;
    let mut text = String::new();
    for file in &written {
        writeln!(text, "{}", file.display())?;
    }
    writeln!(
        text,
        "next: cd {}, read README.md, then: waxwing plugin build && waxwing plugin test",
        folder.display()
    )?;
    print(&text)
}

/// Builds a project, looks at what came out as a server would, and puts it in its place.
pub(crate) fn build(folder: &Path, into: Option<&Path>, output: Option<&Path>, lines: bool) -> Result<()> {
    let project = Project::open(folder)?;
    let built = project.build(lines)?;
    let file = match (output, into) {
        (Some(file), _) => file.to_owned(),
        (None, Some(into)) => into.join(format!("{}.wasm", built.name)),
        (None, None) => folder.join(format!("{}.wasm", built.name)),
    };
    built.write(&file)?;
    let inspection = PluginHost::inspect(&file).with_context(|| file.display().to_string())?;
    print(&format!("{}: {}, hooks {}\n", file.display(), size(inspection.size), inspection.hooks.join(" ")))
}

/// Writes or checks what is generated from a project's WIT.
pub(crate) fn bindings(folder: &Path, check: bool) -> Result<()> {
    let wanted = Bindings::of(folder)?;
    let differences = wanted.differences(folder)?;
    if check {
        ensure!(
            differences.is_empty(),
            "the bindings do not fit the WIT any more: {}; write them anew with `waxwing plugin bindings`",
            differences.join(", ")
        );
        return print("the bindings fit the WIT\n");
    }
    wanted.write(folder)?;
    print(&match differences.is_empty() {
        true => "the bindings fit the WIT already\n".to_owned(),
        false => format!("{}\n", differences.join("\n")),
    })
}

fn is_sdk(folder: &Path) -> bool {
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    manifest.contains("name = \"waxwing-plugin\"")
}

/// The SDK of the checkout that this binary lies in, as in `target/debug/waxwing`.
fn own_checkout() -> Option<PathBuf> {
    let binary = std::fs::canonicalize(std::env::current_exe().ok()?).ok()?;
    binary.ancestors().map(|folder| folder.join("plugin-sdk")).find(|folder| is_sdk(folder))
}
