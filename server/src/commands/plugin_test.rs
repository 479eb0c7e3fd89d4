//! `plugin test`: a plugin in the real host, on a scripted session, with services that the test makes up.
//!
//! A suite is a TOML file; docs/plugins/testing.md describes it. Without one, a message and the options of the command line make a single
//! case that expects nothing.
//!
//! Exit codes: 0 everything was as expected, 1 something was not or the plugin failed, 2 the suite itself is at fault.

mod bench;
mod double;
mod expectation;
mod lab;
mod mail;
mod report;
mod script;
mod single;
mod suite;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

pub(super) use bench::bench;

use super::output::{print, print_json};
use crate::cli::PluginTest;
use crate::commands::BadInput;
use double::Journal;
use lab::Lab;
use suite::Suite;

/// The name that a suite has when none is given.
const SUITE: &str = "plugin-test.toml";

pub(crate) fn test(test: &PluginTest) -> Result<()> {
    if test.eml.is_some() || test.message.is_some() {
        return single::run(test);
    }
    let file = find_suite(test)?;
    let suite = Suite::read(&file)?;
    let plugin = test.file.clone().or_else(|| suite.plugin.clone()).ok_or_else(|| {
        BadInput(format!("{}: it names no plugin, and neither does the command line", file.display()))
    })?;
    let journal = Journal::start();
    let lab = Lab::open(&plugin)?;
    let report = lab.run(&suite, &journal)?;
    match test.reading.json {
        true => print_json(&report)?,
        false => print(&report.to_text(test.verbose)?)?,
    }
    let failed = report.failed();
    ensure!(failed == 0, "{failed} of {} cases failed", report.cases.len());
    Ok(())
}

/// The suite that was named, else the one beside the plugin, else the one here.
fn find_suite(test: &PluginTest) -> Result<PathBuf> {
    if let Some(file) = &test.suite {
        return Ok(file.clone());
    }
    let beside = test.file.as_deref().and_then(Path::parent).map(|folder| folder.join(SUITE));
    let found = beside.into_iter().chain([PathBuf::from(SUITE)]).find(|file| file.is_file());
    let missing = || BadInput(format!("there is no {SUITE} here: name a suite with --suite, or a message"));
    Ok(found.ok_or_else(missing)?)
}
