//! Signing what our domains send, and sealing what is handed on.
//!
//! Headers are signed in their relaxed form, bodies as they are: a body that is changed on its way is not ours any more, and version
//! 0.13.3 of the library hashes some relaxed bodies wrongly (see `body`).
//!
//! Standards: RFC 6376 (5.4 what is signed, 8.15 fields signed once more than there are), 8463 (two signatures by keys of two kinds),
//! 8617 section 5.1 (sealing).
//! Limit: [`MAX_SIGNATURES`].
//! A message that has to be encoded for a host of 7 bits is signed again: [`crate::renewal`].

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_auth::AuthenticatedMessage;
use mail_auth::dkim::Canonicalization;
use message::HeaderBlock;
use model::{Content, Domain, Timestamp};

use crate::body::hash_body;
use crate::key::Key;
use crate::outcome::Outcome;
use crate::verifier::Evaluation;

/// Signatures that one message is given.
pub const MAX_SIGNATURES: usize = 4;
/// Sets of an ARC chain; RFC 8617 section 4.2.1.
const MAX_SETS: usize = 50;
/// Characters of a line of a field.
const LINE: usize = 76;

/// Fields that are signed, and signed as not being there once more: none can be added.
const SEALED: [&str; 14] = [
    "From",
    "Sender",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "To",
    "Cc",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "In-Reply-To",
    "References",
    "Auto-Submitted",
];
/// Fields that are signed where they are.
const SIGNED: [&str; 9] = [
    "Content-ID",
    "Content-Description",
    "List-ID",
    "List-Help",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Post",
    "Resent-From",
    "Resent-Date",
];

/// A key with its name.
#[derive(Debug, Clone)]
pub struct NamedKey {
    /// As A-labels, in lower case.
    pub domain: String,
    pub selector: String,
    pub key: Arc<Key>,
    /// It signs from then on, and until then; nothing: always.
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

impl NamedKey {
    /// Whether it signs at this time.
    pub fn signs_at(&self, now: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }
}

/// The keys of our domains.
#[derive(Debug, Clone, Default)]
pub struct Signers {
    keys: Arc<[NamedKey]>,
    /// Under whose name chains are sealed; nothing: none is.
    sealer: Option<String>,
}

impl Signers {
    /// All the keys; the order is that of the signatures.
    pub fn new(keys: Vec<NamedKey>, sealer: Option<String>) -> Self {
        Self { keys: keys.into(), sealer }
    }

    /// The keys.
    pub fn keys(&self) -> &[NamedKey] {
        &self.keys
    }

    /// Whether messages that are handed on are sealed.
    pub fn seals(&self) -> bool {
        self.sealer.is_some()
    }

    /// The keys of a domain that sign now, or else of the nearest one above it that has any.
    fn of(&self, domain: &str, now: Timestamp) -> Vec<&NamedKey> {
        let above = |key: &&NamedKey| {
            domain
                .strip_suffix(key.domain.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                && key.signs_at(now)
        };
        let Some(nearest) = self.keys.iter().filter(above).max_by_key(|key| key.domain.len()) else {
            return Vec::new();
        };
        let keys = self.keys.iter().filter(|key| key.domain == nearest.domain && key.signs_at(now));
        keys.take(MAX_SIGNATURES).collect()
    }

    /// The message with a signature by each key of its author's domain; nothing when there is no key for it. Reads the whole body: may
    /// wait for the disk.
    ///
    /// # Errors
    /// The content cannot be read, or a key fails.
    pub fn sign(&self, content: &Content, now: Timestamp) -> io::Result<Option<Content>> {
        if self.keys.is_empty() {
            return Ok(None);
        }
        let block = HeaderBlock::read(content)?;
        let Some(domain) = author(&block) else { return Ok(None) };
        let keys = self.of(&domain, now);
        if keys.is_empty() {
            return Ok(None);
        }
        let body = body_hash(content, &block)?;
        let mut fields = String::new();
        for key in keys {
            fields += &format!("DKIM-Signature:{}\r\n", dkim_signature(&block, &body, key, now)?);
        }
        message::prepend(content, &block, fields).map(Some)
    }

    /// The message as [`Self::sign`] leaves it; on a thread that may wait when it is on the disk or there is a key.
    ///
    /// # Errors
    /// The content cannot be read, or a key fails.
    pub async fn signed(&self, content: Content, now: Timestamp) -> io::Result<Content> {
        if self.keys.is_empty() {
            return Ok(content);
        }
        // Hashing reads all of the body, and a key takes a millisecond.
        let signers = self.clone();
        let work = move || Ok(signers.sign(&content, now)?.unwrap_or(content));
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
    }

    /// The message with one more ARC set, which tells what was found here; nothing when there is no sealer, or the chain is closed. Reads
    /// the whole body: may wait for the disk.
    ///
    /// # Errors
    /// The content cannot be read, or a key fails.
    pub fn seal(
        &self,
        content: &Content,
        evaluation: &Evaluation,
        authserv_id: &str,
        now: Timestamp,
    ) -> io::Result<Option<Content>> {
        let Some(sealer) = &self.sealer else { return Ok(None) };
        let Some(key) = self.of(sealer, now).first().copied() else { return Ok(None) };
        if evaluation.arc.is_closed {
            return Ok(None);
        }
        let block = HeaderBlock::read(content)?;
        let message =
            AuthenticatedMessage::parse_with_opts(block.as_bytes(), None, false).unwrap_or_default();
        let instance = message.as_headers.len() + 1;
        if instance > MAX_SETS || message.has_arc_errors {
            return Ok(None);
        }
        let body = body_hash(content, &block)?;
        let results = format!(" i={instance}; {}", evaluation.results(authserv_id));
        let signature = arc_signature(&block, &body, key, (instance, now))?;
        let validation = match (instance, evaluation.arc.outcome) {
            (1, _) => "none",
            (_, Outcome::Pass) => "pass",
            _ => "fail",
        };
        let seal = arc_seal(&message, validation, key, (instance, now), (&results, &signature))?;
        let fields = format!(
            "ARC-Seal:{seal}\r\nARC-Message-Signature:{signature}\r\nARC-Authentication-Results:{results}\r\n"
        );
        message::prepend(content, &block, fields).map(Some)
    }
}

/// The domain of the one author, as A-labels.
fn author(block: &HeaderBlock) -> Option<String> {
    let message = AuthenticatedMessage::parse_with_opts(block.as_bytes(), None, false)?;
    let mut domains: Vec<String> = Vec::new();
    for from in &message.from {
        let domain = Domain::parse(from.rsplit_once('@')?.1).ok()?.to_ascii();
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    match domains.len() {
        1 => domains.pop(),
        _ => None,
    }
}

pub(crate) fn body_hash(content: &Content, block: &HeaderBlock) -> io::Result<Vec<u8>> {
    let mut hashes = hash_body(content, block.body_start(), &[Canonicalization::Simple])?;
    hashes.pop().map(|hash| hash.sha256).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The fields that are signed, canonical, and their names in the order of the signature.
fn signed(block: &HeaderBlock, also: &[&'static str]) -> (Vec<u8>, Vec<&'static str>) {
    let message = AuthenticatedMessage::parse_with_opts(block.as_bytes(), None, false).unwrap_or_default();
    let (mut fields, mut names) = (Vec::new(), Vec::new());
    for name in SEALED.iter().chain(&SIGNED).chain(also).copied() {
        //= RFC 6376 section 5.4.2: of several fields of a name the last one comes first.
        let found = message.headers.iter().rev().filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
        let before = fields.len();
        fields.extend(found.copied());
        let listed = fields.len() - before + usize::from(SEALED.contains(&name));
        names.extend(std::iter::repeat_n(name, listed));
    }
    let mut canonical = Vec::new();
    Canonicalization::Relaxed.canonicalize_headers(fields.into_iter(), &mut canonical);
    (canonical, names)
}

/// A field as it is signed: relaxed, without its own line end.
fn add_own(canonical: &mut Vec<u8>, name: &str, value: &str) {
    // The library takes a value with the line end behind it, as it stands in a message.
    let value = format!("{value}\r\n");
    let field = [(name.as_bytes(), value.as_bytes())];
    Canonicalization::Relaxed.canonicalize_headers(field.into_iter(), canonical);
    if canonical.ends_with(b"\r\n") {
        canonical.truncate(canonical.len() - 2);
    }
}

/// The value of a DKIM-Signature field.
pub(crate) fn dkim_signature(
    block: &HeaderBlock,
    body: &[u8],
    key: &NamedKey,
    now: Timestamp,
) -> io::Result<String> {
    signature(block, body, key, now, ("DKIM-Signature", "v=1"), &[])
}

/// The value of an ARC-Message-Signature field.
pub(crate) fn arc_signature(
    block: &HeaderBlock,
    body: &[u8],
    key: &NamedKey,
    (instance, now): (usize, Timestamp),
) -> io::Result<String> {
    let first = format!("i={instance}");
    signature(block, body, key, now, ("ARC-Message-Signature", &first), &["DKIM-Signature"])
}

/// The value of a field of this name that signs the message, with this tag first; `also` is signed beside the usual fields.
fn signature(
    block: &HeaderBlock,
    body: &[u8],
    key: &NamedKey,
    now: Timestamp,
    (name, first): (&str, &str),
    also: &[&'static str],
) -> io::Result<String> {
    let (mut canonical, names) = signed(block, also);
    let value = format!(
        " {first}; a={}; c=relaxed/simple;\r\n\td={}; s={}; t={};\r\n\th={};\r\n\tbh={};\r\n\tb=",
        key.key.algorithm(),
        key.domain,
        key.selector,
        now.0 / 1000,
        folded(&names.join(":"), Some(':')),
        STANDARD.encode(body),
    );
    add_own(&mut canonical, name, &value);
    let b = key.key.sign(&canonical).map_err(io::Error::other)?;
    Ok(format!("{value}{}", folded(&b, None)))
}

/// The value of an ARC-Seal field; `message` has the sets before.
pub(crate) fn arc_seal(
    message: &AuthenticatedMessage<'_>,
    validation: &str,
    key: &NamedKey,
    (instance, now): (usize, Timestamp),
    (results, signature): (&str, &str),
) -> io::Result<String> {
    let value = format!(
        " i={instance}; a={}; t={}; cv={validation};\r\n\td={}; s={};\r\n\tb=",
        key.key.algorithm(),
        now.0 / 1000,
        key.domain,
        key.selector,
    );
    let mut canonical = Vec::new();
    //= RFC 8617 section 5.1.2: a seal that says fail covers its own set alone.
    if validation == "pass" {
        let sets = message.aar_headers.iter().zip(&message.ams_headers).zip(&message.as_headers);
        let fields = sets.flat_map(|((aar, ams), seal)| {
            [(aar.name, aar.value), (ams.name, ams.value), (seal.name, seal.value)]
        });
        Canonicalization::Relaxed.canonicalize_headers(fields, &mut canonical);
    }
    for (name, value) in [("ARC-Authentication-Results", results), ("ARC-Message-Signature", signature)] {
        add_own(&mut canonical, name, value);
        canonical.extend_from_slice(b"\r\n");
    }
    add_own(&mut canonical, "ARC-Seal", &value);
    let b = key.key.sign(&canonical).map_err(io::Error::other)?;
    Ok(format!("{value}{}", folded(&b, None)))
}

/// A value in lines: anywhere, or behind a character.
fn folded(text: &str, behind: Option<char>) -> String {
    let mut out = String::new();
    let mut length = 0;
    let pieces: Vec<&str> = match behind {
        Some(c) => text.split_inclusive(c).collect(),
        // Base64 is ASCII.
        None => {
            (0..text.len()).step_by(LINE).map(|from| &text[from..(from + LINE).min(text.len())]).collect()
        }
    };
    for piece in pieces {
        if length > 0 && length + piece.len() > LINE {
            out.push_str("\r\n\t");
            length = 0;
        }
        out.push_str(piece);
        length += piece.len();
    }
    out
}
