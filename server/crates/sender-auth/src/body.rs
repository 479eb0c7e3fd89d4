//! Hashes of a body, read in pieces, so that a message of 50 MB costs as much memory as one of 50 KB.
//!
//! Standards: RFC 6376 sections 3.4.3 and 3.4.4. The canonical forms are the library's, but for the end of a relaxed body: version
//! 0.13.3 counts lines of nothing but white space there, which the standard leaves out. So white space is held back until something
//! follows it.

use std::io;

use mail_auth::common::crypto::{HashContext, HashOutput};
use mail_auth::common::headers::Writer;
use mail_auth::dkim::Canonicalization;
use mail_auth::dkim::canonicalize::BodyHasher;
use model::Content;
use ring::digest::{Context, SHA256};

/// Octets that are read at a time.
const READ_OCTETS: usize = 64 * 1024;

/// A body in one of its canonical forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BodyHash {
    pub(crate) sha256: Vec<u8>,
    /// Octets of the canonical form.
    pub(crate) len: u64,
}

/// The hash of everything from `start` on, for each of the forms.
///
/// # Errors
/// What the content's source answers.
pub(crate) fn hash_body(
    content: &Content,
    start: u64,
    forms: &[Canonicalization],
) -> io::Result<Vec<BodyHash>> {
    let mut hashes: Vec<Hashing> = forms.iter().map(|form| Hashing::new(*form)).collect();
    let mut buffer = vec![0; READ_OCTETS];
    let mut at = start;
    while !hashes.is_empty() {
        let count = content.read_at(at, &mut buffer)?;
        if count == 0 {
            break;
        }
        hashes.iter_mut().for_each(|hashing| hashing.write(&buffer[..count]));
        at += count as u64;
    }
    Ok(hashes.into_iter().map(Hashing::finish).collect())
}

/// Counts what it hashes.
struct Counted {
    context: Context,
    octets: u64,
}

impl Writer for Counted {
    fn write(&mut self, octets: &[u8]) {
        self.context.update(octets);
        self.octets += octets.len() as u64;
    }
}

impl HashContext for Counted {
    fn complete(self) -> HashOutput {
        HashOutput::Digest(self.context.finish())
    }
}

struct Hashing {
    hasher: BodyHasher<Counted>,
    /// White space that nothing followed yet, where it may have to be left out.
    held: Option<Held>,
}

/// White space, as far as a relaxed form keeps it.
#[derive(Default)]
struct Held {
    line_ends: u64,
    has_blank: bool,
}

impl Hashing {
    fn new(form: Canonicalization) -> Self {
        let counted = Counted { context: Context::new(&SHA256), octets: 0 };
        let held = matches!(form, Canonicalization::Relaxed).then(Held::default);
        Self { hasher: BodyHasher::new(counted, form, 0), held }
    }

    fn write(&mut self, chunk: &[u8]) {
        let Some(held) = &mut self.held else { return self.hasher.write(chunk) };
        let text = chunk.iter().rposition(|octet| !matches!(octet, b' ' | b'\t' | b'\r' | b'\n'));
        let blank_from = text.map_or(0, |last| last + 1);
        if blank_from > 0 {
            std::mem::take(held).release(&mut self.hasher);
            self.hasher.write(&chunk[..blank_from]);
        }
        held.hold(&chunk[blank_from..]);
    }

    fn finish(self) -> BodyHash {
        let (counted, _) = self.hasher.finish();
        BodyHash { len: counted.octets, sha256: counted.context.finish().as_ref().to_vec() }
    }
}

impl Held {
    fn hold(&mut self, blanks: &[u8]) {
        for octet in blanks {
            match octet {
                b'\n' => (self.line_ends, self.has_blank) = (self.line_ends + 1, false),
                b'\r' => {}
                _ => self.has_blank = true,
            }
        }
    }

    fn release(self, hasher: &mut BodyHasher<Counted>) {
        for _ in 0..self.line_ends {
            hasher.write(b"\r\n");
        }
        if self.has_blank {
            hasher.write(b" ");
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ring::digest::digest;

    use super::*;

    /// Both forms, read whole and octet by octet.
    fn canonical(body: &str) -> [BodyHash; 2] {
        let content = Content::from(Bytes::copy_from_slice(body.as_bytes()));
        let forms = [Canonicalization::Relaxed, Canonicalization::Simple];
        let whole = hash_body(&content, 0, &forms).unwrap();
        let pieces = forms.map(|form| {
            let mut hashing = Hashing::new(form);
            body.as_bytes().chunks(1).for_each(|octet| hashing.write(octet));
            hashing.finish()
        });
        assert_eq!(whole, pieces, "{body:?}");
        pieces
    }

    fn hash_of(text: &str) -> BodyHash {
        BodyHash { sha256: digest(&SHA256, text.as_bytes()).as_ref().to_vec(), len: text.len() as u64 }
    }

    #[test]
    fn a_relaxed_body_loses_the_white_space_at_its_end() {
        for (body, relaxed) in [
            ("", ""),
            ("\r\n", ""),
            (" \r\n\t\r\n", ""),
            ("text", "text\r\n"),
            ("text\r\n", "text\r\n"),
            ("text \t\r\n \r\n\t\r\n\r\n", "text\r\n"),
            ("text\r\n \r\n", "text\r\n"),
            ("text\r\n ", "text\r\n"),
            ("a\r\n \r\n\r\nb  c\r\n", "a\r\n\r\n\r\nb c\r\n"),
            (" a\r\n\t b \r\n", " a\r\n b\r\n"),
            ("\r\n \r\na\r\n", "\r\n\r\na\r\n"),
        ] {
            assert_eq!(canonical(body)[0], hash_of(relaxed), "{body:?}");
        }
    }

    #[test]
    fn a_simple_body_loses_empty_lines_at_its_end_alone() {
        for (body, simple) in [
            ("", "\r\n"),
            ("\r\n\r\n", "\r\n"),
            ("text", "text\r\n"),
            ("text \r\n\r\n\r\n", "text \r\n"),
            ("text\r\n \r\n", "text\r\n \r\n"),
            ("\r\na\r\n", "\r\na\r\n"),
        ] {
            assert_eq!(canonical(body)[1], hash_of(simple), "{body:?}");
        }
    }
}
