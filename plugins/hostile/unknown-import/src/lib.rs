//! Imports an interface that the server does not have: it must be refused at load, with that name.
#![cfg(target_arch = "wasm32")]

#[expect(unsafe_code, reason = "an export is a C function by name")]
mod bindings {
    wit_bindgen::generate!({
        path: ["../../../wit/since-0.1", "wit"],
        world: "waxwing-tests:elsewhere/guest",
        generate_all,
    });

    use exports::waxwing::mail::on_connect::Guest;
    use waxwing::mail::types::Verdict;

    struct Nosy;

    impl Guest for Nosy {
        fn connect() -> Verdict {
            let secret = waxwing_tests::elsewhere::files::read("/etc/passwd");
            if secret.is_empty() { Verdict::Proceed } else { Verdict::Accept }
        }
    }

    export!(Nosy);
}
