//! A session as a case tells it: asks the hooks in a server's order and keeps what they say.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use hooks::{
    Answer, DeliveryHooks, Finding, Hooks, Protocol, RecipientAnswer, RecipientVerdict, Request,
    RouteRequest, SessionFacts, SessionHooks, Stage, TlsFacts, TransactionFacts, Verdict, Way,
};
use model::{Content, Envelope, Mailbox, Param, QueueId, Reply, ReversePath, SessionId};
use plugin_host::PluginStatus;
use serde::Serialize;

use super::double::{Journal, LogLine};
use super::expectation::mismatches;
use super::lab::Bench;
use super::mail::Submitted;
use super::report::CaseReport;
use super::suite::{Act, Case, Client, Step};

/// What a client calls itself that does not say.
const HELO: &str = "client.example.com";

/// What one hook, or one step, came to.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Seen {
    /// Its line in the suite; 0 for what the step before it, or a server, brings along.
    pub(super) line: usize,
    pub(super) hook: &'static str,
    pub(super) about: String,
    pub(super) verdict: &'static str,
    /// The reply or the reason, as far as there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    pub(super) took_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) log: Vec<LogLine>,
    #[serde(skip)]
    pub(super) original: Option<String>,
    /// The message as it was taken on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sender: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) recipients: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) refused: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) held: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_hop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hold: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delay_s: Option<u64>,
    /// What the plugin submitted, and what it asked over HTTP.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) submitted: Vec<Submitted>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) asked: Vec<String>,
    /// What is not as the suite expects.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) mismatches: Vec<String>,
}

/// The session under way.
pub(super) struct Script<'a> {
    bench: &'a Bench,
    journal: &'a Journal,
    hooks: Option<Box<dyn SessionHooks>>,
    session: SessionFacts,
    transaction: Option<TransactionFacts>,
    /// The last transaction, for what a queue asks and tells.
    last: TransactionFacts,
    seen: Vec<Seen>,
    transactions: u64,
}

impl<'a> Script<'a> {
    pub(super) fn new(bench: &'a Bench, journal: &'a Journal) -> Self {
        Self {
            bench,
            journal,
            hooks: None,
            session: session(0, &Client::default()),
            transaction: None,
            last: transaction(0, ReversePath::Null, Vec::new()),
            seen: Vec::new(),
            transactions: 0,
        }
    }

    pub(super) async fn run(mut self, file: &Path, case: &Case) -> CaseReport {
        for step in &case.steps {
            let mut seen = self.step(&step.act).await;
            seen.line = step.line;
            seen.mismatches.extend(mismatches(&step.expect, &seen));
            self.seen.push(seen);
        }
        self.disconnect().await;
        let plugin = self.plugin();
        CaseReport::of(file, case, self.seen, plugin)
    }

    async fn step(&mut self, act: &Act) -> Seen {
        match act {
            Act::Connect(client) => {
                self.disconnect().await;
                self.connect(client).await
            }
            Act::Ehlo(name) => {
                self.connected().await;
                self.ehlo(name).await
            }
            Act::Auth { user, mechanism } => {
                self.greeted().await;
                self.session.auth_user = Some(user.clone());
                self.session.auth_mechanism = Some(mechanism.clone());
                self.session.may_relay = true;
                self.ask(Request::Auth { mechanism, user }, user).await
            }
            Act::Mail { sender, params } => {
                self.greeted().await;
                self.mail(sender.as_ref(), params).await
            }
            Act::Rcpt { recipient, params } => self.rcpt(recipient, params).await,
            Act::Message { content, findings } => self.message(content.clone(), findings).await,
            Act::Disconnect => self.disconnect().await.unwrap_or_default(),
            Act::Wait(time) => {
                self.bench.clock.advance(*time);
                Seen {
                    hook: "wait",
                    about: humantime::format_duration(*time).to_string(),
                    verdict: "proceed",
                    ..Seen::default()
                }
            }
            Act::Route { recipient, attempt } => self.route(recipient, *attempt).await,
            Act::Outcome(report) => {
                let began = self.begin("outcome", &report.recipient.to_string());
                self.bench.host.outcome(&Arc::new(self.last.clone()), std::slice::from_ref(report)).await;
                self.end(began, &Verdict::Proceed)
            }
        }
    }

    /// A session with the usual client, when there is none.
    async fn connected(&mut self) {
        if self.hooks.is_none() {
            let seen = self.connect(&Client::default()).await;
            self.implied(seen);
        }
    }

    /// A session that has said EHLO.
    async fn greeted(&mut self) {
        self.connected().await;
        if self.session.helo.is_none() {
            let seen = self.ehlo(HELO).await;
            self.implied(seen);
        }
    }

    /// What no step asked for must go well, or the case is at fault.
    fn implied(&mut self, mut seen: Seen) {
        seen.mismatches = mismatches(&Default::default(), &seen);
        self.seen.push(seen);
    }

    async fn connect(&mut self, client: &Client) -> Seen {
        self.hooks = Some(self.bench.host.begin());
        self.session = session(self.session.id.0 + 1, client);
        self.ask(Request::Connect, &client.ip.to_string()).await
    }

    async fn ehlo(&mut self, name: &str) -> Seen {
        self.session.helo = Some(name.to_owned());
        self.session.protocol = Protocol::Esmtp;
        self.ask(Request::Ehlo { name }, name).await
    }

    async fn mail(&mut self, sender: Option<&Mailbox>, params: &[Param]) -> Seen {
        let path = sender.cloned().map_or(ReversePath::Null, ReversePath::Mailbox);
        self.transactions += 1;
        self.transaction = Some(transaction(self.transactions, path.clone(), params.to_vec()));
        let about = format!("<{}>", sender.map(ToString::to_string).unwrap_or_default());
        let seen = self.ask(Request::Mail { sender: &path, params }, &about).await;
        if refuses(seen.verdict) {
            self.transaction = None;
        }
        seen
    }

    async fn rcpt(&mut self, recipient: &Mailbox, params: &[Param]) -> Seen {
        let about = format!("<{recipient}>");
        let Some(transaction) = &mut self.transaction else {
            return misplaced(
                "rcpt",
                about,
                "there is no transaction: mail comes first, and must not be refused",
            );
        };
        let id = transaction.envelope.add_recipient(recipient.clone(), recipient.clone(), params.to_vec());
        let seen = self.ask(Request::Rcpt { recipient, params }, &about).await;
        if let (true, Some(transaction)) = (refuses(seen.verdict), &mut self.transaction) {
            transaction.envelope.remove_recipient(id);
        }
        seen
    }

    /// DATA and the message. What DATA refuses is the step's answer.
    async fn message(&mut self, content: Bytes, findings: &[Finding]) -> Seen {
        let about = super::super::output::size(content.len() as u64);
        match &self.transaction {
            Some(transaction) if !transaction.envelope.recipients.is_empty() => {}
            _ => {
                return misplaced(
                    "message",
                    about,
                    "there is no recipient: mail and rcpt come first, and must not be refused",
                );
            }
        }
        let data = self.ask(Request::Data, "").await;
        if refuses(data.verdict) || data.failure.is_some() {
            self.finish();
            return data;
        }
        if !data.hook.is_empty() {
            self.implied(data);
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.content = Some(Content::from(content.clone()));
            transaction.findings = findings.to_vec();
        }
        let mut seen = self.ask(Request::Message, &about).await;
        seen.original = Some(String::from_utf8_lossy(&content).into_owned());
        let taken = self.transaction.take().filter(|_| !refuses(seen.verdict));
        if let Some(transaction) = taken {
            let octets = transaction.content.as_ref().map(Content::to_bytes).transpose();
            match octets {
                Ok(octets) => {
                    seen.message = octets.map(|octets| String::from_utf8_lossy(&octets).into_owned())
                }
                Err(error) => seen.mismatches.push(format!("the message cannot be read: {error}")),
            }
            self.last = TransactionFacts { content: None, ..transaction };
        }
        seen
    }

    async fn disconnect(&mut self) -> Option<Seen> {
        self.hooks.as_ref()?;
        self.finish();
        let seen = self.ask(Request::Disconnect, "").await;
        self.hooks = None;
        Some(seen)
    }

    fn finish(&mut self) {
        if let Some(transaction) = self.transaction.take() {
            self.last = TransactionFacts { content: None, ..transaction };
        }
    }

    async fn route(&mut self, recipient: &Mailbox, attempt: u32) -> Seen {
        let began = self.begin("route", &recipient.to_string());
        let request = [RouteRequest { recipient, attempt }];
        let choices = self.bench.host.route(&Arc::new(self.last.clone()), &request).await;
        let mut seen = self.end(began, &Verdict::Proceed);
        match choices.into_iter().flatten().next().map(|choice| choice.way) {
            Some(Way::Hold(reason)) => seen.hold = Some(reason),
            Some(Way::Delay(time)) => seen.delay_s = Some(time.as_secs()),
            Some(Way::Take { next_hop, source }) => {
                seen.next_hop = next_hop;
                seen.text = source.map(|source| format!("from {source}"));
            }
            Some(Way::Defer(reply)) => seen.text = Some(said(&reply)),
            None => {}
        }
        seen
    }

    /// Asks, when the plugin has that hook.
    async fn ask(&mut self, request: Request<'_>, about: &str) -> Seen {
        let stage = request.stage();
        let is_hooked = self.hooks.as_ref().is_some_and(|hooks| hooks.stages().contains(stage));
        if !is_hooked {
            return self.in_envelope(Seen {
                hook: "",
                about: about.to_owned(),
                verdict: "proceed",
                ..Seen::default()
            });
        }
        let in_transaction = !matches!(stage, Stage::Connect | Stage::Ehlo | Stage::Auth | Stage::Disconnect);
        let session = Arc::new(self.session.clone());
        let transaction = self.transaction.clone().filter(|_| in_transaction).map(Arc::new);
        let began = self.begin(stage.name(), about);
        let Some(hooks) = &mut self.hooks else { return Seen::default() };
        let answer = hooks.ask(request, &session, transaction.as_ref()).await;
        let mut seen = self.end(began, &answer.verdict);
        let Answer { envelope, content, recipients, .. } = answer;
        if let (false, Some(transaction)) = (refuses(seen.verdict), &mut self.transaction) {
            transaction.envelope = envelope.unwrap_or_else(|| transaction.envelope.clone());
            transaction.content = content.or(transaction.content.take());
        }
        self.single_recipients(&recipients, &mut seen);
        self.in_envelope(seen)
    }

    fn single_recipients(&mut self, answers: &BTreeMap<u32, RecipientAnswer>, seen: &mut Seen) {
        let Some(transaction) = &mut self.transaction else { return };
        for (id, answer) in answers {
            let recipient = transaction.envelope.recipients.iter().find(|recipient| recipient.id == *id);
            let address = recipient.map(|recipient| recipient.address.to_string());
            let address = address.unwrap_or_else(|| format!("number {id}"));
            match &answer.verdict {
                RecipientVerdict::Refuse(reply) => {
                    seen.refused.insert(address, said(reply));
                    transaction.envelope.remove_recipient(*id);
                }
                RecipientVerdict::Hold(reason) => _ = seen.held.insert(address, reason.clone()),
            }
        }
    }

    fn in_envelope(&self, mut seen: Seen) -> Seen {
        if let Some(TransactionFacts { envelope, .. }) = &self.transaction {
            seen.sender = Some(envelope.sender.mailbox().map(ToString::to_string).unwrap_or_default());
            seen.recipients =
                envelope.recipients.iter().map(|recipient| recipient.address.to_string()).collect();
        }
        seen
    }

    fn begin(&self, hook: &'static str, about: &str) -> Began {
        self.journal.take();
        Began {
            hook,
            about: about.to_owned(),
            failures: self.plugin().map_or(0, |plugin| plugin.failures),
            at: clock::now(),
        }
    }

    fn end(&self, began: Began, verdict: &Verdict) -> Seen {
        let took = clock::now().duration_since(began.at);
        let plugin = self.plugin().filter(|plugin| plugin.failures > began.failures);
        let text = match verdict {
            Verdict::Proceed | Verdict::Accept => None,
            Verdict::Reject(reply) | Verdict::TempFail(reply) | Verdict::Disconnect(reply) => {
                Some(said(reply))
            }
            Verdict::Discard(reason) | Verdict::Quarantine(reason) => Some(reason.clone()),
        };
        Seen {
            hook: began.hook,
            about: began.about,
            verdict: verdict.name(),
            text,
            took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            failure: plugin.map(|plugin| plugin.last_error.unwrap_or_default()),
            log: self.journal.take(),
            submitted: self.bench.queue.take(),
            asked: self.bench.web.take(),
            ..Seen::default()
        }
    }

    fn plugin(&self) -> Option<PluginStatus> {
        self.bench.host.status().plugins.into_iter().next()
    }
}

/// A question that was asked.
struct Began {
    hook: &'static str,
    about: String,
    failures: u64,
    at: std::time::Instant,
}

fn misplaced(hook: &'static str, about: String, why: &str) -> Seen {
    Seen { hook, about, verdict: "proceed", mismatches: vec![why.to_owned()], ..Seen::default() }
}

fn refuses(verdict: &str) -> bool {
    ["reject", "tempfail", "disconnect"].contains(&verdict)
}

fn said(reply: &Reply) -> String {
    let status = reply.status.map(|status| format!(" {status}")).unwrap_or_default();
    format!("{}{status} {}", reply.code, reply.text)
}

pub(super) fn session(nth: u64, client: &Client) -> SessionFacts {
    let tls = client.tls.clone().map(|version| TlsFacts {
        version,
        cipher: "TLS_AES_128_GCM_SHA256".to_owned(),
        server_name: None,
        client_names: Vec::new(),
    });
    SessionFacts {
        id: SessionId(nth),
        listener: client.listener.as_str().into(),
        peer: SocketAddr::new(client.ip, 40_000),
        peer_name: client.name.clone(),
        helo: None,
        protocol: Protocol::default(),
        tls,
        auth_user: None,
        auth_mechanism: None,
        may_relay: client.may_relay,
        server_name: "mx.example.org".into(),
        local: SocketAddr::from((Ipv4Addr::LOCALHOST, 25)),
    }
}

pub(super) fn transaction(nth: u64, sender: ReversePath, params: Vec<Param>) -> TransactionFacts {
    TransactionFacts {
        id: QueueId(nth),
        envelope: Envelope::new(sender, params),
        content: None,
        findings: Vec::new(),
    }
}

/// A step that expects nothing.
pub(super) fn step(act: Act) -> Step {
    Step { line: 0, act, expect: Default::default() }
}
