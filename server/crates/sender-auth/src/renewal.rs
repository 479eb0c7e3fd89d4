//! Signatures of ours on a message that is encoded anew for a host of 7 bits: they are made again over what is sent.
//!
//! A signature is ours when the key makes the very same one again of the message as it was: both kinds of keys do, and nobody else can have
//! made it. So what a stranger only wrote into a field is never signed.
//!
//! Standards: RFC 6376 section 5.3 (what is signed is what is sent), RFC 8617 section 5.1.

use std::io;

use mail_auth::AuthenticatedMessage;
use message::{Draft, HeaderBlock};
use model::{Content, Timestamp};

use crate::signer::{NamedKey, Signers, arc_seal, arc_signature, body_hash, dkim_signature};
use crate::tags::{tags, value};

/// A field of ours, and what it is made of.
struct Own<'a> {
    /// Its place among the fields of its name.
    nth: usize,
    key: &'a NamedKey,
    made: Timestamp,
    /// Of an ARC set.
    instance: usize,
}

impl Signers {
    /// The content `after` an encoding, with the signatures made again that were ours `before`. Reads both bodies: may wait for the disk.
    ///
    /// # Errors
    /// The content cannot be read, or a key fails.
    pub fn renewed(&self, before: &Content, after: Content) -> io::Result<Content> {
        if self.keys().is_empty() {
            return Ok(after);
        }
        let block = HeaderBlock::read(before)?;
        let message =
            AuthenticatedMessage::parse_with_opts(block.as_bytes(), None, false).unwrap_or_default();
        let is_named = |name: &str| message.headers.iter().any(|(field, _)| is(field, name));
        if !is_named("DKIM-Signature") && !is_named("ARC-Message-Signature") {
            return Ok(after);
        }
        let body = body_hash(before, &block)?;
        let signed =
            self.own(&message, "DKIM-Signature", |own| dkim_signature(&block, &body, own.key, own.made))?;
        let sealed = self.own(&message, "ARC-Message-Signature", |own| {
            arc_signature(&block, &body, own.key, (own.instance, own.made))
        })?;
        let after = sign_again(after, &signed)?;
        match sealed.into_iter().max_by_key(|own| own.instance) {
            Some(own) => seal_again(after, &own),
            None => Ok(after),
        }
    }

    /// The fields of this name that are ours.
    fn own<'a>(
        &'a self,
        message: &AuthenticatedMessage<'_>,
        name: &str,
        make: impl Fn(&Own<'a>) -> io::Result<String>,
    ) -> io::Result<Vec<Own<'a>>> {
        let values = message.headers.iter().filter(|(field, _)| is(field, name)).map(|(_, value)| *value);
        let mut found = Vec::new();
        for (nth, written) in values.enumerate() {
            let list = tags(written).unwrap_or_default();
            let text = |name| value(&list, name).unwrap_or_default();
            let key = self.keys().iter().find(|key| key.domain == text("d") && key.selector == text("s"));
            let (Some(key), Ok(made)) = (key, text("t").parse::<u64>()) else { continue };
            let instance = text("i").parse().unwrap_or_default();
            let own = Own { nth, key, made: Timestamp(made.saturating_mul(1_000)), instance };
            if make(&own)?.as_bytes() == written.trim_ascii_end() {
                found.push(own);
            }
        }
        Ok(found)
    }
}

fn is(field: &[u8], name: &str) -> bool {
    field.eq_ignore_ascii_case(name.as_bytes())
}

fn sign_again(content: Content, signed: &[Own<'_>]) -> io::Result<Content> {
    if signed.is_empty() {
        return Ok(content);
    }
    let mut draft = Draft::new(content)?;
    for own in signed.iter().rev() {
        draft.remove_header("DKIM-Signature", Some(own.nth));
    }
    let content = draft.into_content()?;
    let block = HeaderBlock::read(&content)?;
    let body = body_hash(&content, &block)?;
    let mut fields = String::new();
    for own in signed {
        fields += &format!("DKIM-Signature:{}\r\n", dkim_signature(&block, &body, own.key, own.made)?);
    }
    message::prepend(&content, &block, fields)
}

/// The latest set of a chain, over the new body: what it says of the message as it came stays.
fn seal_again(content: Content, own: &Own<'_>) -> io::Result<Content> {
    let block = HeaderBlock::read(&content)?;
    let message = AuthenticatedMessage::parse_with_opts(block.as_bytes(), None, false).unwrap_or_default();
    let of_set = |name: &str| {
        let values = message.headers.iter().filter(|(field, _)| is(field, name)).map(|(_, value)| *value);
        let is_of = |value: &&[u8]| instance(value) == Some(own.instance);
        let found = values.enumerate().find(|(_, value)| is_of(value));
        found.map(|(nth, value)| (nth, String::from_utf8_lossy(value.trim_ascii_end()).into_owned()))
    };
    let (Some((results_at, results)), Some((seal_at, seal)), Some((signature_at, _))) =
        (of_set("ARC-Authentication-Results"), of_set("ARC-Seal"), of_set("ARC-Message-Signature"))
    else {
        return Ok(content);
    };
    let validation = value(&tags(seal.as_bytes()).unwrap_or_default(), "cv").unwrap_or_default().to_owned();
    let mut draft = Draft::new(content)?;
    draft.remove_header("ARC-Authentication-Results", Some(results_at));
    draft.remove_header("ARC-Seal", Some(seal_at));
    draft.remove_header("ARC-Message-Signature", Some(signature_at));
    let content = draft.into_content()?;
    let block = HeaderBlock::read(&content)?;
    let message = AuthenticatedMessage::parse_with_opts(block.as_bytes(), None, false).unwrap_or_default();
    let body = body_hash(&content, &block)?;
    let at = (own.instance, own.made);
    let signature = arc_signature(&block, &body, own.key, at)?;
    let seal = arc_seal(&message, &validation, own.key, at, (&results, &signature))?;
    let fields = format!(
        "ARC-Seal:{seal}\r\nARC-Message-Signature:{signature}\r\nARC-Authentication-Results:{results}\r\n"
    );
    message::prepend(&content, &block, fields)
}

/// The number of the set that a field is of; it comes first.
fn instance(value: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(value);
    let (first, _) = text.split_once(';')?;
    let (name, number) = first.split_once('=')?;
    (name.trim() == "i").then(|| number.trim().parse().ok())?
}
