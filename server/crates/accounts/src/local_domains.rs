//! The table of local domains and the question whether it knows an address.

use std::collections::HashMap;

use model::{Domain, ForwardPath, Mailbox, MailboxError};

use crate::expand::ExpandError;

/// The local part that every domain has, RFC 5321 section 4.5.1.
const POSTMASTER: &str = "postmaster";

/// What the table is made from.
#[derive(Debug, Clone)]
pub struct Options {
    /// This host's name, the domain of `<Postmaster>` when there is no local domain.
    pub hostname: Domain,
    pub domains: Vec<DomainOptions>,
}

/// One local domain.
#[derive(Debug, Clone)]
pub struct DomainOptions {
    pub name: Domain,
    /// Local parts that have a mailbox; nothing: every local part has one.
    pub mailboxes: Option<Vec<String>>,
    /// An alias's local part, and its targets: local parts of this domain or whole addresses. A target that
    /// is the alias itself means the mailbox of that name.
    pub aliases: Vec<(String, Vec<String>)>,
    /// Where mail goes for local parts that have no mailbox and are no alias: a local part of this domain or a whole address.
    pub catch_all: Option<String>,
    /// What parts mailbox and detail, as in `alice+news`; nothing: local parts have no detail.
    pub subaddress_separator: Option<char>,
}

impl DomainOptions {
    /// A domain where every local part has a mailbox, without aliases, with `+` before a detail.
    pub fn new(name: Domain) -> Self {
        Self { name, mailboxes: None, aliases: Vec::new(), catch_all: None, subaddress_separator: Some('+') }
    }
}

/// What is wrong with [`Options`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountsError {
    #[error("the domain {0} is given twice")]
    DuplicateDomain(Domain),
    #[error("\"{local}\" is no local part of {domain}: {source}")]
    BadLocal { domain: Domain, local: String, source: MailboxError },
    #[error("the alias \"{alias}\" of {domain} is given twice")]
    DuplicateAlias { domain: Domain, alias: String },
    #[error("the alias \"{alias}\" of {domain} has no targets")]
    EmptyAlias { domain: Domain, alias: String },
    #[error("the alias \"{alias}\" of {domain} has the target \"{target}\": {source}")]
    BadTarget { domain: Domain, alias: String, target: String, source: MailboxError },
    #[error(
        "the catch-all of {domain} is never asked: every local part has a mailbox unless mailboxes says which there are"
    )]
    IdleCatchAll { domain: Domain },
    #[error("the catch-all of {domain} leads nowhere: {source}")]
    UnresolvedCatchAll { domain: Domain, source: ExpandError },
    #[error("the alias {alias} leads nowhere: {source}")]
    Unresolved { alias: Mailbox, source: ExpandError },
}

/// What an address means here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The domain is not one of ours.
    NotLocal,
    /// The domain is ours, the local part is nobody's.
    Unknown,
    /// One of our mailboxes: the local part in lower case and without its detail.
    Local { mailbox: Mailbox, detail: Option<String> },
    /// Other addresses, which may be aliases themselves; see [`LocalDomains::expand`].
    Alias(Vec<Mailbox>),
}

/// The local domains of this host.
#[derive(Debug, Clone)]
pub struct LocalDomains {
    postmaster: Mailbox,
    domains: HashMap<Domain, Entry>,
    /// As they were given.
    order: Vec<Domain>,
}

/// Local parts are in lower case.
#[derive(Debug, Clone)]
struct Entry {
    mailboxes: Option<Vec<String>>,
    aliases: HashMap<String, Vec<Mailbox>>,
    catch_all: Option<Mailbox>,
    separator: Option<char>,
}

impl LocalDomains {
    /// Checks the options and builds the table. Every alias is followed to its end.
    ///
    /// # Errors
    /// [`AccountsError`], with the domain and the local part in question: the first of them.
    pub fn new(options: Options) -> Result<Self, AccountsError> {
        let (table, faults) = Self::with_faults(options)?;
        faults.into_iter().next().map_or(Ok(table), Err)
    }

    /// As [`Self::new`]; with every alias and catch-all that leads nowhere.
    ///
    /// # Errors
    /// What else is wrong; the table cannot be built then.
    pub fn with_faults(options: Options) -> Result<(Self, Vec<AccountsError>), AccountsError> {
        let first = options.domains.first().map_or(&options.hostname, |domain| &domain.name);
        let postmaster = mailbox(POSTMASTER, first)?;
        let mut table = Self { postmaster, domains: HashMap::new(), order: Vec::new() };
        for domain in options.domains {
            let name = domain.name.clone();
            mailbox(POSTMASTER, &name)?;
            if table.domains.insert(name.clone(), Entry::new(domain)?).is_some() {
                return Err(AccountsError::DuplicateDomain(name));
            }
            table.order.push(name);
        }
        let mut faults = Vec::new();
        for (name, entry) in table.order.iter().map(|name| (name, &table.domains[name])) {
            let mut aliases: Vec<&String> = entry.aliases.keys().collect();
            aliases.sort_unstable();
            for alias in aliases {
                let alias = mailbox(alias, name)?;
                if let Err(source) = table.expand(&alias) {
                    faults.push(AccountsError::Unresolved { alias, source });
                }
            }
            let domain = || name.clone();
            if let Some(Err(source)) = entry.catch_all.as_ref().map(|target| table.expand(target)) {
                faults.push(AccountsError::UnresolvedCatchAll { domain: domain(), source });
            }
            if entry.catch_all.is_some() && entry.mailboxes.is_none() {
                faults.push(AccountsError::IdleCatchAll { domain: domain() });
            }
        }
        Ok((table, faults))
    }

    /// Whether mail for this domain ends here.
    pub fn is_local(&self, domain: &Domain) -> bool {
        self.domains.contains_key(domain)
    }

    /// The local domains, as they were given.
    pub fn domains(&self) -> &[Domain] {
        &self.order
    }

    /// The mailbox behind `<Postmaster>`: that of the first local domain, or of this host's name when there
    /// is none (and that one is [`Lookup::NotLocal`]).
    pub fn postmaster(&self) -> &Mailbox {
        &self.postmaster
    }

    /// The address that a path means.
    pub fn address(&self, path: &ForwardPath) -> Mailbox {
        match path {
            ForwardPath::Postmaster => self.postmaster.clone(),
            ForwardPath::Mailbox(mailbox) => mailbox.clone(),
        }
    }

    /// What an address means. Local parts are compared without regard to ASCII case; a name that is listed
    /// with its separator wins over a name and a detail, and an alias over a mailbox.
    pub fn lookup(&self, address: &Mailbox) -> Lookup {
        let Some(entry) = self.domains.get(address.domain()) else { return Lookup::NotLocal };
        let local = address.local().to_ascii_lowercase();
        for name in [local.as_str(), entry.split(&local).0] {
            if let Some(targets) = entry.aliases.get(name) {
                return Lookup::Alias(targets.clone());
            }
            if entry.lists(name) {
                break;
            }
        }
        match (self.mailbox(address), &entry.catch_all) {
            (Some((mailbox, detail)), _) => Lookup::Local { mailbox, detail },
            (None, Some(target)) => Lookup::Alias(vec![target.clone()]),
            (None, None) => Lookup::Unknown,
        }
    }

    /// The mailbox that an address ends in when no alias is followed (any more): the local part in lower
    /// case, and its detail as it was given. Nothing when there is none here.
    pub fn mailbox(&self, address: &Mailbox) -> Option<(Mailbox, Option<String>)> {
        let entry = self.domains.get(address.domain())?;
        let local = address.local().to_ascii_lowercase();
        let whole = || mailbox(&local, address.domain()).ok();
        if entry.lists(&local) {
            return Some((whole()?, None));
        }
        let (name, detail) = entry.split(&local);
        //= RFC 5321 section 4.5.1: the postmaster of a local domain is always somebody.
        if entry.mailboxes.is_some() && !entry.lists(name) && name != POSTMASTER {
            return None;
        }
        let detail = detail.map(|at| address.local()[at..].to_owned());
        Some((mailbox(name, address.domain()).ok()?, detail))
    }
}

impl Entry {
    fn new(options: DomainOptions) -> Result<Self, AccountsError> {
        let domain = options.name;
        let mut mailboxes = options.mailboxes;
        for local in mailboxes.iter_mut().flatten() {
            *local = mailbox(local, &domain)?.local().to_ascii_lowercase();
        }
        if let Some(mailboxes) = &mut mailboxes {
            mailboxes.sort_unstable();
        }
        let mut aliases = HashMap::new();
        for (alias, targets) in options.aliases {
            let local = mailbox(&alias, &domain)?.local().to_ascii_lowercase();
            if targets.is_empty() {
                return Err(AccountsError::EmptyAlias { domain, alias });
            }
            let parsed: Result<Vec<Mailbox>, AccountsError> =
                targets.into_iter().map(|target| parse_target(&domain, &alias, target)).collect();
            if aliases.insert(local, parsed?).is_some() {
                return Err(AccountsError::DuplicateAlias { domain, alias });
            }
        }
        let catch_all =
            options.catch_all.map(|target| parse_target(&domain, "catch-all", target)).transpose()?;
        Ok(Self { mailboxes, aliases, catch_all, separator: options.subaddress_separator })
    }

    fn lists(&self, local: &str) -> bool {
        let listed = |all: &Vec<String>| all.binary_search_by(|name| name.as_str().cmp(local)).is_ok();
        self.mailboxes.as_ref().is_some_and(listed)
    }

    /// The name before the separator, and where the detail behind it begins.
    fn split<'a>(&self, local: &'a str) -> (&'a str, Option<usize>) {
        let place = self.separator.and_then(|separator| Some((local.find(separator)?, separator.len_utf8())));
        match place {
            Some((at, width)) if at > 0 => (&local[..at], Some(at + width)),
            _ => (local, None),
        }
    }
}

fn parse_target(domain: &Domain, alias: &str, target: String) -> Result<Mailbox, AccountsError> {
    let parsed = match target.contains('@') {
        true => Mailbox::parse(&target),
        false => Mailbox::new(&target, domain.clone()),
    };
    parsed.map_err(|source| AccountsError::BadTarget {
        domain: domain.clone(),
        alias: alias.to_owned(),
        target,
        source,
    })
}

fn mailbox(local: &str, domain: &Domain) -> Result<Mailbox, AccountsError> {
    Mailbox::new(local, domain.clone()).map_err(|source| AccountsError::BadLocal {
        domain: domain.clone(),
        local: local.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
