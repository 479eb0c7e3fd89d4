//! Writes the C bindings of a plugin from its WIT, or checks that the kept ones still fit.
//!
//! ```text
//! cargo run                     rewrite plugins/c/bindings from plugins/c/wit and wit/since-0.1
//! cargo run -- --check          compare instead of writing; exit status 1 when they differ
//! cargo run -- [--check] FOLDER the same for another plugin: FOLDER/wit/*.wit (one world) and FOLDER/bindings
//! ```
//!
//! The bindings are kept in the tree, so that building a plugin needs clang and `wasm-tools` but no generator: a
//! header, a source file, and a small object file that carries the WIT into the linked module.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use wit_bindgen_core::{Files, wit_parser::Resolve};

/// The interface every plugin is built against, seen from this crate.
const MAIL_WIT: &str = "../../../wit/since-0.1";
/// The plugin whose bindings are kept, seen from this crate.
const OWN_PLUGIN: &str = "..";

/// File name to contents.
type Bindings = BTreeMap<String, Vec<u8>>;

fn main() -> ExitCode {
    match run() {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bindgen: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut check = false;
    let mut folder = None;
    for argument in env::args().skip(1) {
        match argument.as_str() {
            "--check" => check = true,
            option if option.starts_with('-') => {
                bail!("unknown option {option}; usage: bindgen [--check] [FOLDER]")
            }
            _ if folder.is_some() => bail!("one folder at a time; usage: bindgen [--check] [FOLDER]"),
            path => folder = Some(PathBuf::from(path)),
        }
    }
    let plugin = folder.unwrap_or_else(|| here.join(OWN_PLUGIN));
    let kept = plugin.join("bindings");
    let wanted = generate(&here.join(MAIL_WIT), &plugin.join("wit"))?;

    if check {
        let differing = differences(&wanted, &kept)?;
        if !differing.is_empty() {
            bail!(
                "the C bindings no longer fit the WIT: {}. Write them anew with `cargo run` in plugins/c/bindgen, \
                 look at what changed, and commit it",
                differing.join(", ")
            );
        }
        return Ok(format!("the C bindings fit the WIT ({} files)", wanted.len()));
    }
    write(&wanted, &kept)?;
    Ok(format!("wrote {}", wanted.keys().cloned().collect::<Vec<_>>().join(", ")))
}

/// The bindings of the only world in `plugin`, which may use the packages in `mail`.
fn generate(mail: &Path, plugin: &Path) -> Result<Bindings> {
    let mut resolve = Resolve::default();
    resolve.push_dir(mail).with_context(|| format!("cannot read the WIT in {}", mail.display()))?;
    let (package, _) =
        resolve.push_dir(plugin).with_context(|| format!("cannot read the WIT in {}", plugin.display()))?;
    let world =
        resolve.select_world(&[package], None).context("a plugin's WIT describes exactly one world")?;

    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files)?;
    Ok(files.iter().map(|(name, contents)| (name.to_owned(), contents.to_vec())).collect())
}

/// What is missing, different or left over in `kept`, in words; empty when it is exactly `wanted`.
fn differences(wanted: &Bindings, kept: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut left_over = read(kept)?;
    for (name, contents) in wanted {
        match left_over.remove(name) {
            None => found.push(format!("{name} is missing")),
            Some(old) if old != *contents => found.push(format!("{name} differs")),
            Some(_) => {}
        }
    }
    found.extend(left_over.keys().map(|name| format!("{name} is no longer generated")));
    Ok(found)
}

fn write(wanted: &Bindings, kept: &Path) -> Result<()> {
    fs::create_dir_all(kept).with_context(|| format!("cannot make {}", kept.display()))?;
    for name in read(kept)?.keys().filter(|name| !wanted.contains_key(*name)) {
        fs::remove_file(kept.join(name)).with_context(|| format!("cannot remove {name}"))?;
    }
    for (name, contents) in wanted {
        fs::write(kept.join(name), contents).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}

/// The files in a folder; a folder that is not there is an empty one.
fn read(folder: &Path) -> Result<Bindings> {
    let mut files = Bindings::new();
    if !folder.exists() {
        return Ok(files);
    }
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        let contents =
            fs::read(entry.path()).with_context(|| format!("cannot read {}", entry.path().display()))?;
        files.insert(entry.file_name().to_string_lossy().into_owned(), contents);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bindings(files: &[(&str, &str)]) -> Bindings {
        files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn every_way_to_differ_is_named() {
        let folder = env::temp_dir().join(format!("bindgen-test-{}", std::process::id()));
        write(&bindings(&[("same.c", "1"), ("old.c", "2"), ("changed.h", "3")]), &folder)
            .expect("a temporary folder");
        let wanted = bindings(&[("same.c", "1"), ("changed.h", "4"), ("new.c", "5")]);

        let before = differences(&wanted, &folder).expect("readable");
        assert_eq!(before, ["changed.h differs", "new.c is missing", "old.c is no longer generated"]);

        write(&wanted, &folder).expect("writable");
        assert!(differences(&wanted, &folder).expect("readable").is_empty());
        fs::remove_dir_all(&folder).expect("removable");
    }

    #[test]
    fn the_kept_bindings_fit_the_wit() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let wanted =
            generate(&here.join(MAIL_WIT), &here.join(OWN_PLUGIN).join("wit")).expect("the WIT is sound");
        assert_eq!(differences(&wanted, &here.join(OWN_PLUGIN).join("bindings")).expect("readable"), [""; 0]);
    }
}
