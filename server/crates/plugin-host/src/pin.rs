//! What the configuration demands of a plugin's file before it is compiled: a hash, and a signature of somebody whom it names.
//!
//! Signatures are minisign's: Ed25519 over the file, in `NAME.wasm.minisig` beside it.

use std::fmt;

use minisign_verify::{PublicKey, Signature};
use serde::{Serialize, Serializer};

use crate::folder::Octets;
use crate::{LoadError, Options, PluginOptions};

/// SHA-256 of the one file that may run under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pin(String);

/// What is no SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no SHA-256: 64 hexadecimal digits, as `sha256sum` prints them")]
pub struct NoPin;

impl Pin {
    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`NoPin`].
    pub fn parse(text: &str) -> Result<Self, NoPin> {
        let is_hash = text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
        if is_hash { Ok(Self(text.to_ascii_lowercase())) } else { Err(NoPin) }
    }
}

/// Whose signature counts: a public key of minisign.
#[derive(Clone, PartialEq, Eq)]
pub struct Signer {
    text: String,
    key: PublicKey,
}

/// What is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no public key of minisign: the second line of its .pub file, as in \"RW...\"")]
pub struct NoSigner;

impl Signer {
    /// Reads a public key as minisign writes it.
    ///
    /// # Errors
    /// [`NoSigner`].
    pub fn parse(text: &str) -> Result<Self, NoSigner> {
        let key = PublicKey::from_base64(text.trim()).map_err(|_| NoSigner)?;
        Ok(Self { text: text.trim().to_owned(), key })
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Signer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// What a file has to fulfil beside being a plugin.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Demands {
    pin: Option<Pin>,
    signers: Vec<Signer>,
}

impl Demands {
    pub(crate) fn of(options: &Options, name: &str) -> Self {
        let PluginOptions { pin, signers, .. } = options.of(name);
        let signers = if signers.is_empty() { options.signers.clone() } else { signers };
        Self { pin, signers }
    }

    /// Whether a file is the one that is pinned, and is signed by one of those that may.
    pub(crate) fn check(&self, octets: &Octets, hash: &str) -> Result<(), LoadError> {
        if let Some(pin) = self.pin.as_ref().filter(|pin| pin.0 != hash) {
            return Err(LoadError::Pinned { is: hash.to_owned(), pinned: pin.0.clone() });
        }
        if self.signers.is_empty() {
            return Ok(());
        }
        let fail = |why: &str| LoadError::Signature(why.to_owned());
        let text = octets
            .signature
            .as_deref()
            .ok_or_else(|| fail("it has no signature: no .minisig file lies beside it"))?;
        let signature = Signature::decode(text).map_err(|_| fail("its signature is none of minisign's"))?;
        match self.signers.iter().any(|signer| signer.key.verify(&octets.wasm, &signature, true).is_ok()) {
            true => Ok(()),
            false => Err(fail("its signature is of none of the signers, or of another file")),
        }
    }
}
