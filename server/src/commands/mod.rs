//! What the commands do, one file each.

mod check;
mod dkim;
mod dns_file;
mod domain;
mod init;
mod line_diff;
mod manual;
pub(crate) mod output;
mod passwd;
mod plugin;
mod plugin_project;
mod plugin_test;
mod plugins;
mod queue;
mod relay;
pub(crate) mod sendmail;
mod server;
mod status;
mod token;
mod trace;

use anyhow::Result;

use crate::cli::{Cli, Command, ConfigFile, Dkim, Domain, Plugin, Token};
use crate::serve;

/// Carries out a command.
pub(crate) fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Serve(file) => serve::serve(file.config.as_deref()),
        Command::Check(options) => check::check(&options),
        Command::Init(options) => init::init(&options),
        Command::Completions(options) => manual::completions(&options),
        Command::Manual(options) => manual::manual(&options),
        Command::Status(reading) => status::status(&reading),
        Command::Trace(options) => trace::trace(&options),
        Command::Reload(reading) => server::reload(&reading),
        Command::Restart(reading) => server::restart(&reading),
        Command::Passwd(options) => passwd::passwd(&options),
        Command::Token(Token::New(options)) => token::new(&options),
        Command::Dkim(Dkim::Generate(options)) => dkim::generate(&options),
        Command::Dkim(Dkim::Check(reading)) => dkim::check(&reading),
        Command::Domain(Domain::Check(options)) => domain::check(&options),
        Command::Sendmail(options) => sendmail::sendmail(&options),
        Command::Queue(command) => queue::queue(command),
        Command::Relay(command) => relay::relay(command),
        Command::Plugin(Plugin::List(reading)) => plugins::list(&reading),
        Command::Plugin(Plugin::Reload { name, reading }) => plugins::reload(name, &reading),
        Command::Plugin(Plugin::Rollback { name, to, reading }) => plugins::rollback(name, to, &reading),
        Command::Plugin(Plugin::Disable { name, reading }) => plugins::disable(name, &reading),
        Command::Plugin(Plugin::Enable { name, reading }) => plugins::enable(name, &reading),
        Command::Plugin(Plugin::Inspect { file, json }) => plugin::inspect(&file, json),
        Command::Plugin(Plugin::Test(options)) => plugin_test::test(&options),
        Command::Plugin(Plugin::Bench(options)) => plugin_test::bench(&options),
        Command::Plugin(Plugin::New { name, lang, dir, sdk }) => {
            plugin_project::begin(&name, &lang, dir.as_deref(), sdk.as_deref())
        }
        Command::Plugin(Plugin::Build { dir, into, output, debug }) => {
            plugin_project::build(&dir, into.as_deref(), output.as_deref(), debug)
        }
        Command::Plugin(Plugin::Bindings { dir, check }) => plugin_project::bindings(&dir, check),
    }
}

/// A connection to the server of this configuration. One that has a fault by now still tells where the server is.
fn connect(file: &ConfigFile) -> Result<admin::Client> {
    let data_dir = config::Config::data_dir(file.config.as_deref())?;
    Ok(admin::Client::connect(&data_dir)?)
}

/// What a command was given to read is at fault: exit code 2, as for wrong usage.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadInput(pub(crate) String);
