//! The envelope: who a message is from and for, apart from its content (RFC 5321 section 2.3.1).

use serde::{Deserialize, Serialize};

use crate::esmtp::{FORWARDED_AS, REFUSED, SUBMITTED_BY};
use crate::{Mailbox, Reply, ReversePath};

/// One ESMTP parameter of MAIL or RCPT, `KEYWORD` or `KEYWORD=value` (RFC 5321 section 4.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Param {
    /// In upper case.
    pub keyword: String,
    pub value: Option<String>,
}

/// One recipient of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Its number in this envelope; numbers are not used again when a recipient is removed.
    pub id: u32,
    pub address: Mailbox,
    /// The parameters of RCPT (NOTIFY, ORCPT and others), kept for the next hop.
    pub params: Vec<Param>,
    /// The address that the client named, before aliases and plugins.
    pub original: Mailbox,
}

/// Sender, recipients and their parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    pub sender: ReversePath,
    /// The parameters of MAIL (SIZE, BODY, SMTPUTF8 and others).
    pub sender_params: Vec<Param>,
    pub recipients: Vec<Recipient>,
    /// The number that the next recipient gets.
    next_recipient: u32,
}

impl Envelope {
    /// An envelope that has no recipient yet.
    pub fn new(sender: ReversePath, sender_params: Vec<Param>) -> Self {
        Self { sender, sender_params, recipients: Vec::new(), next_recipient: 0 }
    }

    /// Adds a recipient and says its number.
    pub fn add_recipient(&mut self, address: Mailbox, original: Mailbox, params: Vec<Param>) -> u32 {
        let id = self.next_recipient;
        self.next_recipient += 1;
        self.recipients.push(Recipient { id, address, params, original });
        id
    }

    /// Takes a recipient out; false when there is none of this number.
    pub fn remove_recipient(&mut self, id: u32) -> bool {
        let before = self.recipients.len();
        self.recipients.retain(|recipient| recipient.id != id);
        self.recipients.len() < before
    }

    /// The value of a MAIL parameter, `Some("")` when it stands without one.
    pub fn sender_param(&self, keyword: &str) -> Option<&str> {
        find_param(&self.sender_params, keyword)
    }

    /// The plugin that submitted the message, if one did.
    pub fn submitted_by(&self) -> Option<&str> {
        self.sender_param(SUBMITTED_BY)
    }

    /// Whether the client asked for SMTPUTF8 (RFC 6531 section 3.4).
    pub fn is_smtputf8(&self) -> bool {
        self.sender_param("SMTPUTF8").is_some()
    }
}

impl Recipient {
    /// The value of an RCPT parameter, `Some("")` when it stands without one.
    pub fn param(&self, keyword: &str) -> Option<&str> {
        find_param(&self.params, keyword)
    }
}

impl Recipient {
    /// What a plugin refused it with, alone, when the client could not be told.
    pub fn refusal(&self) -> Option<Reply> {
        self.param(REFUSED).and_then(Reply::from_line)
    }

    /// The sender that the next hop is told, when it is not the envelope's.
    pub fn forwarded_as(&self) -> Option<&str> {
        self.param(FORWARDED_AS)
    }
}

fn find_param<'a>(params: &'a [Param], keyword: &str) -> Option<&'a str> {
    let param = params.iter().find(|param| param.keyword.eq_ignore_ascii_case(keyword))?;
    Some(param.value.as_deref().unwrap_or(""))
}
