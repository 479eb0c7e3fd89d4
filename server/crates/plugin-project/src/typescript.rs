//! Declarations for TypeScript of the interfaces that a project's world names: what its compiler checks against.

use std::fmt::Write;

use wit_parser::{
    Function, FunctionKind, Handle, Interface, InterfaceId, Resolve, Type, TypeDefKind, TypeId, TypeOwner,
    WorldItem,
};

use crate::interface::World;

/// One module for each interface, by its name in WIT; a hook is an `interface` that the plugin's object fulfils.
pub(crate) fn declarations(world: &World) -> String {
    let resolve = &world.resolve;
    let mut text = "// Written by `waxwing plugin bindings` from wit/. Do not edit.\n".to_owned();
    let mut done: Vec<InterfaceId> = Vec::new();
    let (imports, exports) = (&resolve.worlds[world.id].imports, &resolve.worlds[world.id].exports);
    for (items, exported) in [(imports, false), (exports, true)] {
        for item in items.values() {
            if let WorldItem::Interface { id, .. } = item
                && !done.contains(id)
            {
                done.push(*id);
                module(&mut text, resolve, *id, exported);
            }
        }
    }
    text
}

fn module(text: &mut String, resolve: &Resolve, id: InterfaceId, exported: bool) {
    let interface = &resolve.interfaces[id];
    let Some(name) = resolve.id_of(id) else { return };
    let _ = writeln!(text, "\ndeclare module \"{name}\" {{");
    for line in used(resolve, id, interface) {
        let _ = writeln!(text, "  {line}");
    }
    for (name, id) in &interface.types {
        type_definition(text, resolve, name, *id);
    }
    if exported {
        let hook = camel(interface.name.as_deref().unwrap_or_default(), true);
        let _ = writeln!(text, "  export interface {hook} {{");
        for function in interface.functions.values() {
            let _ = writeln!(text, "    {};", signature(resolve, function));
        }
        text.push_str("  }\n");
    } else {
        for function in interface.functions.values() {
            comment(text, function.docs.contents.as_deref());
            let signature = signature(resolve, function);
            // A word of the language can be a function's name only for those who import it.
            let _ = match signature.strip_prefix("delete(") {
                Some(rest) => writeln!(text, "  function delete_({rest};\n  export {{ delete_ as delete }};"),
                None => writeln!(text, "  export function {signature};"),
            };
        }
    }
    text.push_str("}\n");
}

/// Types that come from other interfaces.
fn used(resolve: &Resolve, id: InterfaceId, interface: &Interface) -> Vec<String> {
    let foreign = interface.types.iter().filter_map(|(name, ty)| {
        let TypeDefKind::Type(Type::Id(original)) = &resolve.types[*ty].kind else { return None };
        let TypeOwner::Interface(owner) = resolve.types[*original].owner else { return None };
        (owner != id).then_some((name, owner))
    });
    foreign
        .filter_map(|(name, owner)| {
            let module = resolve.id_of(owner)?;
            let name = camel(name, true);
            Some(format!("import type {{ {name} }} from \"{module}\";\n  export type {{ {name} }};"))
        })
        .collect()
}

fn type_definition(text: &mut String, resolve: &Resolve, name: &str, id: TypeId) {
    let definition = &resolve.types[id];
    let name = camel(name, true);
    match &definition.kind {
        TypeDefKind::Record(record) => {
            comment(text, definition.docs.contents.as_deref());
            let _ = writeln!(text, "  export interface {name} {{");
            for field in &record.fields {
                let _ =
                    writeln!(text, "    {}: {};", camel(&field.name, false), type_name(resolve, &field.ty));
            }
            text.push_str("  }\n");
        }
        TypeDefKind::Variant(variant) => {
            let cases = variant.cases.iter().map(|case| match &case.ty {
                Some(ty) => format!("{{ tag: \"{}\"; val: {} }}", case.name, type_name(resolve, ty)),
                None => format!("{{ tag: \"{}\" }}", case.name),
            });
            let _ = writeln!(
                text,
                "  export type {name} =\n    | {};",
                cases.collect::<Vec<_>>().join("\n    | ")
            );
        }
        TypeDefKind::Enum(names) => {
            let names = names.cases.iter().map(|case| format!("\"{}\"", case.name)).collect::<Vec<_>>();
            let _ = writeln!(text, "  export type {name} = {};", names.join(" | "));
        }
        TypeDefKind::Type(Type::Id(_)) => {}
        kind => {
            let _ = writeln!(text, "  export type {name} = {};", kind_name(resolve, kind));
        }
    }
}

/// `set(key: string, ttlS: number | null): bigint`. A `result` is its value; its error is thrown.
fn signature(resolve: &Resolve, function: &Function) -> String {
    let name = match function.kind {
        FunctionKind::Freestanding => camel(&function.name, false),
        _ => camel(function.item_name(), false),
    };
    let params: Vec<String> = function
        .params
        .iter()
        .map(|param| format!("{}: {}", camel(&param.name, false), type_name(resolve, &param.ty)))
        .collect();
    let result = function.result.as_ref().map_or_else(|| "void".to_owned(), |ty| type_name(resolve, ty));
    format!("{name}({}): {result}", params.join(", "))
}

fn type_name(resolve: &Resolve, ty: &Type) -> String {
    match ty {
        Type::Bool => "boolean".to_owned(),
        Type::String | Type::Char => "string".to_owned(),
        Type::Id(id) => match (&resolve.types[*id].name, &resolve.types[*id].kind) {
            (Some(name), _) => camel(name, true),
            (None, kind) => kind_name(resolve, kind),
        },
        _ => "number".to_owned(),
    }
}

fn kind_name(resolve: &Resolve, kind: &TypeDefKind) -> String {
    match kind {
        TypeDefKind::List(Type::U8) => "Uint8Array".to_owned(),
        TypeDefKind::List(ty) => format!("Array<{}>", type_name(resolve, ty)),
        TypeDefKind::Option(ty) => format!("{} | null", type_name(resolve, ty)),
        TypeDefKind::Tuple(tuple) => {
            format!(
                "[{}]",
                tuple.types.iter().map(|ty| type_name(resolve, ty)).collect::<Vec<_>>().join(", ")
            )
        }
        TypeDefKind::Result(result) => {
            result.ok.as_ref().map_or_else(|| "void".to_owned(), |ty| type_name(resolve, ty))
        }
        TypeDefKind::Handle(Handle::Own(id) | Handle::Borrow(id)) => {
            resolve.types[*id].name.as_deref().map_or_else(|| "unknown".to_owned(), |name| camel(name, true))
        }
        TypeDefKind::Type(ty) => type_name(resolve, ty),
        _ => "unknown".to_owned(),
    }
}

fn comment(text: &mut String, docs: Option<&str>) {
    for line in docs.unwrap_or_default().lines() {
        let _ = writeln!(text, "  // {line}");
    }
}

/// `ttl-s` as `ttlS`, or as `TtlS` for a type.
fn camel(name: &str, upper: bool) -> String {
    let words = name.split('-').enumerate().map(|(nth, word)| match word.chars().next() {
        Some(first) if nth > 0 || upper => first.to_ascii_uppercase().to_string() + &word[first.len_utf8()..],
        _ => word.to_owned(),
    });
    words.collect()
}
