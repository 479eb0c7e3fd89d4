//! Random bytes from the server, fit for secrets.

use crate::host;

/// So many bytes; the server gives at most 64 KiB at once, so that fewer may come.
#[must_use]
pub fn bytes(len: u32) -> Vec<u8> {
    host::random_bytes(len)
}

/// A number below `bound`; 0 when `bound` is 0. The bias is below one in 2^32 for small bounds.
#[must_use]
pub fn below(bound: u32) -> u32 {
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(bytes(8)) {
        *to = from;
    }
    u64::from_le_bytes(word).checked_rem(u64::from(bound)).map_or(0, |n| n as u32)
}
