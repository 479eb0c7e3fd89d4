//! What a transaction is made of, and what becomes of it.

use model::DeliverBy;
use model::{Param, Recipient, Reply, ReversePath};

use super::reply::ReplyError;
use super::sasl::SaslFault;

/// One message for some recipients of one next hop.
#[derive(Debug, Clone, Copy)]
pub struct Transaction<'a> {
    pub sender: &'a ReversePath,
    /// The parameters that MAIL had when the message came; those that the peer offers are handed on.
    pub sender_params: &'a [Param],
    /// At least one; their order is that of the fates in [`super::Event::Done`].
    pub recipients: &'a [&'a Recipient],
    /// Octets of content.
    pub size: u64,
    /// Whether the content has an octet beyond ASCII.
    pub eight_bit: bool,
    /// What is left of the time that the sender gave (RFC 2852).
    pub deliver_by: Option<DeliverBy>,
    /// Whether the header has an octet beyond ASCII and the message came with SMTPUTF8.
    pub utf8_header: bool,
}

/// What a session was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    Greeting,
    Hello,
    /// STARTTLS, and the handshake behind it.
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    Content,
    /// A part of the content that went by BDAT.
    Chunk,
    /// The end of data, and the reply to it.
    Final,
    Reset,
    Quit,
    /// Nothing: between transactions.
    Idle,
}

impl Step {
    /// As in `while waiting for the reply to MAIL`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Greeting => "the greeting",
            Self::Hello => "the reply to EHLO",
            Self::StartTls => "the reply to STARTTLS",
            Self::Auth => "the reply to AUTH",
            Self::Mail => "the reply to MAIL",
            Self::Rcpt => "the reply to RCPT",
            Self::Data => "the reply to DATA",
            Self::Content => "content to be taken",
            Self::Chunk => "the reply to BDAT",
            Self::Final => "the reply to the end of data",
            Self::Reset => "the reply to RSET",
            Self::Quit => "the reply to QUIT",
            Self::Idle => "the next transaction",
        }
    }
}

/// Why a session ended before its time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The peer refused to serve: a bad greeting, a bad answer to HELO, STARTTLS or AUTH, 421 at any time.
    #[error("{reply}")]
    Refused { step: Step, reply: Reply },
    /// There are credentials, and no way to use them: no AUTH at all, or without TLS none that hides the password.
    #[error("the next hop offers no AUTH that can be used")]
    NoMechanism,
    /// AUTH was broken off by us.
    #[error("the next hop does not follow the mechanism of AUTH: {0}")]
    Sasl(#[from] SaslFault),
    /// The session had to be encrypted, and the peer does not offer it.
    #[error("the next hop does not offer STARTTLS")]
    NoTls,
    #[error("timed out while waiting for {}", .0.name())]
    Timeout(Step),
    #[error("the connection was lost while waiting for {}", .0.name())]
    ConnectionLost(Step),
    #[error("the peer does not follow the protocol: {0}")]
    Protocol(String),
}

impl From<ReplyError> for Failure {
    fn from(error: ReplyError) -> Self {
        Self::Protocol(error.to_string())
    }
}

/// Why content or an address cannot go to this peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    #[error("the message has 8-bit content and the next hop does not offer 8BITMIME")]
    EightBit,
    #[error("the message is binary and the next hop does not offer BINARYMIME and CHUNKING")]
    Binary,
    /// Neither as it is nor encoded.
    #[error("the next hop takes no content of this kind, and it cannot be encoded: {0}")]
    Unconvertible(&'static str),
    #[error("the message must not leave without TLS and REQUIRETLS, which the next hop does not offer")]
    RequireTls,
    #[error("the address or header is internationalised and the next hop does not offer SMTPUTF8")]
    Utf8,
    #[error("the message is larger than the {limit} octets that the next hop takes")]
    TooLarge { limit: u64 },
}

impl Unsendable {
    /// As the next hop would have said it.
    pub fn reply(&self) -> Reply {
        let (code, status) = match self {
            //= RFC 6152 section 3: content that cannot be converted is a failure, not to be sent as it is.
            Self::EightBit | Self::Binary | Self::Unconvertible(_) => (554, (5, 6, 3)),
            //= RFC 8689 section 4.2.1: 5.7.30, the next hop does not support REQUIRETLS.
            Self::RequireTls => (550, (5, 7, 30)),
            //= RFC 6531 section 3.5: 5.6.7, non-ASCII addresses are not permitted for that recipient.
            Self::Utf8 => (553, (5, 6, 7)),
            //= RFC 1870 section 6.2: the client need not try.
            Self::TooLarge { .. } => (552, (5, 3, 4)),
        };
        Reply::new(code, status, self.to_string())
    }
}

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The peer took the message for this recipient: its reply to the end of data, 2xx.
    Accepted(Reply),
    /// The peer said no, for now (4xx) or for good (5xx).
    Refused { step: Step, reply: Reply },
    /// The peer takes no more recipients in this transaction, and may in the next: its 452, or none where it had said so before.
    LeftOver(Option<Reply>),
    /// The peer was not asked: it does not offer what is needed. For good.
    Unsendable(Unsendable),
    /// The session broke before an answer; whether the message arrived is unknown, later may be better.
    Failed(Failure),
}
