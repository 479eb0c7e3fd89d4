//! `plugin bench`: what a plugin costs, hook by hook, in CPU time of this process.
//!
//! The numbers are means over as many calls as fit into the time; the store, the network and the clock are made up, so that what is
//! measured is the plugin, its calls into the host and the host itself.
//! Calls into the host are those of `waxwing:mail`; what languages' runtimes ask of WASI is not counted.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hooks::{Hooks, Protocol, Request, SessionFacts, SessionHooks, Stage, TransactionFacts};
use model::{Content, Mailbox, ReversePath};
use plugin_host::{LimitOverrides, Limits, OnFailure, PluginStatus};
use serde::Serialize;

use super::lab::{Bench, Lab};
use super::mail::Clamd;
use super::script::{session, transaction};
use super::single::{everything, read_message};
use super::suite::{Case, Client};
use crate::cli::PluginBench;
use crate::commands::BadInput;
use crate::commands::output::{print, print_json, size, table};

/// Octets of the message that is made up.
const MESSAGE_OCTETS: usize = 5 << 10;

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Costs {
    plugin: String,
    octets: u64,
    /// Milliseconds until the plugin was loaded: compiled, and from the cache.
    load_ms: f64,
    cached_load_ms: f64,
    /// A session in which no hook is asked, and one with an instance and the first of its hooks.
    session: Option<Cost>,
    /// A session from connect to disconnect, with one message.
    message: Cost,
    hooks: Vec<HookCost>,
    peak_memory_octets: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct HookCost {
    hook: &'static str,
    #[serde(flatten)]
    cost: Cost,
    #[serde(flatten)]
    used: Used,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Cost {
    calls: u64,
    /// Means.
    cpu_us: f64,
    wall_us: f64,
}

/// What one call asks of the host: means.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Used {
    host_calls: f64,
    /// Octets of the body: read, searched, digested and decoded; and written.
    body_read_octets: f64,
    body_written_octets: f64,
}

impl Used {
    /// All that the plugin has used so far.
    fn so_far(bench: &Bench) -> Self {
        let status = bench.host.status();
        let of = |count: fn(&PluginStatus) -> u64| status.plugins.first().map_or(0, count) as f64;
        Self {
            host_calls: of(|plugin| plugin.host_calls),
            body_read_octets: of(|plugin| plugin.body_read_octets),
            body_written_octets: of(|plugin| plugin.body_written_octets),
        }
    }

    /// What was used since, over this many calls.
    fn since(before: Self, bench: &Bench, calls: u64) -> Self {
        let (now, calls) = (Self::so_far(bench), calls as f64);
        Self {
            host_calls: (now.host_calls - before.host_calls) / calls,
            body_read_octets: (now.body_read_octets - before.body_read_octets) / calls,
            body_written_octets: (now.body_written_octets - before.body_written_octets) / calls,
        }
    }
}

pub(crate) fn bench(options: &PluginBench) -> Result<()> {
    let content = match &options.message {
        Some(file) => read_message(file)?,
        None => made_up(),
    };
    let settings = options.settings.as_deref().map_or(Ok(serde_json::Value::Null), serde_json::from_str);
    let settings = settings.map_err(|error| BadInput(format!("--settings: {error}")))?;
    let case = Case {
        name: String::new(),
        settings,
        grants: everything(),
        on_failure: OnFailure::default(),
        now: clock::wall(),
        dns: Arc::new(dns::Fake::new()),
        http: Vec::new(),
        clamd: Clamd::default(),
        limits: Limits::default(),
        own_limits: LimitOverrides::default(),
        kv: Default::default(),
        refused: None,
        steps: Vec::new(),
    };
    let lab = Lab::open(&options.file)?;
    let open = || {
        let began = clock::now();
        let opened = lab.open_host(&case)?;
        let bench = opened.with_context(|| options.file.display().to_string())?;
        anyhow::Ok((bench, clock::now().duration_since(began).as_secs_f64() * 1e3))
    };
    let (first, load_ms) = open()?;
    drop(first);
    let (bench, cached_load_ms) = open()?;
    let costs = lab.block_on(measure(&bench, &content, Duration::from_millis(options.time)))?;
    let costs = Costs { plugin: lab.name.clone(), load_ms, cached_load_ms, ..costs };
    match options.json {
        true => print_json(&costs),
        false => print(&costs.to_text()?),
    }
}

/// A message as people write them.
fn made_up() -> Bytes {
    let mut text = "From: Ann <ann@example.com>\r\nTo: Alice <alice@example.org>\r\nSubject: lunch\r\n\
        Date: Mon, 05 Jan 2026 12:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n\r\n"
        .to_owned();
    while text.len() < MESSAGE_OCTETS {
        text.push_str("The quick brown fox jumps over the lazy dog, and then it does so once more.\r\n");
    }
    text.into()
}

async fn measure(bench: &Bench, content: &Bytes, time: Duration) -> Result<Costs> {
    let visit = Visit::new(content)?;
    let stages = bench.host.begin().stages();
    let first =
        Stage::ALL.into_iter().find(|stage| stages.contains(*stage) && visit.request(*stage).is_some());
    let session = match first {
        Some(stage) => Some(repeat(time, async || visit.ask(&mut *bench.host.begin(), stage).await).await?),
        None => None,
    };
    let message = repeat(time, async || {
        let mut hooks = bench.host.begin();
        for stage in Stage::ALL.into_iter().filter(|stage| stages.contains(*stage)) {
            visit.ask(&mut *hooks, stage).await;
        }
    });
    let message = message.await?;
    let mut hooks = Vec::new();
    for stage in
        Stage::ALL.into_iter().filter(|stage| stages.contains(*stage) && visit.request(*stage).is_some())
    {
        let mut live = bench.host.begin();
        visit.ask(&mut *live, stage).await;
        let before = Used::so_far(bench);
        let cost = repeat(time, async || visit.ask(&mut *live, stage).await).await?;
        let used = Used::since(before, bench, cost.calls);
        hooks.push(HookCost { hook: stage.name(), cost, used });
    }
    let status = bench.host.status();
    let plugin = status.plugins.first().context("the plugin is not loaded any more")?;
    ensure!(plugin.failures == 0, "the plugin failed: {}", plugin.last_error.clone().unwrap_or_default());
    let (octets, peak_memory_octets) = (plugin.size, plugin.peak_memory_octets);
    Ok(Costs {
        plugin: String::new(),
        octets,
        load_ms: 0.0,
        cached_load_ms: 0.0,
        session,
        message,
        hooks,
        peak_memory_octets,
    })
}

/// Calls again and again, until the time is over.
async fn repeat(time: Duration, mut call: impl AsyncFnMut()) -> Result<Cost> {
    let (began, cpu, mut calls) = (clock::now(), cpu_time()?, 0);
    loop {
        call().await;
        calls += 1;
        let wall = clock::now().duration_since(began);
        if wall >= time {
            let each = |whole: Duration| whole.as_secs_f64() * 1e6 / calls as f64;
            return Ok(Cost { calls, cpu_us: each(cpu_time()?.saturating_sub(cpu)), wall_us: each(wall) });
        }
    }
}

/// CPU time of all threads of this process.
fn cpu_time() -> Result<Duration> {
    let mut nanoseconds = 0;
    for task in std::fs::read_dir("/proc/self/task").context("CPU time cannot be read")? {
        // A thread may be gone by now.
        let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        nanoseconds += text.split(' ').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// One client's visit, made ready once.
struct Visit {
    session: Arc<SessionFacts>,
    empty: Arc<TransactionFacts>,
    whole: Arc<TransactionFacts>,
    sender: ReversePath,
    recipient: Mailbox,
}

impl Visit {
    fn new(content: &Bytes) -> Result<Self> {
        let recipient = Mailbox::parse("alice@example.org")?;
        let sender = ReversePath::Mailbox(Mailbox::parse("ann@example.com")?);
        let mut session = session(1, &Client::default());
        session.helo = Some("client.example.com".to_owned());
        session.protocol = Protocol::Esmtp;
        let mut empty = transaction(1, sender.clone(), Vec::new());
        empty.envelope.add_recipient(recipient.clone(), recipient.clone(), Vec::new());
        let whole = TransactionFacts { content: Some(Content::from(content.clone())), ..empty.clone() };
        Ok(Self { session: session.into(), empty: empty.into(), whole: whole.into(), sender, recipient })
    }

    /// The question of a stage; nothing for what a queue asks.
    fn request(&self, stage: Stage) -> Option<Request<'_>> {
        Some(match stage {
            Stage::Connect => Request::Connect,
            Stage::Ehlo => Request::Ehlo { name: "client.example.com" },
            Stage::Auth => Request::Auth { mechanism: "PLAIN", user: "ann" },
            Stage::Mail => Request::Mail { sender: &self.sender, params: &[] },
            Stage::Rcpt => Request::Rcpt { recipient: &self.recipient, params: &[] },
            Stage::Data => Request::Data,
            Stage::Message => Request::Message,
            Stage::Disconnect => Request::Disconnect,
            Stage::Route | Stage::Outcome => return None,
        })
    }

    async fn ask(&self, hooks: &mut dyn SessionHooks, stage: Stage) {
        let Some(request) = self.request(stage) else { return };
        let transaction = match stage {
            Stage::Mail | Stage::Rcpt | Stage::Data => Some(&self.empty),
            Stage::Message => Some(&self.whole),
            _ => None,
        };
        hooks.ask(request, &self.session, transaction).await;
    }
}

impl Costs {
    fn to_text(&self) -> Result<String> {
        let row = |name: &str, cost: &Cost, used: Option<&Used>| {
            let used = used
                .map_or([0.0; 3], |used| [used.host_calls, used.body_read_octets, used.body_written_octets]);
            let used = used.map(|mean| if mean == 0.0 { "-".to_owned() } else { format!("{mean:.0}") });
            let cost =
                [cost.calls.to_string(), format!("{:.1}", cost.cpu_us), format!("{:.1}", cost.wall_us)];
            [name.to_owned()].into_iter().chain(cost).chain(used).collect()
        };
        let hook = |hook: &HookCost| row(hook.hook, &hook.cost, Some(&hook.used));
        let mut rows: Vec<Vec<String>> = self.hooks.iter().map(hook).collect();
        rows.extend(self.session.as_ref().map(|cost| row("first hook of a session", cost, None)));
        rows.push(row("session with a message", &self.message, None));
        let columns = ["WHAT", "CALLS", "CPU US", "WALL US", "HOST CALLS", "BODY READ", "BODY WRITTEN"];
        let mut text = table(&columns, &rows);
        writeln!(
            text,
            "size {}, loaded in {:.0} ms, from the cache in {:.1} ms",
            size(self.octets),
            self.load_ms,
            self.cached_load_ms
        )?;
        writeln!(text, "memory {} at most", size(self.peak_memory_octets))?;
        Ok(text)
    }
}
