//! What is asked during a session, with what is known at that moment, and what comes back.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use model::{Content, Envelope, Mailbox, Param, QueueId, Reply, ReversePath, SessionId};

use crate::{RecipientVerdict, Stages, Verdict};

/// A boxed future, so that the traits here can be used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What is known of a session; it grows while the session goes on.
#[derive(Debug, Clone)]
pub struct SessionFacts {
    pub id: SessionId,
    /// The listener's name in the configuration.
    pub listener: Arc<str>,
    pub peer: SocketAddr,
    /// Reverse DNS that was confirmed by a forward lookup.
    pub peer_name: Option<String>,
    /// The name given with HELO, EHLO or LHLO.
    pub helo: Option<String>,
    pub protocol: Protocol,
    pub tls: Option<TlsFacts>,
    pub auth_user: Option<String>,
    /// As AUTH named it; nothing when a proxy said who the user is.
    pub auth_mechanism: Option<String>,
    /// Whether the client may send to any domain, by its user or its address.
    pub may_relay: bool,
    /// This host, as in its greeting.
    pub server_name: Arc<str>,
    /// Where the connection arrived.
    pub local: SocketAddr,
}

/// What the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// It said HELO, or nothing yet.
    #[default]
    Smtp,
    Esmtp,
    Lmtp,
}

impl Protocol {
    /// The name, as in the trace field of a message (RFC 5321 section 4.4.2).
    pub fn name(self) -> &'static str {
        match self {
            Self::Smtp => "SMTP",
            Self::Esmtp => "ESMTP",
            Self::Lmtp => "LMTP",
        }
    }
}

/// What was agreed on in the TLS handshake.
#[derive(Debug, Clone)]
pub struct TlsFacts {
    /// `TLSv1.3`, as RFC 8314 section 4.3 writes it.
    pub version: String,
    pub cipher: String,
    /// The name that the client asked for.
    pub server_name: Option<String>,
    /// Of a client whose certificate an authority vouches for: mail addresses and names, or else the common name.
    pub client_names: Vec<String>,
}

/// What is known of the transaction under way.
#[derive(Debug, Clone)]
pub struct TransactionFacts {
    pub id: QueueId,
    /// At rcpt the recipient in question is the last one here, so that a hook may put another in its place.
    pub envelope: Envelope,
    /// From the message stage on.
    pub content: Option<Content>,
    /// What sender authentication found.
    pub findings: Vec<Finding>,
}

/// One result of sender authentication, as in an Authentication-Results field (RFC 8601).
#[derive(Debug, Clone)]
pub struct Finding {
    pub method: String,
    pub result: String,
    pub domain: Option<String>,
    pub detail: String,
}

/// One question.
#[derive(Debug, Clone, Copy)]
pub enum Request<'a> {
    Connect,
    Ehlo { name: &'a str },
    Auth { mechanism: &'a str, user: &'a str },
    Mail { sender: &'a ReversePath, params: &'a [Param] },
    Rcpt { recipient: &'a Mailbox, params: &'a [Param] },
    Data,
    Message,
    Disconnect,
}

impl Request<'_> {
    /// The stage that the question belongs to.
    pub fn stage(&self) -> crate::Stage {
        use crate::Stage;
        match self {
            Self::Connect => Stage::Connect,
            Self::Ehlo { .. } => Stage::Ehlo,
            Self::Auth { .. } => Stage::Auth,
            Self::Mail { .. } => Stage::Mail,
            Self::Rcpt { .. } => Stage::Rcpt,
            Self::Data => Stage::Data,
            Self::Message => Stage::Message,
            Self::Disconnect => Stage::Disconnect,
        }
    }
}

/// What happened without a question, for those who follow a session as a whole.
#[derive(Debug, Clone, Copy)]
pub enum News<'a> {
    /// The transaction is over without a message.
    Reset,
    /// A recipient was refused, by the server's own rules or by somebody who was asked before.
    RefusedRecipient { recipient: &'a Mailbox, params: &'a [Param], reply: &'a Reply },
    /// A command that the server does not know or does not carry out, without its line end. The client has its reply.
    UnknownCommand { line: &'a str },
}

/// What comes back: the verdict, who gave it, and what was rewritten.
#[derive(Debug, Default)]
pub struct Answer {
    pub verdict: Verdict,
    /// The plugin that ended the stage; nothing when all of them said `Proceed`.
    pub by: Option<Arc<str>>,
    /// The envelope after the plugins' edits, when there were any.
    pub envelope: Option<Envelope>,
    /// The message after the plugins' edits, when there were any.
    pub content: Option<Content>,
    /// What was decided of single recipients at the message stage, by their numbers. It counts when the message is taken on.
    pub recipients: BTreeMap<u32, RecipientAnswer>,
}

/// What one plugin decided of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientAnswer {
    pub verdict: RecipientVerdict,
    /// The plugin.
    pub by: Arc<str>,
}

/// Whoever extends the server. Shared by all sessions.
pub trait Hooks: Send + Sync + fmt::Debug {
    /// Begins a session; it keeps the plugins of this moment until its end.
    fn begin(&self) -> Box<dyn SessionHooks>;
}

/// The plugins of one session.
pub trait SessionHooks: Send {
    /// The stages at which somebody wants to be asked. Asking at another one is allowed and costs an empty answer.
    fn stages(&self) -> Stages;

    /// Asks the plugins in order. Never fails: a plugin that does is answered for by its failure policy.
    ///
    /// Dropping the future abandons the question; the plugins that it had reached are not asked again in this session.
    fn ask<'a>(
        &'a mut self,
        request: Request<'a>,
        session: &'a Arc<SessionFacts>,
        transaction: Option<&'a Arc<TransactionFacts>>,
    ) -> BoxFuture<'a, Answer>;

    /// Tells of what nobody decides on any more.
    fn tell<'a>(
        &'a mut self,
        _: News<'a>,
        _: &'a Arc<SessionFacts>,
        _: Option<&'a Arc<TransactionFacts>>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A server without plugins.
#[derive(Debug, Clone, Copy)]
pub struct NoHooks;

impl Hooks for NoHooks {
    fn begin(&self) -> Box<dyn SessionHooks> {
        Box::new(Self)
    }
}

impl SessionHooks for NoHooks {
    fn stages(&self) -> Stages {
        Stages::NONE
    }

    fn ask<'a>(
        &'a mut self,
        _: Request<'a>,
        _: &'a Arc<SessionFacts>,
        _: Option<&'a Arc<TransactionFacts>>,
    ) -> BoxFuture<'a, Answer> {
        Box::pin(std::future::ready(Answer::default()))
    }
}
