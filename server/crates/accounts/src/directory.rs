//! The users of this host, found by their names and by what a certificate says.

use std::collections::HashMap;
use std::sync::Arc;

use model::Mailbox;

use crate::password::{Effort, MAX_RECORDS};
use crate::user::User;

/// Every user.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    users: HashMap<Mailbox, Arc<User>>,
    certificates: HashMap<String, Arc<User>>,
    /// As they were given.
    order: Vec<Arc<User>>,
    /// What a failed check of a password computes, whoever was named.
    effort: Effort,
}

/// What is wrong with a list of users.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    #[error("the user {0} is there twice")]
    DuplicateUser(Mailbox),
    #[error("the user {0} has more than {MAX_RECORDS} password records")]
    TooManyRecords(Mailbox),
    #[error("the certificate identity \"{identity}\" of {name} is another user's too")]
    DuplicateCertificate { name: Mailbox, identity: String },
}

impl Directory {
    /// Checks the users and builds the directory.
    ///
    /// # Errors
    /// [`DirectoryError`], with the user in question.
    pub fn new(users: Vec<User>) -> Result<Self, DirectoryError> {
        let mut directory = Self::default();
        for user in users {
            directory.insert(user)?;
        }
        Ok(directory)
    }

    /// Adds a user.
    ///
    /// # Errors
    /// [`DirectoryError`]; the directory is then of no use.
    pub fn insert(&mut self, user: User) -> Result<(), DirectoryError> {
        if user.records.len() > MAX_RECORDS {
            return Err(DirectoryError::TooManyRecords(user.name));
        }
        self.effort = self.effort.max(Effort::of(&user.records));
        let user = Arc::new(user);
        if self.users.insert(lower(&user.name), user.clone()).is_some() {
            return Err(DirectoryError::DuplicateUser(user.name.clone()));
        }
        for identity in &user.certificate {
            let other = self.certificates.insert(identity.to_ascii_lowercase(), user.clone());
            // The same user may name an identity twice.
            if other.is_some_and(|other| other.name != user.name) {
                let (name, identity) = (user.name.clone(), identity.clone());
                return Err(DirectoryError::DuplicateCertificate { name, identity });
            }
        }
        self.order.push(user);
        Ok(())
    }

    /// The users, as they were given.
    pub fn users(&self) -> &[Arc<User>] {
        &self.order
    }

    /// The user of a name, whatever its case.
    pub fn user(&self, name: &str) -> Option<&Arc<User>> {
        self.users.get(&parse(name)?)
    }

    /// The one user that a certificate's identities stand for; nobody when they stand for several.
    pub fn by_certificate(&self, identities: &[String]) -> Option<&Arc<User>> {
        let mut found: Option<&Arc<User>> = None;
        for identity in identities {
            let Some(user) = self.certificates.get(&identity.to_ascii_lowercase()) else { continue };
            if found.is_some_and(|found| !Arc::ptr_eq(found, user)) {
                return None;
            }
            found = Some(user);
        }
        found
    }

    pub(crate) fn effort(&self) -> Effort {
        self.effort
    }

    pub(crate) fn has_certificates(&self) -> bool {
        !self.certificates.is_empty()
    }
}

/// The form in which names are compared: that of an address, the local part in lower case. Nothing when it is no address,
/// which no user's name is.
pub(crate) fn parse(name: &str) -> Option<Mailbox> {
    let prepared = stringprep::saslprep(name).ok()?;
    Mailbox::parse(&prepared).ok().map(|mailbox| lower(&mailbox))
}

/// The name of a failed attempt as it is counted and hashed: names that mean the same user are one.
pub(crate) fn canonical(name: &str) -> String {
    parse(name).map_or_else(|| name.to_ascii_lowercase(), |mailbox| mailbox.to_string())
}

fn lower(name: &Mailbox) -> Mailbox {
    Mailbox::new(&name.local().to_ascii_lowercase(), name.domain().clone()).unwrap_or_else(|_| name.clone())
}

#[cfg(test)]
mod tests;
