//! `reload` and `restart`.

use std::fmt::Write;
use std::time::Duration;

use admin::{ClientError, Reloaded, Request, ServerStatus};
use anyhow::{Result, bail, ensure};
use serde_json::json;

use super::connect;
use super::output::{print, print_json, printable};
use crate::cli::Reading;
use crate::progress::Progress;

/// How long a server may take to stop and to begin anew: it has 30 s to stop, and reads its queue.
const RESTART_PATIENCE: Duration = Duration::from_secs(120);
/// How often it is asked whether it has begun.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What SIGHUP does, with the answer.
pub(crate) fn reload(reading: &Reading) -> Result<()> {
    let mut client = connect(&reading.file)?;
    let progress = Progress::waiting("reading the configuration and the plugins");
    let reloaded: Reloaded = client.call(&Request::Reload)?;
    drop(progress);
    if reading.json {
        print_json(&reloaded)?;
    } else {
        let mut text = "reloaded\n".to_owned();
        for what in &reloaded.opened {
            writeln!(text, "listens: {}", printable(what))?;
        }
        for what in &reloaded.closed {
            writeln!(text, "does not listen any more: {}", printable(what))?;
        }
        for what in &reloaded.needs_restart {
            writeln!(text, "counts after a restart: {what}")?;
        }
        for refused in &reloaded.refused {
            writeln!(text, "refused: {}", printable(refused))?;
        }
        print(&text)?;
    }
    ensure!(reloaded.refused.is_empty(), "the configuration counts, but not every plugin was taken");
    Ok(())
}

/// What SIGUSR2 does, until the server is there again.
pub(crate) fn restart(reading: &Reading) -> Result<()> {
    let before: ServerStatus = connect(&reading.file)?.call(&Request::Restart)?;
    let progress =
        Progress::waiting("waiting for sessions and deliveries to finish, and for the server to begin anew");
    let asked = clock::now();
    let after = loop {
        match connect(&reading.file).map(|mut client| client.call::<ServerStatus>(&Request::Status)) {
            Ok(Ok(status)) if status.started != before.started => break status,
            // It says why it cannot be asked, such as that there is no right to.
            Ok(Err(ClientError::Refused(sentence))) => bail!(sentence),
            _ if clock::now().duration_since(asked) < RESTART_PATIENCE => std::thread::sleep(LOOK_EVERY),
            _ => bail!(
                "the server has not begun anew within {} s; its log says why",
                RESTART_PATIENCE.as_secs()
            ),
        }
    };
    drop(progress);
    match reading.json {
        true => print_json(&json!({ "pid": after.pid, "started": after.started })),
        false => print(&format!("began anew as process {}\n", after.pid)),
    }
}
