//! Facts for the tests of this crate.

use std::sync::Arc;

use bytes::Bytes;
use hooks::{Protocol, SessionFacts, TransactionFacts};
use model::{Content, Envelope, Mailbox, QueueId, ReversePath, SessionId};

mod arbitrary;
mod news;
mod scripted;
mod sessions;

pub(crate) fn session_facts() -> SessionFacts {
    SessionFacts {
        id: SessionId(1),
        listener: "mx".into(),
        peer: ([192, 0, 2, 1], 4000).into(),
        peer_name: None,
        helo: None,
        protocol: Protocol::Esmtp,
        tls: None,
        auth_user: None,
        auth_mechanism: None,
        may_relay: false,
        server_name: Arc::from("mx.example.org"),
        local: ([192, 0, 2, 2], 25).into(),
    }
}

pub(crate) fn transaction_facts(message: &str) -> TransactionFacts {
    let mailbox = |text: &str| Mailbox::parse(text).unwrap();
    let mut envelope = Envelope::new(ReversePath::Mailbox(mailbox("alice@example.org")), Vec::new());
    envelope.add_recipient(mailbox("bob@example.org"), mailbox("bob@example.org"), Vec::new());
    TransactionFacts {
        id: QueueId(7),
        envelope,
        content: Some(Content::from(Bytes::copy_from_slice(message.as_bytes()))),
        findings: Vec::new(),
    }
}
