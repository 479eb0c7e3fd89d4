//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A mail server that WebAssembly plugins extend
#[derive(Debug, Parser)]
#[command(name = "waxwing", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server
    Serve(ConfigFile),
    /// Read the configuration, the certificates and the plugins as serve would, and say every fault
    Check(ConfigFile),
    /// Tell how the running server is
    Status(Reading),
    /// Look into the queue, and change what is in it
    #[command(subcommand)]
    Queue(Queue),
    /// Look at plugins, and try them
    #[command(subcommand)]
    Plugin(Plugin),
    /// Let an address send to other domains for a while, as after it has read its mail
    #[command(subcommand)]
    Relay(Relay),
    /// Ask for a password, and print the record that stands for it in the configuration
    Passwd(Passwd),
    /// Make the running server read its configuration again, as SIGHUP does, and say how that went
    Reload(Reading),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigFile {
    /// The configuration [default: ./waxwing.toml, then /etc/waxwing/waxwing.toml]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// What every command has that asks the server.
#[derive(Debug, Clone, Args)]
pub(crate) struct Reading {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Passwd {
    /// A record for SCRAM-SHA-256 rather than one of Argon2id; a user may have both
    #[arg(long)]
    pub(crate) scram: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Queue {
    /// List what waits and what is held
    List {
        /// Only these
        #[arg(long)]
        state: Option<QueueState>,
        /// Only messages with a recipient of this domain
        #[arg(long)]
        domain: Option<String>,
        #[command(flatten)]
        reading: Reading,
    },
    /// Show a message's recipients, and what was said of each
    Show(OneEntry),
    /// Make the next attempt now
    Retry {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        reading: Reading,
    },
    /// Make no attempt until it is released
    Hold(OneEntry),
    /// Deliver what was held
    Release(OneEntry),
    /// Take a message out, without telling anybody
    Remove(OneEntry),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum QueueState {
    Waiting,
    Held,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct OneEntry {
    /// The message's id, as queue list shows it
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// The message's id, as queue list shows it
    pub(crate) id: Option<String>,
    /// Every message that waits
    #[arg(long)]
    pub(crate) all: bool,
    /// Every message that waits for this domain
    #[arg(long)]
    pub(crate) domain: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Relay {
    /// Let an address or a network relay, from now on
    Allow {
        /// An address, or a network such as 192.0.2.0/24
        address: String,
        /// How long; a longer or shorter time replaces the one of before
        #[arg(long = "for", value_name = "TIME", default_value = "30m", value_parser = humantime::parse_duration)]
        span: Duration,
        #[command(flatten)]
        reading: Reading,
    },
    /// List who may, and how long still
    List(Reading),
    /// Take it back at once
    Revoke {
        /// As it was allowed
        address: String,
        #[command(flatten)]
        reading: Reading,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// List the plugins of the running server, and the files that it refused
    List(Reading),
    /// Show what a plugin's file answers and what it imports
    Inspect {
        /// The component
        #[arg(value_name = "F.wasm")]
        file: PathBuf,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Run a plugin on a message, with the real limits and services of its own, and show what it says
    Test(Box<PluginTest>),
}

#[derive(Debug, Args)]
pub(crate) struct PluginTest {
    /// The component
    #[arg(value_name = "F.wasm")]
    pub(crate) file: PathBuf,
    /// The message, with its header
    #[arg(value_name = "M.eml", required_unless_present = "message")]
    pub(crate) eml: Option<PathBuf>,
    /// The same
    #[arg(long, value_name = "M.eml", conflicts_with = "eml")]
    pub(crate) message: Option<PathBuf>,
    /// The envelope's sender; empty for the null sender
    #[arg(long, default_value = "ann@example.com")]
    pub(crate) sender: String,
    /// A recipient; may be given again
    #[arg(long, default_value = "alice@example.org")]
    pub(crate) rcpt: Vec<String>,
    /// What the client calls itself
    #[arg(long, default_value = "client.example.com")]
    pub(crate) ehlo: String,
    /// The client's address
    #[arg(long, default_value = "192.0.2.1")]
    pub(crate) ip: IpAddr,
    /// The plugin's settings as a JSON object; otherwise those of the configuration, if there is one
    #[arg(long, value_name = "JSON", conflicts_with = "settings_file")]
    pub(crate) settings: Option<String>,
    /// The same from a file
    #[arg(long, value_name = "FILE")]
    pub(crate) settings_file: Option<PathBuf>,
    /// What the plugin may use; otherwise what the configuration grants it, or everything
    #[arg(long, value_delimiter = ',')]
    pub(crate) grant: Option<Vec<Grant>>,
    /// Records that DNS has, a line each: example.org MX 10 mx.example.org (A, AAAA, TXT, PTR, FAIL likewise)
    #[arg(long, value_name = "FILE")]
    pub(crate) dns: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Grant {
    Kv,
    Dns,
    None,
}
