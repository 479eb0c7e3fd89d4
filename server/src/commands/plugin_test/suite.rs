//! A suite of cases, read from TOML. Every fault is said with its line.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hooks::{FilterAddress, Finding, OutcomeKind, OutcomeReport};
use model::{Mailbox, Param, Timestamp};
use plugin_host::{Grants, LimitOverrides, Limits, OnFailure};
use serde::Deserialize;
use toml::Spanned;

use super::mail::Clamd;
use crate::commands::BadInput;
use crate::commands::dns_file;

/// When a case begins that does not say: 2026-01-01, noon, UTC.
const BEGINNING: Timestamp = Timestamp(1_767_268_800_000);
/// Octets of a suite's file.
const MAX_SUITE_OCTETS: u64 = 4 << 20;

#[derive(Debug)]
pub(super) struct Suite {
    pub(super) file: PathBuf,
    /// Where it names one, beside the suite.
    pub(super) plugin: Option<PathBuf>,
    pub(super) cases: Vec<Case>,
}

/// One case, with all that the suite says for every case.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) settings: serde_json::Value,
    pub(super) grants: Grants,
    pub(super) on_failure: OnFailure,
    pub(super) now: Timestamp,
    pub(super) dns: Arc<dns::Fake>,
    pub(super) http: Vec<HttpAnswer>,
    pub(super) clamd: Clamd,
    /// Of all plugins, and those that this one has in their place.
    pub(super) limits: Limits,
    pub(super) own_limits: LimitOverrides,
    pub(super) kv: BTreeMap<String, String>,
    /// What is part of the reason why the file is not loaded.
    pub(super) refused: Option<String>,
    pub(super) steps: Vec<Step>,
}

/// What the made-up network answers to one URL.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct HttpAnswer {
    pub(super) url: String,
    #[serde(default = "ok")]
    pub(super) status: u16,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) body: String,
    /// There is no answer, for this reason.
    pub(super) fails: Option<String>,
}

fn ok() -> u16 {
    200
}

/// A thing to do and what is expected of it.
#[derive(Debug)]
pub(super) struct Step {
    /// Its line in the suite; 0 when there is none.
    pub(super) line: usize,
    pub(super) act: Act,
    pub(super) expect: Expect,
}

#[derive(Debug)]
pub(super) enum Act {
    Connect(Client),
    Ehlo(String),
    Auth { user: String, mechanism: String },
    Mail { sender: Option<Mailbox>, params: Vec<Param> },
    Rcpt { recipient: Mailbox, params: Vec<Param> },
    Message { content: bytes::Bytes, findings: Vec<Finding> },
    Disconnect,
    Wait(Duration),
    Route { recipient: Mailbox, attempt: u32 },
    Outcome(OutcomeReport),
}

/// Who connects.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) ip: IpAddr,
    pub(super) name: Option<String>,
    pub(super) listener: String,
    pub(super) tls: Option<String>,
    pub(super) may_relay: bool,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            ip: IpAddr::from([192, 0, 2, 1]),
            name: None,
            listener: "mx".to_owned(),
            tls: None,
            may_relay: false,
        }
    }
}

/// What a step must come to; what is absent is not looked at, but for the verdict, which then lets mail through.
#[derive(Debug, Clone, Default)]
pub(super) struct Expect {
    pub(super) verdict: Option<String>,
    /// How the reply begins, as in `550 5.7.1`, or the reason of a verdict that has one.
    pub(super) reply: Option<String>,
    pub(super) log: Vec<String>,
    pub(super) headers: BTreeMap<String, Header>,
    pub(super) body: Option<String>,
    pub(super) body_contains: Vec<String>,
    pub(super) body_ends: Option<String>,
    pub(super) unchanged: bool,
    pub(super) sender: Option<String>,
    pub(super) recipients: Option<Vec<String>>,
    /// Recipients that are refused alone, each with how its reply begins.
    pub(super) refused: Option<BTreeMap<String, String>>,
    /// Recipients that are held alone, each with its reason.
    pub(super) held: Option<BTreeMap<String, String>>,
    /// The plugin fails here, with this in what is said of it.
    pub(super) fails: Option<String>,
    pub(super) next_hop: Option<String>,
    pub(super) hold: Option<String>,
    pub(super) delay_s: Option<u64>,
    /// What the plugin submits here, in this order, and nothing else.
    pub(super) submitted: Option<Vec<ExpectSubmitted>>,
    /// What it asks over HTTP, in this order, and nothing else: how method and URL begin.
    pub(super) asked: Option<Vec<String>>,
}

/// A message that is submitted.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct ExpectSubmitted {
    pub(super) sender: Option<String>,
    pub(super) to: Option<Vec<String>>,
    /// The mark, as in the field.
    pub(super) auto_submitted: Option<String>,
    /// Parts of its header or body.
    pub(super) contains: Vec<String>,
}

/// The fields of one name: this value among them, exactly these, or none.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Header {
    Value(String),
    Values(Vec<String>),
    Present(bool),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct SuiteTable {
    plugin: Option<PathBuf>,
    #[serde(default)]
    settings: toml::Table,
    grants: Option<Spanned<GrantsTable>>,
    dns: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    case: Vec<Spanned<CaseTable>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct CaseTable {
    name: String,
    settings: Option<toml::Table>,
    grants: Option<Spanned<GrantsTable>>,
    on_failure: Option<Spanned<String>>,
    now: Option<Spanned<String>>,
    dns: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    http: Vec<HttpAnswer>,
    #[serde(default)]
    clamd: Clamd,
    #[serde(default)]
    kv: BTreeMap<String, String>,
    refused: Option<String>,
    #[serde(default)]
    steps: Vec<Spanned<StepTable>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct GrantsTable {
    kv: bool,
    dns: bool,
    http: Vec<String>,
    clamd: Option<String>,
    submit: bool,
}

/// A step as it stands: what is to be done, details of it, and what is expected, side by side.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct StepTable {
    connect: Option<IpAddr>,
    ehlo: Option<String>,
    auth: Option<String>,
    mail: Option<String>,
    rcpt: Option<String>,
    message: Option<PathBuf>,
    text: Option<String>,
    disconnect: Option<bool>,
    wait: Option<String>,
    route: Option<String>,
    outcome: Option<String>,
    name: Option<String>,
    listener: Option<String>,
    tls: Option<String>,
    may_relay: bool,
    mechanism: Option<String>,
    params: Vec<String>,
    attempt: Option<u32>,
    kind: Option<String>,
    host: Option<String>,
    said: Option<String>,
    verdict: Option<String>,
    reply: Option<String>,
    log: Vec<String>,
    headers: BTreeMap<String, Header>,
    body: Option<String>,
    body_contains: Vec<String>,
    body_ends: Option<String>,
    unchanged: bool,
    sender: Option<String>,
    recipients: Option<Vec<String>>,
    refused: Option<BTreeMap<String, String>>,
    held: Option<BTreeMap<String, String>>,
    fails: Option<String>,
    next_hop: Option<String>,
    hold: Option<String>,
    delay_s: Option<u64>,
    findings: BTreeMap<String, String>,
    submitted: Option<Vec<ExpectSubmitted>>,
    asked: Option<Vec<String>>,
}

/// Where faults of a file are found.
struct Source<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn line(&self, at: usize) -> usize {
        self.text[..self.text.floor_char_boundary(at)].matches('\n').count() + 1
    }

    fn fault(&self, at: usize, why: impl std::fmt::Display) -> BadInput {
        BadInput(format!("{}:{}: {why}", self.file.display(), self.line(at)))
    }
}

impl Suite {
    /// Reads a suite; files that it names lie beside it.
    pub(super) fn read(file: &Path) -> Result<Self, BadInput> {
        let text = read_text(file, MAX_SUITE_OCTETS)?;
        let source = Source { file, text: &text };
        let table: SuiteTable = toml::from_str(&text)
            .map_err(|error| source.fault(error.span().map_or(0, |span| span.start), error.message()))?;
        if table.case.is_empty() {
            return Err(source.fault(0, "there is no [[case]] in it"));
        }
        let folder = file.parent().unwrap_or(Path::new(""));
        let plugin = table.plugin.as_ref().map(|plugin| folder.join(plugin));
        let cases =
            table.case.iter().map(|case| case_of(&source, folder, &table, case)).collect::<Result<_, _>>()?;
        Ok(Self { file: file.to_owned(), plugin, cases })
    }
}

/// A text file of a bounded size.
fn read_text(file: &Path, most: u64) -> Result<String, BadInput> {
    use std::io::Read;
    let fault = |why: String| BadInput(format!("{}: {why}", file.display()));
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(|error| fault(error.to_string()))?;
    opened.take(most + 1).read_to_string(&mut text).map_err(|error| fault(error.to_string()))?;
    if text.len() as u64 > most {
        return Err(fault(format!("is larger than {most} octets")));
    }
    Ok(text)
}

fn case_of(
    source: &Source<'_>,
    folder: &Path,
    suite: &SuiteTable,
    case: &Spanned<CaseTable>,
) -> Result<Case, BadInput> {
    let table = case.get_ref();
    let settings = serde_json::to_value(table.settings.as_ref().unwrap_or(&suite.settings));
    let dns = match table.dns.as_ref().or(suite.dns.as_ref()) {
        None => dns::Fake::new(),
        Some(records) => dns_file::parse(&records.get_ref().join("\n"))
            .map_err(|error| source.fault(records.span().start, format!("dns: {error:#}")))?,
    };
    let now = match &table.now {
        None => BEGINNING,
        Some(now) => instant(now.get_ref()).map_err(|why| source.fault(now.span().start, why))?,
    };
    let on_failure = match &table.on_failure {
        None => OnFailure::default(),
        Some(word) => match word.get_ref().as_str() {
            "tempfail" => OnFailure::Tempfail,
            "proceed" => OnFailure::Proceed,
            "quarantine" => OnFailure::Quarantine,
            _ => return Err(source.fault(word.span().start, "on-failure is tempfail, proceed or quarantine")),
        },
    };
    if table.refused.is_some() != table.steps.is_empty() {
        let why = format!("case \"{}\" has either steps or refused", table.name);
        return Err(source.fault(case.span().start, why));
    }
    let steps = table.steps.iter().map(|step| {
        let at = step.span().start;
        step_of(folder, step.get_ref(), source.line(at)).map_err(|why| source.fault(at, why))
    });
    Ok(Case {
        name: table.name.clone(),
        settings: settings.map_err(|error| source.fault(case.span().start, error))?,
        grants: grants_of(source, table.grants.as_ref().or(suite.grants.as_ref()))?,
        on_failure,
        now,
        dns: Arc::new(dns),
        http: table.http.clone(),
        clamd: table.clamd.clone(),
        limits: Limits::default(),
        own_limits: LimitOverrides::default(),
        kv: table.kv.clone(),
        refused: table.refused.clone(),
        steps: steps.collect::<Result<_, _>>()?,
    })
}

fn grants_of(source: &Source<'_>, table: Option<&Spanned<GrantsTable>>) -> Result<Grants, BadInput> {
    let Some(table) = table else { return Ok(Grants::default()) };
    let GrantsTable { kv, dns, http, clamd, submit } = table.get_ref();
    let clamd = clamd.as_deref().map(FilterAddress::parse).transpose();
    let clamd = clamd.map_err(|error| source.fault(table.span().start, format!("grants.clamd {error}")))?;
    let hosts = http.iter().map(|host| host.parse());
    let http = hosts.collect::<Result<_, _>>().map_err(|error: plugin_host::NoHttpHost| {
        source.fault(table.span().start, format!("grants.http: {error}"))
    })?;
    Ok(Grants { kv: *kv, dns: *dns, http, clamd, submit: *submit, ..Grants::default() })
}

/// `2026-01-01T12:00:00Z`
fn instant(text: &str) -> Result<Timestamp, String> {
    let time = humantime::parse_rfc3339(text).map_err(|error| format!("now: \"{text}\": {error}"))?;
    let since = time.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}

const VERDICTS: [&str; 7] =
    ["proceed", "accept", "reject", "tempfail", "discard", "quarantine", "disconnect"];

fn step_of(folder: &Path, table: &StepTable, line: usize) -> Result<Step, String> {
    if table.verdict.as_ref().is_some_and(|verdict| !VERDICTS.contains(&verdict.as_str())) {
        return Err(format!("verdict is one of {}", VERDICTS.join(", ")));
    }
    let mut acts = acts_of(folder, table)?;
    match (acts.len(), acts.pop()) {
        (1, Some(act)) => Ok(Step { line, act, expect: expect_of(table) }),
        _ => Err("a step is one of connect, ehlo, auth, mail, rcpt, message, text, disconnect, wait, route and outcome"
            .to_owned()),
    }
}

fn expect_of(table: &StepTable) -> Expect {
    Expect {
        verdict: table.verdict.clone(),
        reply: table.reply.clone(),
        log: table.log.clone(),
        headers: table.headers.clone(),
        body: table.body.clone(),
        body_contains: table.body_contains.clone(),
        body_ends: table.body_ends.clone(),
        unchanged: table.unchanged,
        sender: table.sender.clone(),
        recipients: table.recipients.clone(),
        refused: table.refused.clone(),
        held: table.held.clone(),
        fails: table.fails.clone(),
        next_hop: table.next_hop.clone(),
        hold: table.hold.clone(),
        delay_s: table.delay_s,
        submitted: table.submitted.clone(),
        asked: table.asked.clone(),
    }
}

/// Everything that the step says is to be done; it should be one thing.
fn acts_of(folder: &Path, table: &StepTable) -> Result<Vec<Act>, String> {
    let mut acts = Vec::new();
    if let Some(ip) = table.connect {
        let (name, tls, may_relay) = (table.name.clone(), table.tls.clone(), table.may_relay);
        let listener = table.listener.clone().unwrap_or_else(|| "mx".to_owned());
        acts.push(Act::Connect(Client { ip, name, listener, tls, may_relay }));
    }
    acts.extend(table.ehlo.clone().map(Act::Ehlo));
    if let Some(user) = table.auth.clone() {
        acts.push(Act::Auth {
            user,
            mechanism: table.mechanism.clone().unwrap_or_else(|| "PLAIN".to_owned()),
        });
    }
    if let Some(sender) = &table.mail {
        let sender = match sender.as_str() {
            "" | "<>" => None,
            text => Some(mailbox(text)?),
        };
        acts.push(Act::Mail { sender, params: params(&table.params) });
    }
    if let Some(recipient) = &table.rcpt {
        acts.push(Act::Rcpt { recipient: mailbox(recipient)?, params: params(&table.params) });
    }
    if let Some(file) = &table.message {
        let read = super::single::read_message(&folder.join(file));
        let content = read.map_err(|error| format!("{error:#}"))?;
        acts.push(Act::Message { content, findings: findings(table) });
    }
    if let Some(text) = &table.text {
        let content = super::single::with_crlf(text.as_bytes());
        acts.push(Act::Message { content, findings: findings(table) });
    }
    acts.extend(table.disconnect.map(|_| Act::Disconnect));
    if let Some(time) = &table.wait {
        let time = humantime::parse_duration(time).map_err(|error| format!("wait: \"{time}\": {error}"))?;
        acts.push(Act::Wait(time));
    }
    acts.extend(delivery(table)?);
    Ok(acts)
}

/// What sender authentication found of a message, by method.
fn findings(table: &StepTable) -> Vec<Finding> {
    let finding = |(method, result): (&String, &String)| Finding {
        method: method.clone(),
        result: result.clone(),
        domain: None,
        detail: String::new(),
    };
    table.findings.iter().map(finding).collect()
}

/// What a queue asks and tells.
fn delivery(table: &StepTable) -> Result<Vec<Act>, String> {
    let mut acts = Vec::new();
    let attempt = table.attempt.unwrap_or(1);
    if let Some(recipient) = &table.route {
        acts.push(Act::Route { recipient: mailbox(recipient)?, attempt });
    }
    if let Some(recipient) = &table.outcome {
        let kind = match table.kind.as_deref() {
            None | Some("delivered") => OutcomeKind::Delivered,
            Some("deferred") => OutcomeKind::Deferred,
            Some("bounced") => OutcomeKind::Bounced,
            Some("expired") => OutcomeKind::Expired,
            Some(_) => return Err("kind is delivered, deferred, bounced or expired".to_owned()),
        };
        let reply = table.said.clone().unwrap_or_else(|| "250 2.0.0 ok".to_owned());
        let (recipient, host) = (mailbox(recipient)?, table.host.clone());
        acts.push(Act::Outcome(OutcomeReport { recipient, kind, host, reply, attempt }));
    }
    Ok(acts)
}

/// `SIZE=100`, as in a command.
fn params(texts: &[String]) -> Vec<Param> {
    let parted = texts.iter().map(|text| match text.split_once('=') {
        Some((keyword, value)) => (keyword, Some(value.to_owned())),
        None => (text.as_str(), None),
    });
    parted.map(|(keyword, value)| Param { keyword: keyword.to_ascii_uppercase(), value }).collect()
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    Mailbox::parse(text.trim_matches(['<', '>']))
        .map_err(|error| format!("\"{text}\" is no address: {error}"))
}
