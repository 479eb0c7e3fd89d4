//! Allocates without end, and writes to what it gets, in the hook that the setting `at` names.

use waxwing_plugin::prelude::*;

#[derive(Debug, Default)]
struct MemoryBomb;

fn misbehave() {
    let mut kept = Vec::new();
    loop {
        kept.push(std::hint::black_box(vec![1u8; 1 << 20]));
    }
}

include!("../../hooks.rs");
at_a_hook!(MemoryBomb);
