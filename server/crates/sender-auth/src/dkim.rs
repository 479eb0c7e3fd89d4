//! DKIM: whose signatures hold.
//!
//! Standards: RFC 6376, 8301 (no SHA-1, no RSA below 1,024 bits), 8463 (Ed25519).
//! Limits: `sender-auth.signatures`; RSA keys of more than 8,192 bits are not computed with.

use mail_auth::common::crypto::{Algorithm, CryptoError, HashAlgorithm};
use mail_auth::common::headers::Header;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::{DomainKey, VerifySignature};
use mail_auth::dkim::{Canonicalization, DkimError, Signature};
use mail_auth::{AuthenticatedMessage, DkimOutput, DkimResult, Error, MessageAuthenticator, Txt};

use crate::body::BodyHash;
use crate::lookups::{Lookups, Question};
use crate::outcome::Outcome;
use crate::tags::{has_any, tags, value};
use crate::view::{Records, View};

/// Bits of an RSA key.
const RSA_BITS: std::ops::RangeInclusive<usize> = 1024..=8192;
/// Characters of a signature that tell it from others (RFC 6008).
const B_LENGTH: usize = 8;

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DkimFinding {
    /// `d=`; empty when the field cannot be read.
    pub domain: String,
    /// `s=`
    pub selector: String,
    /// `i=`, when it is there.
    pub identity: String,
    /// `a=`
    pub algorithm: &'static str,
    /// The first characters of `b=`.
    pub b: String,
    pub outcome: Outcome,
    /// Why, where it is not pass.
    pub reason: Option<String>,
}

/// The body's hashes in the forms that the signatures want.
pub(crate) struct Bodies {
    pub(crate) relaxed: Option<BodyHash>,
    pub(crate) simple: Option<BodyHash>,
}

impl Bodies {
    /// The forms that are needed.
    pub(crate) fn forms(message: &AuthenticatedMessage<'_>) -> Vec<Canonicalization> {
        let wants = |form| message.body_hashes.iter().any(|(wanted, ..)| *wanted == form);
        [Canonicalization::Relaxed, Canonicalization::Simple]
            .into_iter()
            .filter(|form| wants(*form))
            .collect()
    }

    pub(crate) fn of(forms: &[Canonicalization], hashes: Vec<BodyHash>) -> Self {
        let mut bodies = Self { relaxed: None, simple: None };
        for (form, hash) in forms.iter().zip(hashes) {
            match form {
                Canonicalization::Relaxed => bodies.relaxed = Some(hash),
                Canonicalization::Simple => bodies.simple = Some(hash),
            }
        }
        bodies
    }

    fn get(&self, form: Canonicalization) -> Option<&BodyHash> {
        match form {
            Canonicalization::Relaxed => self.relaxed.as_ref(),
            Canonicalization::Simple => self.simple.as_ref(),
        }
    }

    /// Tells the library, which has not seen the body. A length that leaves part of it out has no hash.
    pub(crate) fn tell(&self, message: &mut AuthenticatedMessage<'_>) {
        for (form, algorithm, length, hash) in &mut message.body_hashes {
            *hash = match self.get(*form) {
                Some(body)
                    if *algorithm == HashAlgorithm::Sha256 && (*length == 0 || *length == body.len) =>
                {
                    body.sha256.clone()
                }
                _ => Vec::new(),
            };
        }
    }
}

/// The keys of signers.
pub(crate) struct KeyRecords;

impl Records for KeyRecords {
    fn parse(&self, name: &str, records: &[String]) -> Txt {
        if !name.contains("._domainkey.") {
            return Txt::Error(Error::Dns(mail_auth::DnsError::InvalidRecordType));
        }
        let mut keys = records.iter().map(|record| read_key(record));
        let first = keys.next().unwrap_or_else(|| Err(unusable("there is no key")));
        let key = first.or_else(|error| keys.find_map(Result::ok).ok_or(error));
        key.map_or_else(Txt::Error, |key| Txt::DomainKey(key.into()))
    }
}

fn unusable(why: impl Into<String>) -> Error {
    Error::Crypto(CryptoError::Library(why.into()))
}

/// A key that may be used for mail, or why not.
pub(crate) fn read_key(record: &str) -> Result<DomainKey, Error> {
    let list = tags(record.as_bytes()).map_err(|why| unusable(format!("the key's record has {why}")))?;
    //= RFC 6376 section 3.6.1: `v=` comes first where it is there at all; services and hashes that are not ours void the key.
    if list.iter().skip(1).any(|(name, _)| *name == "v") {
        return Err(unusable("the key's record is no record of DKIM"));
    }
    if value(&list, "s").is_some_and(|services| !has_any(services, &["*", "email"])) {
        return Err(unusable("the key is not for mail"));
    }
    if value(&list, "h").is_some_and(|hashes| !has_any(hashes, &["sha256"])) {
        return Err(unusable("the key is not for SHA-256"));
    }
    let is_rsa = !value(&list, "k").is_some_and(|kind| kind.eq_ignore_ascii_case("ed25519"));
    let key = DomainKey::parse(record.as_bytes())?;
    let bits = key.p.public_key_bits();
    match is_rsa && !RSA_BITS.contains(&bits) {
        //= RFC 8301 section 3.2: a signature by an RSA key of less than 1,024 bits is not valid.
        true => Err(unusable(format!("the key has {bits} bits"))),
        false => Ok(key),
    }
}

/// What a field says before its signature is computed: nothing is wrong, or what is.
fn objection(header: &Header<'_, Signature>, bodies: &Bodies) -> Option<(Outcome, &'static str)> {
    let Ok(list) = tags(header.value) else {
        return Some((Outcome::PermError, "the field is not a list of tags"));
    };
    let signature = &header.header;
    //= RFC 6376 section 3.5: these are required.
    if ["v", "a", "b", "bh", "d", "h", "s"].iter().any(|name| value(&list, name).is_none()) {
        return Some((Outcome::PermError, "a tag that must be there is missing"));
    }
    if signature.a == Algorithm::RsaSha1 {
        //= RFC 8301 section 3.1: rsa-sha1 must not be used for verifying.
        return Some((Outcome::PermError, "SHA-1 is not trusted"));
    }
    if !signature.h.iter().any(|name| name.eq_ignore_ascii_case("from")) {
        return Some((Outcome::PermError, "From is not signed"));
    }
    if value(&list, "q").is_some_and(|queries| !has_any(queries, &["dns/txt", "dns"])) {
        return Some((Outcome::PermError, "the key is not in DNS"));
    }
    let identity = signature.i.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    let domain = signature.d.to_ascii_lowercase();
    let is_beneath =
        identity.strip_suffix(&domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if !signature.i.is_empty() && !is_beneath {
        return Some((Outcome::PermError, "i= is not of d="));
    }
    let length = value(&list, "l")?;
    let body = bodies.get(signature.cb).map_or(0, |body| body.len);
    match length.parse::<u64>() {
        Ok(length) if length == body => None,
        //= RFC 6376 section 8.2: what l= leaves out anybody may have added.
        Ok(length) if length < body => Some((Outcome::Policy, "l= leaves part of the body unsigned")),
        _ => Some((Outcome::PermError, "l= is not valid")),
    }
}

/// Checks the signatures, in the order of their fields, and leaves those in the message that may count.
pub(crate) async fn check<'m>(
    library: &MessageAuthenticator,
    lookups: &Lookups<'_>,
    message: &'m AuthenticatedMessage<'m>,
    spoiled: Vec<DkimFinding>,
) -> (Vec<DkimFinding>, Vec<DkimOutput<'m>>) {
    let view = View::new(lookups, KeyRecords);
    let keys = message.dkim_headers.iter().map(|header| key_question(&header.header));
    lookups.ask(keys.collect()).await;
    // The library also answers for fields that it cannot read, of ARC too: an answer counts for the signature that it names and for no other.
    let of = |signature: &Signature, outputs: &[DkimOutput<'_>]| {
        let own =
            outputs.iter().find(|output| output.signature().is_some_and(|one| std::ptr::eq(one, signature)));
        own.map_or(DkimResult::Fail(Error::NoHeadersFound), |output| output.result().clone())
    };
    let signatures = message.dkim_headers.iter().map(|header| &header.header);
    let results: Vec<DkimResult> = loop {
        view.begin();
        let outputs = library.verify_dkim(view.asking(message)).await;
        if view.settle().await.is_some() {
            break signatures.clone().map(|signature| of(signature, &outputs)).collect();
        }
    };
    let (mut findings, mut outputs) = (Vec::new(), Vec::new());
    for (signature, result) in signatures.zip(results) {
        findings.push(finding(signature, &result));
        outputs.push(to_output(result).with_signature(signature));
    }
    findings.extend(spoiled);
    (findings, outputs)
}

pub(crate) fn key_question(signature: &impl VerifySignature) -> Question {
    Question::Txt(signature.domain_key().trim_end_matches('.').to_ascii_lowercase())
}

/// Takes out what is not to be verified: what cannot be read, what breaks a rule, and what is too many.
pub(crate) fn set_apart(
    message: &mut AuthenticatedMessage<'_>,
    bodies: &Bodies,
    limit: usize,
) -> Vec<DkimFinding> {
    let mut spoiled = Vec::new();
    for error in std::mem::take(&mut message.errors) {
        if !error.name.eq_ignore_ascii_case(b"DKIM-Signature") {
            message.errors.push(error);
        } else if spoiled.len() < limit {
            let list = tags(error.value).unwrap_or_default();
            let text = |name| value(&list, name).unwrap_or_default().to_owned();
            spoiled.push(DkimFinding {
                domain: text("d"),
                selector: text("s"),
                identity: String::new(),
                algorithm: "",
                b: String::new(),
                outcome: Outcome::PermError,
                reason: Some(error.header.to_string()),
            });
        }
    }
    let mut seen = 0;
    message.dkim_headers.retain(|header| {
        seen += 1;
        let objection = match seen > limit {
            true => Some((Outcome::Policy, "too many signatures")),
            false => objection(header, bodies),
        };
        let Some((outcome, why)) = objection else { return true };
        if spoiled.len() < limit {
            spoiled.push(described(&header.header, outcome, Some(why.to_owned())));
        }
        false
    });
    spoiled
}

fn to_output<'m>(result: DkimResult) -> DkimOutput<'m> {
    match result {
        DkimResult::Pass => DkimOutput::pass(),
        DkimResult::TempError(error) => DkimOutput::temp_err(error),
        DkimResult::Neutral(error) | DkimResult::Fail(error) | DkimResult::PermError(error) => {
            DkimOutput::fail(error)
        }
        DkimResult::None => DkimOutput::fail(Error::NoHeadersFound),
    }
}

fn finding(signature: &Signature, result: &DkimResult) -> DkimFinding {
    let (outcome, reason) = match result {
        DkimResult::Pass => (Outcome::Pass, None),
        DkimResult::None => (Outcome::None, None),
        DkimResult::Neutral(error) | DkimResult::Fail(error) => (Outcome::Fail, Some(error)),
        DkimResult::PermError(error) => (Outcome::PermError, Some(error)),
        DkimResult::TempError(error) => (Outcome::TempError, Some(error)),
    };
    described(signature, outcome, reason.map(told))
}

/// An error of the library in our words.
pub(crate) fn told(error: &Error) -> String {
    match error {
        Error::Crypto(CryptoError::Library(why)) => why.clone(),
        Error::Crypto(CryptoError::FailedVerification) => "the signature does not fit".to_owned(),
        Error::Crypto(CryptoError::IncompatibleAlgorithms) => "the key is of another kind".to_owned(),
        Error::Dkim(DkimError::FailedBodyHashMatch) => "the body was changed".to_owned(),
        Error::Dkim(DkimError::SignatureExpired) => "the signature has expired".to_owned(),
        Error::Dkim(DkimError::RevokedPublicKey) => "the key was revoked".to_owned(),
        Error::Dns(mail_auth::DnsError::Resolver(why)) => why.clone(),
        Error::Dns(_) => "there is no key".to_owned(),
        other => other.to_string(),
    }
}

fn described(signature: &Signature, outcome: Outcome, reason: Option<String>) -> DkimFinding {
    use base64::Engine as _;
    let b = base64::engine::general_purpose::STANDARD.encode(&signature.b);
    DkimFinding {
        domain: signature.d.to_ascii_lowercase(),
        selector: signature.s.clone(),
        identity: signature.i.clone(),
        algorithm: match signature.a {
            Algorithm::RsaSha256 => "rsa-sha256",
            Algorithm::RsaSha1 => "rsa-sha1",
            Algorithm::Ed25519Sha256 => "ed25519-sha256",
        },
        b: b.chars().take(B_LENGTH).collect(),
        outcome,
        reason,
    }
}
