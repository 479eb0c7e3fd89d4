//! The interfaces of `wit/since-0.1` as traits and values of this crate.
//!
//! Only the imports are generated: a component exports any subset of the hooks, so these are looked up one by
//! one (`component`). What may fail beyond its WIT type traps, and the failure policy answers.

wasmtime::component::bindgen!({
    path: "../../../wit/since-0.1",
    world: "imports",
    imports: {
        "waxwing:mail/transaction.headers": trappable,
        "waxwing:mail/transaction.header-all": trappable,
        "waxwing:mail/transaction.find-body": async | trappable,
        "waxwing:mail/transaction.parts": async | trappable,
        "waxwing:mail/transaction.read-body": async,
        "waxwing:mail/transaction.read-part": async,
        "waxwing:mail/transaction.digest-body": async,
        "waxwing:mail/random.bytes": trappable,
        "waxwing:mail/kv": async,
        "waxwing:mail/dns": async,
        "waxwing:mail/http": async,
        "waxwing:mail/scanner": async,
        "waxwing:mail/submission": async,
    },
});
