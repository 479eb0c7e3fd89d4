//! One message with the options of the command line: a case that expects nothing, shown from end to end.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use config::Config;
use hooks::FilterAddress;
use model::Mailbox;
use plugin_host::{Grants, Limits, PluginOptions};

use super::double::Journal;
use super::lab::Lab;
use super::mail::Clamd;
use super::report::Report;
use super::script::step;
use super::suite::{Act, Case, Client, Suite};
use crate::cli::{Grant, PluginTest};
use crate::commands::output::{print, print_json, size};
use crate::commands::{BadInput, dns_file};

/// Octets of a message that is read.
const MAX_MESSAGE_OCTETS: u64 = 256 << 20;

pub(super) fn run(test: &PluginTest) -> Result<()> {
    let plugin = test.file.as_ref().ok_or_else(|| BadInput("no plugin was named".to_owned()))?;
    let eml = test.eml.as_ref().or(test.message.as_ref()).context("no message was named")?;
    let journal = Journal::start();
    let lab = Lab::open(plugin)?;
    let (options, limits) = options(test, &lab.name)?;
    let mut steps = vec![
        step(Act::Connect(Client { ip: test.ip, listener: "test".to_owned(), ..Client::default() })),
        step(Act::Ehlo(test.ehlo.clone())),
        step(Act::Mail { sender: sender(&test.sender)?, params: Vec::new() }),
    ];
    for text in &test.rcpt {
        let recipient = mailbox(text).with_context(|| format!("--rcpt \"{text}\""))?;
        steps.push(step(Act::Rcpt { recipient, params: Vec::new() }));
    }
    steps.push(step(Act::Message { content: read_message(eml)?, findings: Vec::new() }));
    let case = Case {
        name: eml.display().to_string(),
        settings: options.settings,
        grants: options.grants,
        on_failure: options.on_failure,
        now: clock::wall(),
        dns: test.dns.as_deref().map_or_else(|| Ok(dns::Fake::new()), dns_file::read)?.into(),
        http: Vec::new(),
        clamd: Clamd::default(),
        limits,
        own_limits: options.limits,
        kv: Default::default(),
        refused: None,
        steps,
    };
    let suite = Suite { file: eml.clone(), plugin: None, cases: vec![case] };
    show(test, &lab.run(&suite, &journal)?)
}

/// A refusal is an answer like another here; only a plugin that fails, or is not loaded, makes the command fail.
fn show(test: &PluginTest, report: &Report) -> Result<()> {
    let case = report.cases.first().context("no case was run")?;
    if let Some(fault) = &case.fault {
        anyhow::bail!("{}: {fault}", report.plugin);
    }
    if test.reading.json {
        print_json(case)?;
    } else {
        let mut text = format!("hooks: {}\n", case.hooks.join(" "));
        case.write_steps(&mut text, "")?;
        if case.steps.iter().all(|step| step.message.is_none()) {
            text.push_str("the message was not taken\n");
        }
        text.push_str(&format!("memory: {} at most\n", size(case.peak_memory_octets)));
        print(&text)?;
    }
    let failure = case.steps.iter().find_map(|step| step.failure.clone());
    ensure!(case.failures == 0, "the plugin failed: {}", failure.unwrap_or_default());
    Ok(())
}

/// A message as it stands behind DATA.
pub(super) fn read_message(file: &Path) -> Result<Bytes, BadInput> {
    use std::io::Read;
    let fault = |why: String| BadInput(format!("{}: {why}", file.display()));
    let mut octets = Vec::new();
    let opened = std::fs::File::open(file).map_err(|error| fault(error.to_string()))?;
    opened.take(MAX_MESSAGE_OCTETS + 1).read_to_end(&mut octets).map_err(|error| fault(error.to_string()))?;
    if octets.len() as u64 > MAX_MESSAGE_OCTETS {
        return Err(fault("is larger than 256 MiB".to_owned()));
    }
    Ok(with_crlf(&octets))
}

/// Lines that end in a bare LF, as files have them, end in CRLF.
pub(super) fn with_crlf(octets: &[u8]) -> Bytes {
    let mut lines = Vec::with_capacity(octets.len() + octets.len() / 32);
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        let text = line.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        lines.extend_from_slice(text.unwrap_or(line));
        lines.extend_from_slice(b"\r\n");
    }
    lines.into()
}

fn mailbox(text: &str) -> Result<Mailbox> {
    Ok(Mailbox::parse(text.trim_matches(['<', '>']))?)
}

fn sender(text: &str) -> Result<Option<Mailbox>> {
    match text {
        "" | "<>" => Ok(None),
        text => mailbox(text).map(Some).with_context(|| format!("--sender \"{text}\"")),
    }
}

/// Every grant of a service that is made up without being told how.
pub(super) fn everything() -> Grants {
    let clamd = Some(FilterAddress::Unix("/run/clamav/clamd.ctl".into()));
    Grants { kv: true, dns: true, clamd, submit: true, ..Grants::default() }
}

/// The plugin's options: of the command line, else of the configuration, else everything granted.
fn options(test: &PluginTest, name: &str) -> Result<(PluginOptions, Limits)> {
    let mut options = PluginOptions { grants: everything(), ..PluginOptions::default() };
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
            clamd: everything().clamd.filter(|_| granted.contains(&Grant::Clamd)),
            submit: granted.contains(&Grant::Submit),
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
