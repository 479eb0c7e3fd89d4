//! Bindings for C, Go and TypeScript: what the author includes or imports, written from the WIT of the project.
//!
//! C has them in `bindings/`, TypeScript its declarations. Go has `exports.go`, which hands each hook to the author's package `hooks`, and one package for each
//! interface under `bindings/`. The generators are wit-bindgen's; Go's is made to stand alone, since what it generates asks for a module
//! that would have to be fetched, and for a package for each hook.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wit_bindgen_core::Files;
use wit_parser::Resolve;

use crate::interface::{self, World};
use crate::{Fault, Language, typescript};

/// What generated Go code needs beside itself.
const GO_RUNTIME: [(&str, &str); 2] = [
    ("bindings/wit/types/types.go", include_str!("go/types.go")),
    ("bindings/wit/runtime/runtime.go", include_str!("go/runtime.go")),
];

/// The bindings of a project: path below its folder to contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bindings(BTreeMap<String, Vec<u8>>);

impl Bindings {
    /// As they should be. The project is written in C, Go or TypeScript; other languages make theirs while they are built.
    ///
    /// # Errors
    /// When the WIT cannot be read, or the language has no bindings to keep.
    pub fn of(folder: &Path) -> Result<Self, Fault> {
        let language = Language::of(folder).ok_or_else(|| Fault::NoProject(folder.to_owned()))?;
        let world = interface::world(folder)?;
        match language {
            Language::C => c(folder, world),
            Language::Go => go(folder, world),
            Language::TypeScript => {
                let text = typescript::declarations(&world);
                Ok(Self([("bindings/waxwing.d.ts".to_owned(), text.into_bytes())].into()))
            }
            other => Err(Fault::Project {
                path: folder.to_owned(),
                why: format!("a project in {} has no bindings to write: its tools make them", other.name()),
            }),
        }
    }

    /// What differs from the files that lie there, in words; empty when nothing does.
    ///
    /// # Errors
    /// When files cannot be read.
    pub fn differences(&self, folder: &Path) -> Result<Vec<String>, Fault> {
        let mut found = Vec::new();
        let mut left_over = kept(folder)?;
        for (name, contents) in &self.0 {
            match std::fs::read(folder.join(name)) {
                Ok(old) if old == *contents => {}
                Ok(_) => found.push(format!("{name} differs")),
                Err(_) => found.push(format!("{name} is missing")),
            }
            left_over.retain(|path| *path != folder.join(name));
        }
        let gone = left_over.iter().map(|path| format!("{} is no longer generated", path.display()));
        found.extend(gone);
        Ok(found)
    }

    /// Writes those that differ, and removes what is not generated any more.
    ///
    /// # Errors
    /// When files cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Fault> {
        for path in kept(folder)?.iter().filter(|path| !self.0.keys().any(|name| folder.join(name) == **path))
        {
            std::fs::remove_file(path).map_err(Fault::file(path))?;
        }
        for (name, contents) in &self.0 {
            let path = folder.join(name);
            if std::fs::read(&path).is_ok_and(|old| old == *contents) {
                continue;
            }
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(Fault::file(parent))?;
            }
            std::fs::write(&path, contents).map_err(Fault::file(&path))?;
        }
        Ok(())
    }
}

/// Every file under `bindings/`.
fn kept(folder: &Path) -> Result<Vec<PathBuf>, Fault> {
    let mut found = Vec::new();
    let mut folders = vec![folder.join("bindings")];
    while let Some(next) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&next) else { continue };
        for entry in entries {
            let path = entry.map_err(Fault::file(&next))?.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    Ok(found)
}

fn generate(
    folder: &Path,
    mut world: World,
    mut generator: Box<dyn wit_bindgen_core::WorldGenerator>,
) -> Result<Files, Fault> {
    let mut files = Files::default();
    generator
        .generate(&mut world.resolve, world.id, &mut files)
        .map_err(|error| Fault::Wit { path: folder.join("wit"), why: format!("{error:#}") })?;
    Ok(files)
}

fn c(folder: &Path, world: World) -> Result<Bindings, Fault> {
    let files = generate(folder, world, wit_bindgen_c::Opts::default().build())?;
    Ok(Bindings(
        files.iter().map(|(name, contents)| (format!("bindings/{name}"), contents.to_vec())).collect(),
    ))
}

fn go(folder: &Path, mut world: World) -> Result<Bindings, Fault> {
    let module = go_module(folder)?;
    rename_for_go(&mut world.resolve);
    let options = wit_bindgen_go::Opts { format: wit_bindgen_go::Format::False, ..Default::default() };
    let files = generate(folder, world, options.build())?;
    let mut bindings = BTreeMap::new();
    for (name, contents) in files.iter().filter(|(name, _)| *name != "go.mod") {
        let text = go_text(&String::from_utf8_lossy(contents), &module);
        let (name, text) = match name {
            "wit_exports.go" => ("exports.go".to_owned(), text),
            other => (format!("bindings/{}", other.trim_start_matches("waxwing_mail_")), text),
        };
        bindings.insert(name, text.into_bytes());
    }
    for (name, text) in GO_RUNTIME {
        bindings.insert(name.to_owned(), text.as_bytes().to_vec());
    }
    Ok(Bindings(bindings))
}

/// Some names of parameters mean something in Go.
fn rename_for_go(resolve: &mut Resolve) {
    for (_, interface) in &mut resolve.interfaces {
        for param in interface.functions.values_mut().flat_map(|function| &mut function.params) {
            if param.name == "len" {
                param.name = "length".to_owned();
            }
        }
    }
}

/// Generated text with the project's own packages in it: one called `hooks` for all hooks.
fn go_text(text: &str, module: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = match line.trim().strip_prefix("\"wit_component/export_waxwing_mail_") {
            Some(_) => format!("\t\"{module}/hooks\""),
            None => line
                .replace("go.bytecodealliance.org/pkg/wit/", &format!("{module}/bindings/wit/"))
                .replace("wit_component/waxwing_mail_", &format!("{module}/bindings/"))
                .replace("waxwing_mail_", ""),
        };
        let twice = line.ends_with("/hooks\"") && lines.contains(&line);
        if !twice {
            lines.push(with_hooks(&line));
        }
    }
    lines.join("\n") + "\n"
}

/// `export_on_rcpt.Rcpt(...)` as `hooks.Rcpt(...)`.
fn with_hooks(line: &str) -> String {
    let Some((before, rest)) = line.split_once("export_").filter(|(before, _)| !before.ends_with('_')) else {
        return line.to_owned();
    };
    match rest.split_once('.') {
        Some((_, call)) => format!("{before}hooks.{call}"),
        None => line.to_owned(),
    }
}

fn go_module(folder: &Path) -> Result<String, Fault> {
    let path = folder.join("go.mod");
    let text = std::fs::read_to_string(&path).map_err(Fault::file(&path))?;
    let module = text.lines().find_map(|line| line.trim().strip_prefix("module "));
    module
        .map(|module| module.trim().to_owned())
        .ok_or(Fault::Project { path, why: "it names no module".to_owned() })
}
