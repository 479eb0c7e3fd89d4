//! A plugin author's project: begun from a template, bound to the interface, built with its language's own tools.
//!
//! ```text
//! begin (template) -> the author writes -> bindings (C, Go, TypeScript) -> build -> NAME.wasm, a component
//! ```
//!
//! A project is a folder; its language shows in its files ([`Language::of`]). Building runs the language's compiler, which is
//! looked for and never installed: what is missing is said in one sentence that names the command to run. What needs no
//! compiler is done here: bindings are generated, and the core modules of C and Go become components.
//!
//! Limits: a name has at most [`name::MOST_CHARACTERS`] characters; of what a tool said, the last [`tool::SAID_LINES`] lines are shown.
//! Errors: [`Fault`], each in one sentence for the author.
//! Known gaps: tools that run for ever are not ended; the user does that.

mod bindings;
mod build;
mod component;
mod fault;
mod interface;
mod language;
mod made_with;
pub mod name;
mod project;
mod template;
pub mod tool;
mod typescript;

pub use bindings::Bindings;
pub use fault::Fault;
pub use language::Language;
pub use made_with::MadeWith;
pub use name::Name;
pub use project::{Built, Project};
pub use template::{Sdk, begin};
