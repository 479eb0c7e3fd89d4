//! What a server does about senders: all that a session asks for.

use std::io;

use dns::Resolver;
use hooks::Verdict;
use model::{Content, Timestamp};
use reporting::Reporter;

use crate::policy::{Action, Policy};
use crate::results::{on_top, without_forged};
use crate::signer::Signers;
use crate::verifier::{Evaluation, Origin, Verifier};

/// How senders are checked, and what is signed. A reload makes new ones.
#[derive(Debug, Default)]
pub struct Rules {
    /// Nothing: messages are not checked.
    pub verifier: Option<Verifier>,
    pub policy: Policy,
    /// Under whose name results are written; it is this host's own.
    pub authserv_id: String,
    pub signers: Signers,
    /// Nothing: nobody is told of mail in their name.
    pub reports: Option<Reports>,
}

/// How domains are told of mail in their name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reports {
    pub reporter: Reporter,
    /// Single failures that are told at once, where a domain asks for that; none: 0.
    pub failures_per_hour: u32,
}

/// A message that was checked.
#[derive(Debug)]
pub struct Checked {
    pub evaluation: Evaluation,
    /// With the results on top.
    pub content: Content,
    pub verdict: Verdict,
}

impl Rules {
    /// The message without results that only pretend to be ours.
    ///
    /// # Errors
    /// The content cannot be read.
    pub fn cleaned(&self, content: Content) -> io::Result<Content> {
        without_forged(content, &self.authserv_id)
    }

    /// Checks a message of a stranger; nothing when messages are not checked. `limit` is the hardest that may come of it.
    ///
    /// # Errors
    /// The content cannot be read.
    pub async fn check(
        &self,
        resolver: &dyn Resolver,
        origin: Origin<'_>,
        content: &Content,
        limit: Action,
    ) -> io::Result<Option<Checked>> {
        let Some(verifier) = &self.verifier else { return Ok(None) };
        let evaluation = verifier.verify(resolver, origin, content).await?;
        let cleaned = self.cleaned(content.clone())?;
        let content = on_top(&cleaned, evaluation.to_field(&self.authserv_id))?;
        let verdict = self.policy.verdict(&evaluation, limit);
        Ok(Some(Checked { evaluation, content, verdict }))
    }

    /// A message of ours, signed when there is a key for it. May wait for the disk.
    ///
    /// # Errors
    /// The content cannot be read, or a key fails.
    pub fn signed(&self, content: Content, now: Timestamp) -> io::Result<Content> {
        Ok(self.signers.sign(&content, now)?.unwrap_or(content))
    }

    /// A message that is handed on, sealed when there is a sealer. May wait for the disk.
    ///
    /// # Errors
    /// The content cannot be read, or a key fails.
    pub fn sealed(&self, content: Content, evaluation: &Evaluation, now: Timestamp) -> io::Result<Content> {
        Ok(self.signers.seal(&content, evaluation, &self.authserv_id, now)?.unwrap_or(content))
    }
}
