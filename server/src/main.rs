//! The `waxwing` binary: the command line and the wiring of the rooms. No mail logic.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 wrong usage or a faulty test suite. Errors go to standard error.

mod cli;
mod commands;
mod logging;
mod privileges;
mod reload;
mod sandbox;
mod serve;
mod signals;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::commands::BadInput;
use crate::commands::output::is_broken_pipe;

fn main() -> ExitCode {
    match commands::run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let faults = error.downcast_ref::<config::Faults>();
            let text = faults.map_or_else(|| format!("waxwing: {error:#}"), ToString::to_string);
            // There is nobody left to tell if this fails.
            let _ = writeln!(std::io::stderr(), "{text}");
            match error.is::<BadInput>() {
                true => ExitCode::from(2),
                false => ExitCode::FAILURE,
            }
        }
    }
}
