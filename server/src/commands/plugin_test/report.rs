//! What came of a suite, for people and as JSON.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use plugin_host::{LoadError, PluginStatus};
use serde::Serialize;

use super::script::Seen;
use super::suite::Case;
use crate::commands::line_diff::{Line, diff};
use crate::commands::output::{printable, size};

/// A suite.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Report {
    pub(super) plugin: String,
    pub(super) suite: PathBuf,
    pub(super) cases: Vec<CaseReport>,
}

/// A case.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct CaseReport {
    pub(super) name: String,
    pub(super) passed: bool,
    /// What is wrong beside what its steps say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<String>,
    #[serde(skip)]
    file: PathBuf,
    pub(super) hooks: Vec<String>,
    pub(super) steps: Vec<Seen>,
    pub(super) took_ms: u64,
    pub(super) peak_memory_octets: u64,
    pub(super) failures: u64,
}

impl Report {
    pub(super) fn failed(&self) -> usize {
        self.cases.iter().filter(|case| !case.passed).count()
    }

    /// Cases in a line each; those that failed, or all, with what was asked and answered.
    pub(super) fn to_text(&self, verbose: bool) -> Result<String> {
        let mut text = String::new();
        for case in &self.cases {
            let word = if case.passed { "ok    " } else { "FAILED" };
            let memory = size(case.peak_memory_octets);
            writeln!(text, "{word} {} ({} ms, {memory})", printable(&case.name), case.took_ms)?;
            case.write_mismatches(&mut text)?;
            if verbose || !case.passed {
                case.write_steps(&mut text, "       ")?;
            }
        }
        writeln!(
            text,
            "{}: {} passed, {} failed",
            self.plugin,
            self.cases.len() - self.failed(),
            self.failed()
        )?;
        Ok(text)
    }
}

impl CaseReport {
    pub(super) fn of(file: &Path, case: &Case, steps: Vec<Seen>, plugin: Option<PluginStatus>) -> Self {
        let passed = steps.iter().all(|step| step.mismatches.is_empty());
        let plugin = plugin.map(|plugin| (plugin.hooks, plugin.peak_memory_octets, plugin.failures));
        let (hooks, peak_memory_octets, failures) = plugin.unwrap_or_default();
        let file = file.to_owned();
        Self {
            name: case.name.clone(),
            passed,
            file,
            hooks,
            steps,
            peak_memory_octets,
            failures,
            ..Self::default()
        }
    }

    /// The file was refused, as it should be.
    pub(super) fn refused(case: &Case, error: &LoadError) -> Self {
        let step =
            Seen { hook: "init", verdict: "refused", text: Some(error.to_string()), ..Seen::default() };
        Self { name: case.name.clone(), passed: true, steps: vec![step], ..Self::default() }
    }

    pub(super) fn broken(case: &Case, fault: String) -> Self {
        Self { name: case.name.clone(), fault: Some(fault), ..Self::default() }
    }

    pub(super) fn after(self, took: Duration) -> Self {
        Self { took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX), ..self }
    }

    fn write_mismatches(&self, text: &mut String) -> Result<()> {
        if let Some(fault) = &self.fault {
            writeln!(text, "  {}", printable(fault))?;
        }
        for step in &self.steps {
            for mismatch in &step.mismatches {
                let place = match step.line {
                    0 => String::new(),
                    line => format!("{}:{line}: ", self.file.display()),
                };
                writeln!(text, "  {place}{} {}: {}", step.hook, printable(&step.about), printable(mismatch))?;
            }
        }
        Ok(())
    }

    /// What was asked and answered, with what was logged and changed.
    pub(super) fn write_steps(&self, text: &mut String, indent: &str) -> Result<()> {
        for step in self.steps.iter().filter(|step| !step.hook.is_empty()) {
            write!(text, "{indent}{:10} {:11}", step.hook, step.verdict)?;
            let about = Some(step.about.as_str()).filter(|about| !about.is_empty());
            for part in [step.text.as_deref(), about].into_iter().flatten() {
                write!(text, " {} ", printable(part))?;
            }
            writeln!(text, " {} us", step.took_us)?;
            if let Some(failure) = &step.failure {
                writeln!(text, "{indent}           failed: {}", printable(failure))?;
            }
            for line in &step.log {
                writeln!(text, "{indent}           {}: {}", line.level, printable(&line.text))?;
            }
            for (word, list) in [("refused", &step.refused), ("held", &step.held)] {
                for (address, why) in list {
                    writeln!(text, "{indent}           {word} alone: {address}: {}", printable(why))?;
                }
            }
            let way = [
                ("next hop", step.next_hop.clone()),
                ("hold", step.hold.clone()),
                ("delay", step.delay_s.map(|s| format!("{s} s"))),
            ];
            for (word, value) in way {
                if let Some(value) = value {
                    writeln!(text, "{indent}           {word}: {}", printable(&value))?;
                }
            }
            for url in &step.asked {
                writeln!(text, "{indent}           asked: {}", printable(url))?;
            }
            write_change(text, indent, step)?;
            for message in &step.submitted {
                let mark = message.auto_submitted.map(|mark| format!(", {mark}")).unwrap_or_default();
                let (sender, recipients) = (printable(&message.sender), message.recipients.join(" "));
                writeln!(text, "{indent}submitted: from <{sender}> to {}{mark}", printable(&recipients))?;
                for line in message.content.lines() {
                    writeln!(text, "{indent} {}", printable(line))?;
                }
            }
        }
        Ok(())
    }
}

/// The message as a difference, when it was taken.
fn write_change(text: &mut String, indent: &str, step: &Seen) -> Result<()> {
    let (Some(original), Some(message)) = (&step.original, &step.message) else { return Ok(()) };
    writeln!(text, "{indent}recipients: {}", step.recipients.join(" "))?;
    if original == message {
        writeln!(text, "{indent}message: unchanged")?;
        return Ok(());
    }
    writeln!(text, "{indent}message:")?;
    for line in diff(original, message) {
        match line {
            Line::Same(line) => writeln!(text, "{indent} {}", printable(line))?,
            Line::Removed(line) => writeln!(text, "{indent}-{}", printable(line))?,
            Line::Added(line) => writeln!(text, "{indent}+{}", printable(line))?,
            Line::More(count) => writeln!(text, "{indent} and {count} lines more")?,
        }
    }
    Ok(())
}
