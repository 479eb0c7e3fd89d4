//! `clock` and `random`.

use rand::Rng;

use crate::bindings::waxwing::mail::{clock as wit_clock, random};
use crate::state::State;

/// Random octets in one call.
const MAX_RANDOM_OCTETS: u32 = 64 << 10;

impl wit_clock::Host for State {
    fn now_unix_ms(&mut self) -> u64 {
        (self.host.services.wall_clock)().0
    }

    fn monotonic_ns(&mut self) -> u64 {
        let since_start = clock::now().saturating_duration_since(self.host.started);
        u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl random::Host for State {
    fn bytes(&mut self, len: u32) -> wasmtime::Result<Vec<u8>> {
        if len > MAX_RANDOM_OCTETS {
            return Err(wasmtime::Error::msg(format!(
                "random.bytes gives {MAX_RANDOM_OCTETS} octets at most, {len} were asked for"
            )));
        }
        let mut bytes = vec![0; len as usize];
        rand::rng().fill_bytes(&mut bytes);
        Ok(bytes)
    }
}
