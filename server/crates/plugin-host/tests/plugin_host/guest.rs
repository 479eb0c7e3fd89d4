//! Assembles plugins: a core module in text form, with the interfaces that it imports and exports.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// What every guest has: memory, an allocator, verdicts at fixed places, and room for results at 2048.
const PRELUDE: &str = r#"
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 16384))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
  ;; proceed, accept
  (data (i32.const 0) "\00")
  (data (i32.const 32) "\01")
  ;; reject 550 5.7.1 "no thanks"
  (data (i32.const 64) "\02\00\00\00\26\02\01\00\05\00\07\00\01\00\00\00\80\00\00\00\09\00\00\00")
  (data (i32.const 128) "no thanks")
  ;; discard "junk", quarantine "junk"
  (data (i32.const 160) "\04\00\00\00\d0\00\00\00\04\00\00\00")
  (data (i32.const 176) "\05\00\00\00\d0\00\00\00\04\00\00\00")
  (data (i32.const 208) "junk")
"#;

pub(crate) const PROCEED: &str = "(i32.const 0)";
pub(crate) const ACCEPT: &str = "(i32.const 32)";
pub(crate) const REJECT: &str = "(i32.const 64)";
pub(crate) const DISCARD: &str = "(i32.const 160)";
pub(crate) const QUARANTINE: &str = "(i32.const 176)";

/// A guest under construction.
#[derive(Default)]
pub(crate) struct Guest {
    world: String,
    imports: String,
    body: String,
}

impl Guest {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Imports a function of `waxwing:mail` as `$name`, with a core type such as `(param i32) (result i32)`.
    pub(crate) fn import(mut self, interface: &str, function: &str, ty: &str) -> Self {
        let line = format!("import waxwing:mail/{interface}@0.1.0;\n");
        if !self.world.contains(&line) {
            self.world.push_str(&line);
        }
        self.imports.push_str(&format!(
            "(import \"waxwing:mail/{interface}@0.1.0\" \"{function}\" (func ${function} {ty}))\n"
        ));
        self
    }

    /// Anything at the module's top: globals, data, functions.
    pub(crate) fn with(mut self, text: &str) -> Self {
        self.body.push_str(text);
        self
    }

    /// Exports a hook; `code` leaves the place of its result.
    pub(crate) fn hook(mut self, hook: &str, code: &str) -> Self {
        let (interface, ty) = match hook {
            "init" => ("lifecycle".to_owned(), "(result i32)"),
            "disconnect" => ("on-disconnect".to_owned(), ""),
            "ehlo" => ("on-ehlo".to_owned(), "(param i32 i32) (result i32)"),
            "auth" => ("on-auth".to_owned(), "(param i32 i32 i32 i32) (result i32)"),
            "mail" => ("on-mail".to_owned(), "(param i32 i32 i32 i32 i32 i32 i32) (result i32)"),
            "rcpt" => ("on-rcpt".to_owned(), "(param i32 i32 i32 i32 i32 i32) (result i32)"),
            "route" => ("on-route".to_owned(), "(param i32 i32 i32 i32 i32) (result i32)"),
            "outcome" => {
                ("on-outcome".to_owned(), "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)")
            }
            other => (format!("on-{other}"), "(result i32)"),
        };
        self.world.push_str(&format!("export waxwing:mail/{interface}@0.1.0;\n"));
        self.body
            .push_str(&format!("(func (export \"waxwing:mail/{interface}@0.1.0#{hook}\") {ty} {code})\n"));
        self
    }

    /// The component.
    pub(crate) fn build(&self) -> Vec<u8> {
        let text = format!("(module {} {PRELUDE} {})", self.imports, self.body);
        let mut module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let mut resolve = Resolve::default();
        resolve.push_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../wit/since-0.1")).unwrap();
        let wit = format!("package test:guest;\nworld guest {{\n{}\n}}", self.world);
        let package = resolve.push_str("guest.wit", &wit).unwrap();
        let world = resolve.select_world(&[package], Some("guest")).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
    }
}

/// A plugin whose hooks give fixed verdicts.
pub(crate) fn fixed(hooks: &[(&str, &str)]) -> Vec<u8> {
    hooks.iter().fold(Guest::new(), |guest, (hook, code)| guest.hook(hook, code)).build()
}

/// Code that traps unless the result at 2048 is this case of `types.error`, or none.
pub(crate) fn came_to(error: Option<u32>) -> String {
    match error {
        None => "(if (i32.load8_u (i32.const 2048)) (then (unreachable)))".to_owned(),
        Some(case) => format!(
            "(if (i32.eqz (i32.load8_u (i32.const 2048))) (then (unreachable)))
             (if (i32.ne (i32.load8_u (i32.const 2052)) (i32.const {case})) (then (unreachable)))"
        ),
    }
}

/// A plugin that adds the field `X-Seen: NAME` to the message, with the number of fields of that name before.
pub(crate) fn adds_header(value: &str, verdict: &str) -> Vec<u8> {
    let code = format!(
        r#"(call $add-header (i32.const 1024) (i32.const 6) (i32.const 1040) (i32.const {})
             (i32.const 0) (i32.const 0) (i32.const 2048))
           {verdict}"#,
        value.len()
    );
    Guest::new()
        .import("transaction", "add-header", "(param i32 i32 i32 i32 i32 i32 i32)")
        .with(&format!("(data (i32.const 1024) \"X-Seen\") (data (i32.const 1040) \"{value}\")"))
        .hook("message", &code)
        .build()
}
