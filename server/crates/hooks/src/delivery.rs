//! What delivery asks, where a recipient's mail goes next, and what it tells: how an attempt ended.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use model::{Mailbox, Reply};

use crate::session::BoxFuture;
use crate::{NoHooks, Stages, TransactionFacts};

/// A recipient whose next hop is to be picked.
#[derive(Debug, Clone, Copy)]
pub struct RouteRequest<'a> {
    pub recipient: &'a Mailbox,
    /// Which attempt this will be; counts from 1.
    pub attempt: u32,
}

/// What a plugin wants of a recipient's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteChoice {
    /// The plugin.
    pub by: Arc<str>,
    pub way: Way,
}

/// What is to be done instead of what the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// No attempt until the postmaster releases it, for this reason.
    Hold(String),
    /// No attempt before this time is over.
    Delay(Duration),
    /// Another next hop, another source, or both.
    Take { next_hop: Option<String>, source: Option<IpAddr> },
    /// A plugin failed whose failure policy is to put mail off.
    Defer(Reply),
}

/// How an attempt ended for a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeKind {
    /// The next hop took the message.
    Delivered,
    /// There will be another attempt.
    Deferred,
    /// Refused for good.
    Bounced,
    /// Its time is over.
    Expired,
}

/// What is told of one recipient after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeReport {
    pub recipient: Mailbox,
    pub kind: OutcomeKind,
    /// Who said the reply; nothing when it was this host.
    pub host: Option<String>,
    /// The reply in one line.
    pub reply: String,
    /// Which attempt it was; counts from 1.
    pub attempt: u32,
}

/// The plugins, as delivery sees them. Shared by all deliveries.
pub trait DeliveryHooks: Send + Sync + fmt::Debug {
    /// The stages at which somebody wants to be asked. Asking at another one is allowed and costs an empty answer.
    fn delivery_stages(&self) -> Stages;

    /// Asks for some recipients of one message: an answer for each, in their order; nothing where the configuration is to decide. Never
    /// fails: a plugin that does is answered for by its failure policy. The facts have no content.
    fn route<'a>(
        &'a self,
        message: &'a Arc<TransactionFacts>,
        requests: &'a [RouteRequest<'a>],
    ) -> BoxFuture<'a, Vec<Option<RouteChoice>>>;

    /// Tells how an attempt ended for some recipients of one message. Nothing can be decided any more, and a failure is logged only.
    fn outcome<'a>(
        &'a self,
        message: &'a Arc<TransactionFacts>,
        reports: &'a [OutcomeReport],
    ) -> BoxFuture<'a, ()>;
}

impl DeliveryHooks for NoHooks {
    fn delivery_stages(&self) -> Stages {
        Stages::NONE
    }

    fn route<'a>(
        &'a self,
        _: &'a Arc<TransactionFacts>,
        requests: &'a [RouteRequest<'a>],
    ) -> BoxFuture<'a, Vec<Option<RouteChoice>>> {
        Box::pin(std::future::ready(vec![None; requests.len()]))
    }

    fn outcome<'a>(&'a self, _: &'a Arc<TransactionFacts>, _: &'a [OutcomeReport]) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}
