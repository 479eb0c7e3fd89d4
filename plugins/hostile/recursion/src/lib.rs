//! Calls itself without end in the hook that the setting `at` names. For the tests of the stack limit.

use waxwing_plugin::prelude::*;

#[derive(Debug, Default)]
struct Recursion;

fn misbehave() {
    std::hint::black_box(deeper(1));
}

#[expect(unconditional_recursion, reason = "what this guest is for")]
fn deeper(depth: u64) -> u64 {
    // What is done after the call, with a place in memory, keeps it from becoming a loop.
    let frame = std::hint::black_box([depth; 16]);
    deeper(depth + 1).wrapping_add(std::hint::black_box(frame)[(depth % 16) as usize])
}

include!("../../hooks.rs");
at_a_hook!(Recursion);
