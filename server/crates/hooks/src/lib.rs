//! What sessions and deliveries ask of whoever extends the server, and what may be answered: stages, requests, verdicts.
//!
//! `inbound` asks through [`SessionHooks`], `outbound` through [`DeliveryHooks`]; `plugin-host` answers, and none knows another. The key-value space that
//! plugins are given is named here too ([`KeyValue`]) and kept by `store`.

mod delivery;
mod key_value;
mod session;
mod stage;
mod verdict;

pub use delivery::{DeliveryHooks, OutcomeKind, OutcomeReport, RouteChoice, RouteRequest, Way};
pub use key_value::{KeyValue, KvError, KvPage, KvValue};
pub use session::{
    Answer, BoxFuture, Finding, Hooks, NoHooks, Request, SessionFacts, SessionHooks, TlsFacts,
    TransactionFacts,
};
pub use stage::{Stage, Stages};
pub use verdict::Verdict;
