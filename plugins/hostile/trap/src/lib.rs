//! Panics in the hook that the setting `at` names.

use waxwing_plugin::prelude::*;

#[derive(Debug, Default)]
struct Trap;

fn misbehave() {
    panic!("the trap was told to go off");
}

include!("../../hooks.rs");
at_a_hook!(Trap);
