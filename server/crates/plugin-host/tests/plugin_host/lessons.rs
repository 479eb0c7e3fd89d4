//! What went wrong elsewhere and would be found nowhere else; docs/plugins/lessons.md has the whole list.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use hooks::Request;
use plugin_host::Options;
use wit_parser::{FunctionKind, Resolve, Type, TypeDefKind};

use crate::guest::{ACCEPT, Guest, fixed};
use crate::stage::{Bed, Session};

fn interface() -> Resolve {
    let mut resolve = Resolve::default();
    resolve.push_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../wit/since-0.1")).unwrap();
    resolve
}

/// Whether a type is a list, or has one somewhere in it.
fn has_list(resolve: &Resolve, ty: &Type) -> bool {
    let Type::Id(id) = ty else { return *ty == Type::String };
    match &resolve.types[*id].kind {
        TypeDefKind::List(_) => true,
        TypeDefKind::Option(inner) | TypeDefKind::Type(inner) => has_list(resolve, inner),
        TypeDefKind::Result(result) => {
            [&result.ok, &result.err].into_iter().flatten().any(|ty| has_list(resolve, ty))
        }
        TypeDefKind::Tuple(tuple) => tuple.types.iter().any(|ty| has_list(resolve, ty)),
        TypeDefKind::Record(record) => record.fields.iter().any(|field| has_list(resolve, &field.ty)),
        TypeDefKind::Variant(variant) => {
            variant.cases.iter().flat_map(|case| &case.ty).any(|ty| has_list(resolve, ty))
        }
        _ => false,
    }
}

#[test]
fn no_function_of_the_interface_waits_by_its_type_or_lends_a_handle() {
    let resolve = interface();
    let functions: Vec<_> = resolve.interfaces.iter().flat_map(|(_, one)| one.functions.values()).collect();
    assert!(functions.len() > 50, "{}", functions.len());
    for function in &functions {
        assert_eq!(function.kind, FunctionKind::Freestanding, "{}", function.name);
    }
    for (_, ty) in resolve.types.iter() {
        let is_known = !matches!(
            ty.kind,
            TypeDefKind::Future(_) | TypeDefKind::Stream(_) | TypeDefKind::Resource | TypeDefKind::Handle(_)
        );
        assert!(is_known, "{:?} is {}", ty.name, ty.kind.as_str());
    }
}

#[test]
fn no_imported_function_takes_a_number_of_64_bits_and_gives_a_list() {
    let resolve = interface();
    let imports = resolve.interfaces.iter().filter(|(_, one)| {
        let name = one.name.as_deref().unwrap_or_default();
        !name.starts_with("on-") && name != "lifecycle"
    });
    for function in imports.flat_map(|(_, one)| one.functions.values()) {
        let is_wide = function.params.iter().any(|param| matches!(param.ty, Type::U64 | Type::S64));
        // An error with a text is a list as well, which QuickJS bears: what counts is what comes back when all goes well.
        let ok = function.result.and_then(|ty| match ty {
            Type::Id(id) => match &resolve.types[id].kind {
                TypeDefKind::Result(result) => result.ok,
                _ => Some(ty),
            },
            other => Some(other),
        });
        let gives_list = ok.is_some_and(|ty| has_list(&resolve, &ty));
        assert!(!(is_wide && gives_list), "{}", function.name);
    }
}

#[tokio::test]
async fn a_guest_as_large_as_an_interpreter_has_room_in_the_pool() {
    // Python's: 60,000 functions in its tables, 20 MB at the beginning, a dozen tables' worth of modules.
    let guest = Guest::new()
        .with("(table 60000 funcref) (func $grow (drop (memory.grow (i32.const 320))))")
        .hook("connect", &format!("(call $grow) (i32.store (i32.const 20000000) (i32.const 1)) {ACCEPT}"));
    let bed = Bed::with(&[("large", &guest.build())]).await;
    assert!(bed.host.status().pooled, "this is about the pool");
    let mut sessions: Vec<Session> = (0..20).map(|_| bed.session()).collect();
    for session in &mut sessions {
        let answer = session.ask(Request::Connect).await;
        assert_eq!(answer.verdict.name(), "accept", "{:?}", bed.plugin("large"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn orders_of_every_kind_at_once_under_questions_all_come_to_an_end() {
    let change = |options: &mut Options| {
        options.limits.instances = 20;
        options.history_dir = options.dir.with_file_name("history");
    };
    let bed = Bed::open(change, plugin_host::Services::default());
    for name in ["a", "b", "c"] {
        bed.put(name, &fixed(&[("data", ACCEPT)]));
    }
    bed.load().await;
    let _watch = bed.host.watch().unwrap();
    let orders = (0..120).map(|nth: usize| {
        let (host, options) = (bed.host.clone(), bed.options.clone());
        let name = ["a", "b", "c"][nth % 3].to_owned();
        tokio::spawn(async move {
            match nth % 8 {
                0 => drop(host.reload(Some(name)).await),
                1 => drop(host.reload(None).await),
                2 => drop(host.roll_back(name, None).await),
                3 => drop(host.disable(name).await),
                4 => drop(host.enable(name).await),
                5 => drop(host.replace_options(options).await),
                6 => drop(host.status()),
                _ => {
                    let mut session = Session::of(&host);
                    for _ in 0..20 {
                        session.ask(Request::Data).await;
                    }
                }
            }
        })
    });
    let all = async {
        for order in orders.collect::<Vec<_>>() {
            order.await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(300), all).await.expect("all of them to end");
    for name in ["a", "b", "c"] {
        bed.host.enable(name.to_owned()).await.unwrap();
    }
    let running: BTreeSet<String> = bed.host.status().plugins.into_iter().map(|plugin| plugin.name).collect();
    assert_eq!(running, ["a", "b", "c"].map(str::to_owned).into());
}
