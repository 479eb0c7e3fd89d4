//! The language's tools: run in the project's folder, silent unless they fail.

use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::Fault;

/// Lines of what a tool said that are shown when it failed.
pub const SAID_LINES: usize = 40;

/// A tool that runs in a folder.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Whether the tool is there and answers this.
pub(crate) fn answers(program: &str, arguments: &[&str], folder: &Path) -> Option<String> {
    let output = command(program, folder).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a tool to its end. One that is not there is said with the sentence for it.
pub(crate) fn run(command: &mut Command, missing: &str) -> Result<Output, Fault> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Fault::Missing(missing.to_owned()),
        _ => Fault::Tool { tool: tool.clone(), said: error.to_string() },
    })?;
    if output.status.success() {
        return Ok(output);
    }
    let said = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let said = lines[lines.len().saturating_sub(SAID_LINES)..].join("\n");
    Err(Fault::Tool { tool, said })
}
