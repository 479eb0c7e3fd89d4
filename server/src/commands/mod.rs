//! What the commands do, one file each.

mod check;
mod dns_file;
mod line_diff;
pub(crate) mod output;
mod passwd;
mod plugin;
mod plugin_test;
mod queue;
mod relay;
mod server;

use anyhow::Result;

use crate::cli::{Cli, Command, ConfigFile, Plugin};
use crate::serve;

/// Carries out a command.
pub(crate) fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Serve(file) => serve::serve(file.config.as_deref()),
        Command::Check(file) => check::check(file.config.as_deref()),
        Command::Status(reading) => server::status(&reading),
        Command::Reload(reading) => server::reload(&reading),
        Command::Passwd(options) => passwd::passwd(&options),
        Command::Queue(command) => queue::queue(command),
        Command::Relay(command) => relay::relay(command),
        Command::Plugin(Plugin::List(reading)) => plugin::list(&reading),
        Command::Plugin(Plugin::Inspect { file, json }) => plugin::inspect(&file, json),
        Command::Plugin(Plugin::Test(options)) => plugin_test::test(&options),
    }
}

/// A connection to the server of this configuration.
fn connect(file: &ConfigFile) -> Result<admin::Client> {
    let config = config::Config::load(file.config.as_deref())?;
    Ok(admin::Client::connect(&config.data_dir)?)
}
