//! `plugin test`: one plugin, one message, one scripted session, in the real host with services of its own.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use config::Config;
use hooks::{Answer, Hooks, Protocol, Request, SessionFacts, SessionHooks, Stage, TransactionFacts, Verdict};
use model::{Content, Envelope, Mailbox, QueueId, Reply, ReversePath, SessionId};
use plugin_host::{Grants, Limits, PluginHost, PluginOptions, Services};
use serde::Serialize;

use super::check::Scratch;
use super::dns_file;
use super::line_diff::{Line, diff};
use super::output::{print, print_json, printable, size};
use crate::cli::{Grant, PluginTest};
use crate::logging;

/// Octets of a message that is read.
const MAX_MESSAGE_OCTETS: u64 = 256 << 20;

/// What the session came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Outcome {
    hooks: Vec<String>,
    steps: Vec<Step>,
    /// The envelope's recipients in the end; absent when the message was not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipients: Option<Vec<String>>,
    /// The message in the end, when the plugin changed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip)]
    original: String,
    peak_memory_octets: u64,
    failures: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

/// One question and its answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Step {
    hook: &'static str,
    about: String,
    verdict: &'static str,
    /// The reply or the reason, as far as there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    took_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

pub(crate) fn test(test: &PluginTest) -> Result<()> {
    logging::for_a_command();
    let eml = test.eml.as_ref().or(test.message.as_ref()).context("no message was named")?;
    let content = read_message(eml)?;
    let name = test.file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let (options, limits) = options(test, &name)?;
    let resolver = test.dns.as_deref().map_or_else(|| Ok(dns::Fake::new()), dns_file::read)?;
    let scratch = Scratch::new()?;
    let services =
        Services { kv: Some(scratch.key_value()), dns: Some(Arc::new(resolver)), ..Services::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(async {
        let loaded = PluginHost::of_file(&test.file, &name, options, limits, services).await?;
        let host = loaded.with_context(|| test.file.display().to_string())?;
        Script::begin(test, &host)?.run(test, content).await
    })?;
    match test.reading.json {
        true => print_json(&outcome)?,
        false => print(&outcome.to_text()?)?,
    }
    ensure!(outcome.failures == 0, "the plugin failed: {}", outcome.last_error.unwrap_or_default());
    Ok(())
}

/// A message as it stands behind DATA: lines that end in a bare LF, as files have them, end in CRLF.
fn read_message(file: &Path) -> Result<Bytes> {
    use std::io::Read;
    let named = || file.display().to_string();
    let mut octets = Vec::new();
    std::fs::File::open(file)
        .with_context(named)?
        .take(MAX_MESSAGE_OCTETS + 1)
        .read_to_end(&mut octets)
        .with_context(named)?;
    ensure!(octets.len() as u64 <= MAX_MESSAGE_OCTETS, "{}: is larger than 256 MiB", named());
    let mut lines = Vec::with_capacity(octets.len() + octets.len() / 32);
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        let text = line.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        lines.extend_from_slice(text.unwrap_or(line));
        lines.extend_from_slice(b"\r\n");
    }
    Ok(lines.into())
}

/// The plugin's options: of the command line, else of the configuration, else everything granted.
fn options(test: &PluginTest, name: &str) -> Result<(PluginOptions, Limits)> {
    let everything = Grants { kv: true, dns: true, ..Grants::default() };
    let mut options = PluginOptions { grants: everything, ..PluginOptions::default() };
    let mut limits = Limits::default();
    let named = test.reading.file.config.as_deref();
    if named.is_some() || Path::new("waxwing.toml").exists() {
        let config = Config::load(named.or(Some(Path::new("waxwing.toml"))))?;
        limits = config.plugins.limits;
        if let Some(configured) = config.plugins.plugins.get(name) {
            options = PluginOptions { enabled: true, ..configured.clone() };
        }
    }
    if let Some(granted) = &test.grant {
        options.grants = Grants {
            kv: granted.contains(&Grant::Kv),
            dns: granted.contains(&Grant::Dns),
            ..Grants::default()
        };
    }
    let settings = match &test.settings_file {
        Some(file) => Some(std::fs::read_to_string(file).with_context(|| file.display().to_string())?),
        None => test.settings.clone(),
    };
    if let Some(settings) = settings {
        options.settings = serde_json::from_str(&settings).context("the settings are no JSON")?;
        ensure!(options.settings.is_object(), "the settings are no JSON object");
    }
    Ok((options, limits))
}

/// The session under way.
struct Script<'a> {
    host: &'a PluginHost,
    hooks: Box<dyn SessionHooks>,
    session: SessionFacts,
    transaction: TransactionFacts,
    steps: Vec<Step>,
}

impl<'a> Script<'a> {
    fn begin(test: &PluginTest, host: &'a PluginHost) -> Result<Self> {
        let sender = match test.sender.trim_matches(['<', '>']) {
            "" => ReversePath::Null,
            text => {
                ReversePath::Mailbox(Mailbox::parse(text).with_context(|| format!("--sender \"{text}\""))?)
            }
        };
        let session = SessionFacts {
            id: SessionId(1),
            listener: "test".into(),
            peer: SocketAddr::new(test.ip, 40_000),
            peer_name: None,
            helo: None,
            protocol: Protocol::default(),
            tls: None,
            auth_user: None,
            auth_mechanism: None,
            may_relay: false,
            server_name: "mx.example.org".into(),
            local: SocketAddr::from((Ipv4Addr::LOCALHOST, 25)),
        };
        let transaction = TransactionFacts {
            id: QueueId(1),
            envelope: Envelope::new(sender, Vec::new()),
            content: None,
            findings: Vec::new(),
        };
        Ok(Self { host, hooks: host.begin(), session, transaction, steps: Vec::new() })
    }

    async fn run(mut self, test: &PluginTest, content: Bytes) -> Result<Outcome> {
        let original = String::from_utf8_lossy(&content).into_owned();
        let taken = self.transact(test, content).await?;
        self.ask(Request::Disconnect, "", false).await;
        let status = self.host.status();
        let plugin = status.plugins.first().context("the plugin is not loaded any more")?;
        let envelope = &self.transaction.envelope;
        let addresses =
            || envelope.recipients.iter().map(|recipient| recipient.address.to_string()).collect();
        let message =
            self.transaction.content.as_ref().filter(|_| taken).map(Content::to_bytes).transpose()?;
        let message = message.map(|octets| String::from_utf8_lossy(&octets).into_owned());
        Ok(Outcome {
            hooks: plugin.hooks.clone(),
            recipients: taken.then(addresses),
            message: message.filter(|message| *message != original),
            original,
            peak_memory_octets: plugin.peak_memory_octets,
            failures: plugin.failures,
            last_error: plugin.last_error.clone(),
            steps: self.steps,
        })
    }

    /// One session with one message; says whether it was taken.
    async fn transact(&mut self, test: &PluginTest, content: Bytes) -> Result<bool> {
        let peer = test.ip.to_string();
        if !self.ask(Request::Connect, &peer, false).await {
            return Ok(false);
        }
        self.session.helo = Some(test.ehlo.clone());
        self.session.protocol = Protocol::Esmtp;
        if !self.ask(Request::Ehlo { name: &test.ehlo }, &test.ehlo, false).await {
            return Ok(false);
        }
        let sender = self.transaction.envelope.sender.clone();
        let about = sender.mailbox().map_or_else(|| "<>".to_owned(), ToString::to_string);
        if !self.ask(Request::Mail { sender: &sender, params: &[] }, &about, true).await {
            return Ok(false);
        }
        for text in &test.rcpt {
            let recipient = Mailbox::parse(text.trim_matches(['<', '>']))
                .with_context(|| format!("--rcpt \"{text}\""))?;
            let envelope = &mut self.transaction.envelope;
            let id = envelope.add_recipient(recipient.clone(), recipient.clone(), Vec::new());
            if !self.ask(Request::Rcpt { recipient: &recipient, params: &[] }, text, true).await {
                self.transaction.envelope.remove_recipient(id);
            }
        }
        if self.transaction.envelope.recipients.is_empty() || !self.ask(Request::Data, "", true).await {
            return Ok(false);
        }
        let about = size(content.len() as u64);
        self.transaction.content = Some(Content::from(content));
        Ok(self.ask(Request::Message, &about, true).await)
    }

    /// Asks, when the plugin has that hook; says whether the session goes on.
    async fn ask(&mut self, request: Request<'_>, about: &str, in_transaction: bool) -> bool {
        let stage = request.stage();
        if !self.hooks.stages().contains(stage) {
            return true;
        }
        let session = Arc::new(self.session.clone());
        let transaction = in_transaction.then(|| Arc::new(self.transaction.clone()));
        let failures = |host: &PluginHost| host.status().plugins.first().map_or(0, |plugin| plugin.failures);
        let (before, began) = (failures(self.host), clock::now());
        let Answer { verdict, envelope, content, .. } =
            self.hooks.ask(request, &session, transaction.as_ref()).await;
        let took = clock::now().duration_since(began);
        let failed = failures(self.host) > before;
        let goes_on = !matches!(verdict, Verdict::Reject(_) | Verdict::TempFail(_) | Verdict::Disconnect(_));
        if goes_on {
            self.transaction.envelope = envelope.unwrap_or_else(|| self.transaction.envelope.clone());
            self.transaction.content = content.or(self.transaction.content.take());
        }
        let last_error = || self.host.status().plugins.first().and_then(|plugin| plugin.last_error.clone());
        let failure = if failed { last_error() } else { None };
        self.steps.push(Step::of(stage, about, &verdict, took, failure));
        goes_on
    }
}

impl Step {
    fn of(stage: Stage, about: &str, verdict: &Verdict, took: Duration, failure: Option<String>) -> Self {
        let said = |reply: &Reply| {
            let status = reply.status.map(|status| format!(" {status}")).unwrap_or_default();
            format!("{}{status} {}", reply.code, reply.text)
        };
        let text = match verdict {
            Verdict::Proceed | Verdict::Accept => None,
            Verdict::Reject(reply) | Verdict::TempFail(reply) | Verdict::Disconnect(reply) => {
                Some(said(reply))
            }
            Verdict::Discard(reason) | Verdict::Quarantine(reason) => Some(reason.clone()),
        };
        Self {
            hook: stage.name(),
            about: about.to_owned(),
            verdict: verdict.name(),
            text,
            took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            failure,
        }
    }
}

impl Outcome {
    fn to_text(&self) -> Result<String> {
        let mut text = format!("hooks: {}\n", self.hooks.join(" "));
        for step in &self.steps {
            write!(text, "{:10} {:11}", step.hook, step.verdict)?;
            let about = Some(step.about.as_str()).filter(|about| !about.is_empty());
            for part in [step.text.as_deref(), about].into_iter().flatten() {
                write!(text, " {} ", printable(part))?;
            }
            writeln!(text, " {} us", step.took_us)?;
            if let Some(failure) = &step.failure {
                writeln!(text, "           failed: {}", printable(failure))?;
            }
        }
        match &self.recipients {
            Some(recipients) => writeln!(text, "recipients: {}", recipients.join(" "))?,
            None => writeln!(text, "the message was not taken")?,
        }
        writeln!(text, "memory: {} at most", size(self.peak_memory_octets))?;
        if let Some(message) = &self.message {
            text.push_str("message:\n");
            for line in diff(&self.original, message) {
                match line {
                    Line::Same(line) => writeln!(text, " {}", printable(line))?,
                    Line::Removed(line) => writeln!(text, "-{}", printable(line))?,
                    Line::Added(line) => writeln!(text, "+{}", printable(line))?,
                    Line::More(count) => writeln!(text, " and {count} lines more")?,
                }
            }
        } else if self.recipients.is_some() {
            text.push_str("message: unchanged\n");
        }
        Ok(text)
    }
}
