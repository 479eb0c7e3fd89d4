//! Files that cannot be plugins, each with its reason.

use hooks::Request;
use plugin_host::{LoadError, Options, PluginHost, PluginOptions, Services};

use crate::guest::{Guest, PROCEED, REJECT, fixed};
use crate::stage::Bed;

async fn refusal(component: &[u8]) -> LoadError {
    let bed = Bed::open(|options| options.limits.component_octets = 100_000, Services::default());
    bed.put("bad", component);
    let reports = bed.load().await;
    assert_eq!(reports.len(), 1);
    let error = reports[0].outcome.clone().unwrap_err();
    let refused = bed.host.status().refused;
    assert_eq!((refused[0].name.as_str(), refused[0].reason.as_str()), ("bad", error.to_string().as_str()));
    assert!(bed.host.status().plugins.is_empty());
    error
}

#[tokio::test]
async fn what_is_no_component_is_refused() {
    assert_eq!(refusal(b"not wasm at all").await, LoadError::NotWasm);
    assert_eq!(refusal(b"").await, LoadError::NotWasm);
    assert_eq!(refusal(&wat::parse_str("(module)").unwrap()).await, LoadError::CoreModule);
    assert_eq!(refusal(&wat::parse_str("(component)").unwrap()).await, LoadError::NoHook);
    assert_eq!(refusal(&vec![0; 100_001]).await, LoadError::TooLarge(100_000));
    let whole = fixed(&[("connect", PROCEED)]);
    assert!(matches!(refusal(&whole[..whole.len() / 2]).await, LoadError::Invalid(_)));
}

#[tokio::test]
async fn an_import_that_nobody_gives_is_named() {
    for name in [
        "wasi:keyvalue/store@0.2.0",
        "wasi:io/poll@0.3.0",
        "waxwing:mail/shell@0.1.0",
        "evil:corp/exfiltrate",
    ] {
        let text = format!(
            r#"(component (import "{name}" (instance)) (instance $e)
                (export "waxwing:mail/on-connect@0.1.0" (instance $e)))"#
        );
        let error = refusal(&wat::parse_str(text).unwrap()).await;
        assert_eq!(error, LoadError::Import(name.to_owned()));
    }
    let unknown_function = r#"(component
        (import "waxwing:mail/session@0.1.0" (instance (export "shutdown" (func))))
        (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f")))
        (instance $e (export "connect" (func $f)))
        (export "waxwing:mail/on-connect@0.1.0" (instance $e)))"#;
    let error = refusal(&wat::parse_str(unknown_function).unwrap()).await;
    assert!(matches!(&error, LoadError::Import(reason) if reason.contains("shutdown")), "{error}");
}

#[tokio::test]
async fn a_component_for_a_newer_interface_is_told_what_this_server_offers() {
    for (import, export, wanted) in [
        ("waxwing:mail/session@0.2.0", "waxwing:mail/on-connect@0.1.0", "waxwing:mail/session@0.2.0"),
        ("waxwing:mail/session@0.1.0", "waxwing:mail/on-connect@0.2.0", "waxwing:mail/on-connect@0.2.0"),
    ] {
        let text = format!(
            r#"(component (import "{import}" (instance)) (instance $e) (export "{export}" (instance $e)))"#
        );
        let error = refusal(&wat::parse_str(text).unwrap()).await;
        let LoadError::Version { wanted: named, offered } = &error else { panic!("{error}") };
        assert_eq!((named.as_str(), offered), (wanted, &wanted.replace("0.2.0", "0.1.0")), "{error}");
    }
    let unknown = r#"(component (instance $e) (export "waxwing:mail/on-vrfy@0.1.0" (instance $e)))"#;
    let error = refusal(&wat::parse_str(unknown).unwrap()).await;
    assert_eq!(error, LoadError::Hook("waxwing:mail/on-vrfy@0.1.0".to_owned()));
}

#[tokio::test]
async fn a_hook_in_a_newer_version_beside_the_known_one_is_asked_in_the_known_one() {
    // What a later tool chain would build: the hook once more, under a version that this server does not know. The section that
    // exports it is written twice; both names are of one length.
    let known = fixed(&[("connect", REJECT)]);
    let name = b"waxwing:mail/on-connect@0.1.0";
    let head = [&[0x0b, name.len() as u8 + 6, 1, 0, name.len() as u8], &name[..]].concat();
    let at = known.windows(head.len()).position(|window| window == head).unwrap();
    let section = known[at..at + head.len() + 3].to_vec();
    let newer =
        section.iter().enumerate().map(|(nth, byte)| if nth == head.len() - 3 { b'2' } else { *byte });
    let both: Vec<u8> = known.iter().copied().chain(newer).collect();
    let bed = Bed::with(&[("both", &both)]).await;
    assert_eq!(bed.plugin("both").unwrap().hooks, ["connect"]);
    assert_eq!(bed.session().ask(Request::Connect).await.verdict.name(), "reject");
}

#[tokio::test]
async fn a_hook_of_another_type_is_refused() {
    let text = r#"(component
        (core module $m (func (export "f") (result i32) (i32.const 1)))
        (core instance $i (instantiate $m))
        (func $f (result u32) (canon lift (core func $i "f")))
        (instance $e (export "connect" (func $f)))
        (export "waxwing:mail/on-connect@0.1.0" (instance $e)))"#;
    let error = refusal(&wat::parse_str(text).unwrap()).await;
    assert!(matches!(error, LoadError::Export(_)), "{error}");
}

#[tokio::test]
async fn init_may_refuse_and_may_fail() {
    // err("no key")
    let refuses = Guest::new()
        .with(r#"(data (i32.const 1024) "\01\00\00\00\20\04\00\00\06\00\00\00") (data (i32.const 1056) "no key")"#)
        .hook("init", "(i32.const 1024)")
        .hook("connect", PROCEED);
    assert_eq!(refusal(&refuses.build()).await, LoadError::Init("no key".to_owned()));
    let traps = Guest::new().hook("init", "(unreachable)").hook("connect", PROCEED);
    assert!(matches!(refusal(&traps.build()).await, LoadError::InitFailed(_)));
    let fine = Guest::new().hook("init", PROCEED).hook("connect", PROCEED).build();
    let bed = Bed::with(&[("fine", &fine)]).await;
    assert_eq!(bed.plugin("fine").unwrap().hooks, ["init", "connect"]);
    let only_init = Guest::new().hook("init", PROCEED);
    assert_eq!(refusal(&only_init.build()).await, LoadError::NoHook);
}

#[tokio::test]
async fn a_name_that_the_order_gives_must_have_a_file() {
    let bed =
        Bed::open(|options| options.order = vec!["there".to_owned(), "gone".to_owned()], Services::default());
    bed.put("there", &fixed(&[("connect", PROCEED)]));
    let reports = bed.load().await;
    assert_eq!(reports.len(), 2);
    assert_eq!((reports[0].name.as_str(), reports[0].outcome.clone()), ("there", Ok(1)));
    assert_eq!((reports[1].name.as_str(), reports[1].file.clone()), ("gone", None));
    assert!(reports[1].outcome.as_ref().unwrap_err().to_string().contains("gone.wasm"));
}

#[tokio::test]
async fn other_files_and_disabled_plugins_are_left_alone() {
    let change = |options: &mut Options| {
        options
            .plugins
            .insert("off".to_owned(), PluginOptions { enabled: false, ..PluginOptions::default() });
    };
    let bed = Bed::open(change, Services::default());
    let component = fixed(&[("connect", PROCEED)]);
    for name in [".hidden.wasm", "readme.txt", "plugin.wasm~", ".wasm", "off.wasm"] {
        std::fs::write(bed.options.dir.join(name), &component).unwrap();
    }
    assert_eq!(bed.load().await, []);
    let mut options = bed.options.clone();
    options.plugins.clear();
    assert_eq!(bed.host.replace_options(options).await.len(), 1);
    assert_eq!(bed.plugin("off").unwrap().generation, 1);
}

#[tokio::test]
async fn inspection_needs_no_compiler_and_no_trust() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.wasm");
    let guest = Guest::new().import("session", "peer-port", "(result i32)").hook("rcpt", REJECT).build();
    std::fs::write(&file, &guest).unwrap();
    let inspection = PluginHost::inspect(&file).unwrap();
    assert_eq!((inspection.size, inspection.hooks), (guest.len() as u64, vec!["rcpt".to_owned()]));
    assert!(
        inspection.imports.contains(&"waxwing:mail/session@0.1.0".to_owned()),
        "{:?}",
        inspection.imports
    );
    assert_eq!(inspection.hash.len(), 64);
    assert!(matches!(PluginHost::inspect(&dir.path().join("none.wasm")), Err(LoadError::Read(_))));
}
