//! Aliases followed to their ends.

use std::collections::HashSet;

use model::Mailbox;

use crate::local_domains::{LocalDomains, Lookup};

/// Aliases that may lead to one another: 10.
pub const MAX_ALIAS_DEPTH: usize = 10;
/// Recipients that one address may become: 1,000.
pub const MAX_ALIAS_RECIPIENTS: usize = 1000;
/// Targets that are looked at for one address; several may be the same recipient.
const MAX_ALIAS_TARGETS: usize = 10 * MAX_ALIAS_RECIPIENTS;

/// Why an address has no recipients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    #[error("there is no mailbox {0}")]
    Unknown(Mailbox),
    #[error("the alias {0} leads back to itself")]
    Loop(Mailbox),
    #[error("more than {MAX_ALIAS_DEPTH} aliases lead to one another")]
    TooDeep,
    #[error("the alias has more than {MAX_ALIAS_RECIPIENTS} recipients")]
    TooMany,
}

impl LocalDomains {
    /// The recipients that an address means: itself when it is a mailbox or not local, else the ends of its
    /// aliases, each once, in the order of the targets. A mailbox keeps its detail (`alice+news`).
    ///
    /// # Errors
    /// [`ExpandError`]. For an address that is an alias none but those of size: [`LocalDomains::new`] has
    /// tried it.
    pub fn expand(&self, address: &Mailbox) -> Result<Vec<Mailbox>, ExpandError> {
        let mut expansion =
            Expansion { table: self, chain: Vec::new(), seen: HashSet::new(), ends: Vec::new(), targets: 0 };
        expansion.follow(address)?;
        Ok(expansion.ends)
    }
}

impl LocalDomains {
    /// The recipients as delivery knows them: [`Self::expand`], each mailbox in lower case and without its detail.
    ///
    /// # Errors
    /// As there.
    pub fn recipients(&self, address: &Mailbox) -> Result<Vec<Mailbox>, ExpandError> {
        let canonical = |target: Mailbox| match self.mailbox(&target) {
            Some((mailbox, _)) => mailbox,
            None => target,
        };
        let mut seen = HashSet::new();
        let targets = self.expand(address)?.into_iter().map(canonical);
        Ok(targets.filter(|target| seen.insert(target.clone())).collect())
    }
}

struct Expansion<'a> {
    table: &'a LocalDomains,
    /// The aliases that led here.
    chain: Vec<Mailbox>,
    seen: HashSet<Mailbox>,
    ends: Vec<Mailbox>,
    targets: usize,
}

impl Expansion<'_> {
    /// Recursion ends at [`MAX_ALIAS_DEPTH`].
    fn follow(&mut self, address: &Mailbox) -> Result<(), ExpandError> {
        self.targets += 1;
        if self.targets > MAX_ALIAS_TARGETS {
            return Err(ExpandError::TooMany);
        }
        match self.table.lookup(address) {
            Lookup::Unknown => Err(ExpandError::Unknown(address.clone())),
            Lookup::NotLocal => self.end(address.clone(), address.clone()),
            Lookup::Local { .. } => self.end(lower(address), address.clone()),
            Lookup::Alias(targets) => {
                let alias = lower(address);
                if self.chain.last() == Some(&alias) && self.table.mailbox(&alias).is_some() {
                    return self.end(alias, address.clone());
                }
                if self.chain.contains(&alias) {
                    return Err(ExpandError::Loop(address.clone()));
                }
                if self.chain.len() >= MAX_ALIAS_DEPTH {
                    return Err(ExpandError::TooDeep);
                }
                self.chain.push(alias);
                targets.iter().try_for_each(|target| self.follow(target))?;
                self.chain.pop();
                Ok(())
            }
        }
    }

    fn end(&mut self, key: Mailbox, address: Mailbox) -> Result<(), ExpandError> {
        if self.seen.insert(key) {
            if self.ends.len() >= MAX_ALIAS_RECIPIENTS {
                return Err(ExpandError::TooMany);
            }
            self.ends.push(address);
        }
        Ok(())
    }
}

/// The address in lower case, by which local ones are compared.
fn lower(address: &Mailbox) -> Mailbox {
    Mailbox::new(&address.local().to_ascii_lowercase(), address.domain().clone())
        .unwrap_or_else(|_| address.clone())
}
