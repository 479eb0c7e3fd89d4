//! What sessions and deliveries ask of whoever extends the server, and what may be answered: stages, requests, verdicts.
//!
//! `inbound` asks through [`SessionHooks`], `outbound` through [`DeliveryHooks`]; `plugin-host` answers, and none knows another. The key-value space that
//! plugins are given is named here too ([`KeyValue`]) and kept by `store`; so is what asks other hosts over HTTP ([`HttpClient`]), which `fetch` does.

mod breaker;
mod chain;
mod delivery;
mod failure_policy;
mod filter_address;
mod http;
mod key_value;
mod scanner;
mod session;
mod stage;
mod submission;
mod verdict;

pub use breaker::Breaker;
pub use chain::{Chain, in_turn};
pub use delivery::{DeliveryHooks, OutcomeKind, OutcomeReport, RouteChoice, RouteRequest, Way};
pub use failure_policy::OnFailure;
pub use filter_address::{FilterAddress, FilterAddressError, FilterHost};
pub use http::{HttpAnswer, HttpClient, HttpError, HttpRequest, HttpTerms, Networks};
pub use key_value::{KeyValue, KvError, KvPage, KvValue};
pub use scanner::{ScanError, Scanner};
pub use session::{
    Answer, BoxFuture, Finding, Hooks, News, NoHooks, Protocol, RecipientAnswer, Request, SessionFacts,
    SessionHooks, TlsFacts, TransactionFacts,
};
pub use stage::{Stage, Stages};
pub use submission::{AutoSubmitted, PluginMessage, SubmitError, Submitter};
pub use verdict::{RecipientVerdict, Verdict};
