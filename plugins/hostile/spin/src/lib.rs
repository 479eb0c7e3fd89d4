//! Loops without end in the hook that the setting `at` names. For the tests of the CPU budget.

use waxwing_plugin::prelude::*;

#[derive(Debug, Default)]
struct Spin;

fn misbehave() {
    let mut n = 0u64;
    loop {
        n = std::hint::black_box(n.wrapping_add(1));
    }
}

include!("../../hooks.rs");
at_a_hook!(Spin);
