//! The `waxwing` binary: the command line and the wiring of the rooms. No mail logic.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 wrong usage or a faulty test suite; `sendmail` as sysexits.h has it. Errors go to standard error.

mod cli;
mod commands;
mod drops;
mod logging;
mod privileges;
mod progress;
mod reload;
mod restart;
mod sandbox;
mod serve;
mod signals;
mod submission;
mod successor;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::commands::BadInput;
use crate::commands::output::is_broken_pipe;
use crate::commands::sendmail::{Called, Exit, Failed};

fn main() -> ExitCode {
    let (called, arguments) = commands::sendmail::invoked_as(std::env::args_os().collect());
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // There is nobody left to tell if this fails.
            let _ = error.print();
            let is_fault = error.use_stderr();
            return match called {
                Called::Sendmail if is_fault => ExitCode::from(Exit::Usage as u8),
                _ if is_fault => ExitCode::from(2),
                _ => ExitCode::SUCCESS,
            };
        }
    };
    match commands::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let faults = error.downcast_ref::<config::Faults>();
            let text = faults.map_or_else(|| format!("waxwing: {error:#}"), ToString::to_string);
            // There is nobody left to tell if this fails.
            let _ = writeln!(std::io::stderr(), "{text}");
            match (error.downcast_ref::<Failed>(), error.is::<BadInput>()) {
                (Some(failed), _) => ExitCode::from(failed.exit as u8),
                (None, true) => ExitCode::from(2),
                (None, false) => ExitCode::FAILURE,
            }
        }
    }
}
