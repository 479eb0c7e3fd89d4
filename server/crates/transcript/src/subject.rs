//! Whom or what somebody wants to hear of.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use model::{Domain, Mailbox, QueueId};

/// What a session may concern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A session or a message, by its id.
    Id(String),
    /// A mail address, in lower case.
    Mailbox(String),
    /// A domain of addresses, or the name of a host, in lower case.
    Domain(String),
    /// Where a client calls from, or what we connect to.
    Network(IpNet),
}

/// A text that names nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no id of a session or a message, no mail address, no domain and no network")]
pub struct SubjectError(String);

impl FromStr for Subject {
    type Err = SubjectError;
    fn from_str(text: &str) -> Result<Self, SubjectError> {
        let unknown = || SubjectError(text.to_owned());
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(address.to_canonical().into()));
        }
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Self::Network(network));
        }
        if let Some((local, domain)) = text.rsplit_once('@') {
            if local.is_empty() {
                return Domain::parse(domain)
                    .map(|domain| Self::Domain(lower(&domain)))
                    .map_err(|_| unknown());
            }
            let mailbox = Mailbox::parse(text).map_err(|_| unknown())?;
            return Ok(Self::Mailbox(mailbox.to_string().to_lowercase()));
        }
        if let Ok(id) = text.parse::<QueueId>() {
            return Ok(Self::Id(id.to_string()));
        }
        match Domain::parse(text) {
            Ok(domain) if text.contains('.') => Ok(Self::Domain(lower(&domain))),
            _ => Err(unknown()),
        }
    }
}

fn lower(domain: &Domain) -> String {
    domain.to_ascii().to_ascii_lowercase()
}

/// What is known of a session so far.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) ids: Vec<String>,
    /// In lower case.
    pub(crate) mailboxes: Vec<String>,
    /// Domains and names of hosts, in lower case.
    pub(crate) domains: Vec<String>,
    pub(crate) address: Option<IpAddr>,
}

impl Known {
    pub(crate) fn concerns(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Id(id) => self.ids.contains(id),
            Subject::Mailbox(mailbox) => self.mailboxes.contains(mailbox),
            Subject::Domain(domain) => self.domains.contains(domain),
            Subject::Network(network) => self.address.is_some_and(|address| network.contains(&address)),
        }
    }

    /// Somebody in an envelope; says whether it is news.
    pub(crate) fn mailbox(&mut self, text: &str) -> bool {
        let Ok(mailbox) = Mailbox::parse(text) else { return false };
        let name = mailbox.to_string().to_lowercase();
        let is_news = !self.mailboxes.contains(&name);
        if is_news {
            self.mailboxes.push(name);
            self.domain(&lower(mailbox.domain()));
        }
        is_news
    }

    pub(crate) fn domain(&mut self, name: &str) -> bool {
        let name = name.trim_end_matches('.').to_lowercase();
        let is_news = !self.domains.contains(&name);
        if is_news {
            self.domains.push(name);
        }
        is_news
    }

    /// Forgets what a transaction was about; the session's own stays.
    pub(crate) fn forget_transaction(&mut self, own_ids: usize, own_domains: usize) {
        self.ids.truncate(own_ids);
        self.domains.truncate(own_domains);
        self.mailboxes.clear();
    }
}
