//! What the fuzz targets share: a driver of the receiving session that answers by fixed rules, and what must hold of all it hears.

#![expect(clippy::disallowed_methods, reason = "a session may start its own time anywhere")]

mod input;
mod peer;
mod replies;

pub use input::Input;
pub use peer::{Peer, greeted, patient};
pub use replies::{codes, look_at_replies};

/// Content in which a CR or LF stands alone.
pub fn has_bare_newline(content: &[u8]) -> bool {
    let mut before = 0;
    for octet in content {
        if (*octet == b'\n') != (before == b'\r') {
            return true;
        }
        before = *octet;
    }
    before == b'\r'
}

/// Every CR or LF that stands alone made a CRLF.
pub fn with_whole_newlines(content: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    let mut rest = content;
    while let Some((first, later)) = rest.split_first() {
        rest = if *first == b'\r' { later.strip_prefix(b"\n").unwrap_or(later) } else { later };
        match first {
            b'\r' | b'\n' => whole.extend_from_slice(b"\r\n"),
            _ => whole.push(*first),
        }
    }
    whole
}
