//! The two messages of a SCRAM client (RFC 5802 section 7).

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::failure::Failure;
use crate::password::Key;
use crate::sasl::{text, unescape};

/// Octets of the client's nonce.
const MAX_NONCE_OCTETS: usize = 256;

/// What a client says of channel bindings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gs2Flag<'a> {
    /// `n`
    CannotBind,
    /// `y`: it can, and believes that we cannot.
    CouldBind,
    /// `p=`, with the type of the binding.
    Binds(&'a str),
}

/// `gs2-header client-first-message-bare`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFirst<'a> {
    pub(super) flag: Gs2Flag<'a>,
    pub(super) authorization: String,
    /// The gs2-header, with its last comma.
    pub(super) header: &'a str,
    pub(super) bare: &'a str,
    pub(super) name: String,
    pub(super) nonce: &'a str,
}

/// `client-final-message`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFinal<'a> {
    pub(super) binding: Vec<u8>,
    pub(super) nonce: &'a str,
    pub(super) proof: Key,
    pub(super) without_proof: &'a str,
}

impl<'a> ClientFirst<'a> {
    pub(super) fn read(message: &'a [u8]) -> Result<Self, Failure> {
        let message = utf8(message)?;
        let (flag, rest) = message.split_once(',').ok_or(Failure::Malformed)?;
        let (authorization, bare) = rest.split_once(',').ok_or(Failure::Malformed)?;
        let flag = match flag {
            "n" => Gs2Flag::CannotBind,
            "y" => Gs2Flag::CouldBind,
            _ => Gs2Flag::Binds(flag.strip_prefix("p=").ok_or(Failure::Malformed)?),
        };
        let authorization = match authorization {
            "" => String::new(),
            _ => name(authorization.strip_prefix("a=").ok_or(Failure::Malformed)?)?,
        };
        // A mandatory extension (`m=`) would stand first: it is none of ours, and the name is not there.
        let mut attributes = bare.split(',');
        let user = attributes.next().and_then(|first| first.strip_prefix("n=")).ok_or(Failure::Malformed)?;
        let nonce = attributes.next().and_then(|next| next.strip_prefix("r=")).ok_or(Failure::Malformed)?;
        let printable = |nonce: &str| nonce.bytes().all(|byte| byte.is_ascii_graphic());
        if nonce.is_empty() || nonce.len() > MAX_NONCE_OCTETS || !printable(nonce) {
            return Err(Failure::Malformed);
        }
        check_extensions(attributes)?;
        let header = &message[..message.len() - bare.len()];
        Ok(Self { flag, authorization, header, bare, name: name(user)?, nonce })
    }
}

impl<'a> ClientFinal<'a> {
    pub(super) fn read(message: &'a [u8]) -> Result<Self, Failure> {
        let message = utf8(message)?;
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(Failure::Malformed)?;
        let mut attributes = without_proof.split(',');
        let binding =
            attributes.next().and_then(|first| first.strip_prefix("c=")).ok_or(Failure::Malformed)?;
        let nonce = attributes.next().and_then(|next| next.strip_prefix("r=")).ok_or(Failure::Malformed)?;
        check_extensions(attributes)?;
        let proof = BASE64.decode(proof).map_err(|_| Failure::Malformed)?;
        Ok(Self {
            binding: BASE64.decode(binding).map_err(|_| Failure::Malformed)?,
            nonce,
            proof: Key::try_from(proof).map_err(|_| Failure::Malformed)?,
            without_proof,
        })
    }
}

fn utf8(message: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(message).ok().filter(|text| !text.contains('\0')).ok_or(Failure::Malformed)
}

/// A saslname that is somebody's.
fn name(escaped: &str) -> Result<String, Failure> {
    let name = unescape(text(escaped.as_bytes())?)?;
    Some(name).filter(|name| !name.is_empty()).ok_or(Failure::Malformed)
}

//= RFC 5802 section 5.1: extensions that are not known, and not mandatory, are left alone.
fn check_extensions<'a>(mut attributes: impl Iterator<Item = &'a str>) -> Result<(), Failure> {
    let is_attribute = |attribute: &str| {
        let bytes = attribute.as_bytes();
        bytes.len() > 2 && bytes[0].is_ascii_alphabetic() && bytes[0] != b'm' && bytes[1] == b'='
    };
    if attributes.all(is_attribute) { Ok(()) } else { Err(Failure::Malformed) }
}
