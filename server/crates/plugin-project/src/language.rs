//! The languages that there are templates for, and how a folder shows which one it is written in.

use std::path::Path;
use std::str::FromStr;

use crate::Fault;

/// A language, with the engine that it runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Rust,
    C,
    /// On QuickJS: small, an interpreter.
    JavaScript,
    /// On SpiderMonkey: large, with much of the web.
    JavaScriptFull,
    /// Checked and compiled, then as [`Self::JavaScript`].
    TypeScript,
    Python,
    Go,
}

impl Language {
    pub const ALL: [Self; 7] = [
        Self::Rust,
        Self::C,
        Self::JavaScript,
        Self::JavaScriptFull,
        Self::TypeScript,
        Self::Python,
        Self::Go,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::C => "c",
            Self::JavaScript => "js",
            Self::JavaScriptFull => "js-full",
            Self::TypeScript => "ts",
            Self::Python => "python",
            Self::Go => "go",
        }
    }

    /// All names, for people.
    pub(crate) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// The language of a project, by the files that its tools want.
    pub fn of(folder: &Path) -> Option<Self> {
        let has = |name: &str| folder.join(name).is_file();
        if has("Cargo.toml") {
            return Some(Self::Rust);
        }
        if has("go.mod") {
            return Some(Self::Go);
        }
        if has("package.json") {
            let text = std::fs::read_to_string(folder.join("package.json")).unwrap_or_default();
            let package: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            let wants = |name: &str| {
                ["dependencies", "devDependencies"].iter().any(|list| package[*list].get(name).is_some())
            };
            return Some(match (wants("@bytecodealliance/componentize-js"), wants("typescript")) {
                (true, _) => Self::JavaScriptFull,
                (false, true) => Self::TypeScript,
                (false, false) => Self::JavaScript,
            });
        }
        if has("pyproject.toml") {
            return Some(Self::Python);
        }
        let is_c = |path: &Path| path.extension().is_some_and(|extension| extension == "c");
        let mut sources = std::fs::read_dir(folder.join("src")).into_iter().flatten().flatten();
        sources.any(|entry| is_c(&entry.path())).then_some(Self::C)
    }
}

impl FromStr for Language {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let found = Self::ALL.into_iter().find(|language| language.name() == text);
        found.ok_or_else(|| Fault::Language(text.to_owned()))
    }
}
