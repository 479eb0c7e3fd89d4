//! What delivery must know of a content: hops, loops, octets beyond ASCII.

use std::io;

use message::HeaderBlock;
use model::{Content, Mailbox};

use crate::octets;

/// Octets that are looked at at once.
const BLOCK_OCTETS: usize = 64 * 1024;

/// Read once per pass.
#[derive(Debug)]
pub(crate) struct Traits {
    /// Received fields.
    pub(crate) hops: usize,
    /// Mailboxes that have had the message, in lower case.
    pub(crate) delivered_to: Vec<String>,
    /// Whether an octet of the header is beyond ASCII.
    pub(crate) is_utf8_header: bool,
    /// Whether any octet is beyond ASCII.
    pub(crate) is_eight_bit: bool,
    /// Whether the sender wants it delivered though a policy about TLS fails: `TLS-Required: No`.
    pub(crate) is_tls_optional: bool,
    /// Whether it is a report on TLS sessions.
    pub(crate) is_tls_report: bool,
}

impl Traits {
    /// Reads the whole content; may wait for the disk unless the content is in memory.
    pub(crate) fn read(content: &Content) -> io::Result<Self> {
        let header = HeaderBlock::read(content)?;
        let lower = |value: &[u8]| String::from_utf8_lossy(value).trim().to_lowercase();
        Ok(Self {
            hops: message::count_received(&header),
            delivered_to: header.all("Delivered-To").map(lower).collect(),
            is_utf8_header: !header.as_bytes().is_ascii(),
            is_eight_bit: !is_ascii(content)?,
            //= RFC 8689 section 5: one field, whose one value is "No".
            is_tls_report: header.all("TLS-Report-Domain").next().is_some(),
            is_tls_optional: {
                let mut fields = header.all("TLS-Required").map(lower);
                fields.next().is_some_and(|value| value == "no") && fields.next().is_none()
            },
        })
    }

    /// Whether this mailbox has had the message already.
    pub(crate) fn was_delivered_to(&self, mailbox: &Mailbox) -> bool {
        !self.delivered_to.is_empty() && self.delivered_to.contains(&mailbox.to_string().to_lowercase())
    }
}

fn is_ascii(content: &Content) -> io::Result<bool> {
    if let Some(mut pieces) = octets::in_memory(content) {
        return Ok(pieces.all(|piece| piece.is_ascii()));
    }
    let mut block = vec![0; BLOCK_OCTETS];
    let mut offset = 0;
    loop {
        let count = content.read_at(offset, &mut block)?;
        if !block[..count].is_ascii() {
            return Ok(false);
        }
        offset += count as u64;
        if count < block.len() {
            return Ok(true);
        }
    }
}
