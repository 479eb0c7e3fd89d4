//! The files that a new project begins with: the same small plugin in each language, with its tests.
//!
//! In a template `{{name}}` is the plugin's name, `{{Name}}` the same as a type, and `{{sdk}}` where Rust finds `waxwing-plugin`.

use std::path::{Path, PathBuf};

use crate::{Fault, Language, Name, interface};

/// Where the Rust SDK is taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sdk {
    /// A folder: that of a checkout of the server.
    Folder(PathBuf),
    /// The registry.
    Published,
}

macro_rules! files {
    ($($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../plugins/templates/", $path)))),+]
    };
}

/// Every template's files: `LANGUAGE/PATH`; those under `all/` go into every project. A file called `dot-x` becomes `.x`.
const FILES: &[(&str, &str)] = files![
    "all/dot-gitignore",
    "all/messages/letter.eml",
    "all/plugin-test.toml",
    "c/README.md",
    "c/src/plugin.c",
    "c/src/rules.c",
    "c/src/rules.h",
    "c/tests/rules_test.c",
    "c/wit/plugin.wit",
    "go/README.md",
    "go/go.mod",
    "go/hooks/hooks.go",
    "go/rules/rules.go",
    "go/rules/rules_test.go",
    "go/wit/plugin.wit",
    "js-full/README.md",
    "js-full/package.json",
    "js-full/src/plugin.js",
    "js-full/src/rules.js",
    "js-full/tests/rules.test.js",
    "js-full/wit/plugin.wit",
    "js/README.md",
    "js/package.json",
    "js/src/plugin.js",
    "js/src/rules.js",
    "js/tests/rules.test.js",
    "js/wit/plugin.wit",
    "python/README.md",
    "python/pyproject.toml",
    "python/src/plugin.py",
    "python/src/rules.py",
    "python/tests/test_rules.py",
    "python/wit/plugin.wit",
    "rust/Cargo.toml",
    "rust/README.md",
    "rust/dot-cargo/config.toml",
    "rust/src/lib.rs",
    "ts/README.md",
    "ts/package.json",
    "ts/src/plugin.ts",
    "ts/src/rules.ts",
    "ts/tests/rules.test.js",
    "ts/tsconfig.json",
    "ts/wit/plugin.wit",
];

/// Writes a new project into a folder that must not be there yet. What was written comes back, in order.
///
/// # Errors
/// When the folder exists or cannot be made.
pub fn begin(language: Language, name: &Name, folder: &Path, sdk: &Sdk) -> Result<Vec<PathBuf>, Fault> {
    if folder.symlink_metadata().is_ok() {
        return Err(Fault::Exists(folder.to_owned()));
    }
    let mut written = Vec::new();
    let mut write = |below: &str, text: &str| {
        let path = folder.join(below);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(Fault::file(parent))?;
        }
        std::fs::write(&path, text).map_err(Fault::file(&path))?;
        written.push(path);
        Ok(())
    };
    for (path, text) in FILES {
        let Some((of, below)) = path.split_once('/') else { continue };
        if of == "all" || of == language.name() {
            write(&below.replace("dot-", "."), &filled(text, name, sdk))?;
        }
    }
    for (file, text) in interface::FILES {
        write(&format!("wit/deps/mail/{file}"), text)?;
    }
    written.sort();
    Ok(written)
}

fn filled(text: &str, name: &Name, sdk: &Sdk) -> String {
    let sdk = match sdk {
        Sdk::Published => "\"0.1\"".to_owned(),
        // A TOML string, whatever the path is.
        Sdk::Folder(folder) => format!("{{ path = {} }}", serde_json::Value::from(folder.to_string_lossy())),
    };
    text.replace("{{name}}", name.as_str()).replace("{{Name}}", &name.camel()).replace("{{sdk}}", &sdk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn below(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => below(&path, root, found),
                false => {
                    _ = found.insert(path.strip_prefix(root).expect("below").to_string_lossy().into_owned())
                }
            }
        }
    }

    #[test]
    fn no_file_of_a_template_was_forgotten() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../plugins/templates");
        let mut found = BTreeSet::new();
        below(&root, &root, &mut found);
        let listed: BTreeSet<String> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(found, listed);
    }

    #[test]
    fn a_project_shows_its_language_and_has_no_blank_left_to_fill() {
        let home = tempfile::tempdir().expect("a folder");
        let name: Name = "no-nobody".parse().expect("a name");
        for language in Language::ALL {
            let folder = home.path().join(language.name());
            let written = begin(language, &name, &folder, &Sdk::Published).expect("a project");
            assert_eq!(Language::of(&folder), Some(language));
            for file in written {
                let text = std::fs::read_to_string(&file).expect("a file");
                assert!(!text.contains("{{"), "{}: {text}", file.display());
            }
            assert!(matches!(begin(language, &name, &folder, &Sdk::Published), Err(Fault::Exists(_))));
        }
    }

    #[test]
    fn the_world_of_every_template_fits_the_interface() {
        let home = tempfile::tempdir().expect("a folder");
        let name: Name = "no-nobody".parse().expect("a name");
        for language in Language::ALL.into_iter().filter(|language| *language != Language::Rust) {
            let folder = home.path().join(language.name());
            begin(language, &name, &folder, &Sdk::Published).expect("a project");
            let world = interface::world(&folder).expect("a world");
            assert_eq!((world.name.as_str(), world.package.as_str()), ("plugin", "no-nobody"));
        }
    }
}
