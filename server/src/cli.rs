//! The command line.

mod setup;
mod submit;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use setup::{Completions, Init, Manual};
pub(crate) use submit::Sendmail;

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
    Check(Check),
    /// Ask three questions and write a configuration, a key that signs mail, and the DNS records to publish
    Init(Box<Init>),
    /// Tell how the running server is
    Status(Reading),
    /// Show what is said in sessions of one client, address, domain or message, as it is said
    Trace(Trace),
    /// Send a message, as programs on this host always did: the command sendmail
    Sendmail(Box<Sendmail>),
    /// Look into the queue, and change what is in it
    #[command(subcommand)]
    Queue(Queue),
    /// Look at plugins, and try them
    #[command(subcommand)]
    Plugin(Plugin),
    /// Let an address send to other domains for a while, as after it has read its mail
    #[command(subcommand)]
    Relay(Relay),
    /// Make keys that sign mail, and hold them against DNS
    #[command(subcommand)]
    Dkim(Dkim),
    /// Look at domains as the world sees them
    #[command(subcommand)]
    Domain(Domain),
    /// Ask for a password, and print the record that stands for it in the configuration
    Passwd(Passwd),
    /// Make tokens for the page and the API over HTTP
    #[command(subcommand)]
    Token(Token),
    /// Make the running server read its configuration again, as SIGHUP does, and say how that went
    Reload(Reading),
    /// Make the running server begin anew as the same process, with its listening sockets: no connection is refused meanwhile
    Restart(Reading),
    /// Print what a shell needs to complete this command line
    Completions(Completions),
    /// Write the manual pages of every command, and of the configuration, into a folder
    Manual(Manual),
}

/// What to listen to.
#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// A session's or a message's id, a mail address, a domain, or a client's address or network
    #[arg(value_name = "SESSION|QUEUE-ID|ADDRESS")]
    pub(crate) subject: String,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigFile {
    /// The configuration [default: ./waxwing.toml, then /etc/waxwing/waxwing.toml]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// Leave the plugins out, which take their time to compile
    #[arg(long)]
    pub(crate) without_plugins: bool,
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
pub(crate) enum Token {
    /// Make a token, and print it once with the table for the configuration
    New(NewToken),
}

#[derive(Debug, Args)]
pub(crate) struct NewToken {
    /// Whose it is; the log calls it so
    pub(crate) name: String,
    /// What it is good for
    #[arg(long)]
    pub(crate) scope: Scope,
    /// In whose name it sends: a [[user]] of the configuration; for --scope send
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) user: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scope {
    /// To look at everything, content included
    Read,
    /// To look and to change
    Admin,
    /// To send in a user's name, and nothing else
    Send,
}

impl Scope {
    /// As in the configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Admin => "admin",
            Self::Send => "send",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Dkim {
    /// Write a new key to a file, and print the DNS record that publishes it
    Generate(DkimGenerate),
    /// Ask DNS whether the keys of the configuration are published
    Check(Reading),
}

#[derive(Debug, Args)]
pub(crate) struct DkimGenerate {
    /// The domain that signs
    #[arg(long)]
    pub(crate) domain: String,
    /// The key's name
    #[arg(long)]
    pub(crate) selector: String,
    #[arg(long, default_value = "rsa")]
    pub(crate) algorithm: Algorithm,
    /// The file, which must not be there yet; nobody else may read it
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Algorithm {
    /// RSA of 2,048 bits, which everybody verifies
    Rsa,
    /// Ed25519: short and quick, and not known everywhere
    Ed25519,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Domain {
    /// Look at MX, PTR, DANE, SPF, DKIM, DMARC, MTA-STS and TLS-RPT, and say what is missing; fails when something is wrong
    Check(DomainCheck),
}

#[derive(Debug, Args)]
pub(crate) struct DomainCheck {
    /// The domain
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Queue {
    /// List what waits and what is held, the oldest first
    List(QueueList),
    /// Count what waits and what is held, by destination and by reason
    Counts(QueueCounts),
    /// Show a message's recipients, and what was said of each at every attempt
    Show {
        /// Print the message itself, as cat does
        #[arg(long, conflicts_with = "json")]
        content: bool,
        #[command(flatten)]
        entry: OneEntry,
    },
    /// Print a message as it is in the queue
    Cat {
        /// The message's id, as queue list shows it
        id: String,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Make the next attempt now
    Retry(QueueOrder),
    /// Make no attempt until it is released
    Hold(QueueOrder),
    /// Deliver what was held
    Release(QueueOrder),
    /// Take messages out, without telling anybody
    Remove(QueueOrder),
}

#[derive(Debug, Args)]
pub(crate) struct QueueList {
    #[command(flatten)]
    pub(crate) filter: QueueFilter,
    /// At most so many
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Only those behind this message: the next page
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<String>,
    /// Count them instead, as queue counts does
    #[arg(long, conflicts_with_all = ["after", "state", "domain", "sender", "recipient", "reason", "older"])]
    pub(crate) counts: bool,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

#[derive(Debug, Args)]
pub(crate) struct QueueCounts {
    /// Destinations and reasons to show, at most; those with the most recipients
    #[arg(long, value_name = "COUNT", default_value = "20", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) limit: u64,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// All that are given must hold for a recipient.
#[derive(Debug, Clone, Args)]
pub(crate) struct QueueFilter {
    /// Only these; deferred are those that wait for another attempt
    #[arg(long)]
    pub(crate) state: Option<QueueState>,
    /// Only recipients of this domain
    #[arg(long)]
    pub(crate) domain: Option<String>,
    /// Only mail from this address or this domain; <> for reports
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) sender: Option<String>,
    /// Only this recipient, or those of this domain
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) recipient: Option<String>,
    /// Only what was put off or is held with this in its reason
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Only what arrived so long ago or more, as in 2h or 1d
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) older: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum QueueState {
    Waiting,
    Deferred,
    Held,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct OneEntry {
    /// The message's id, as queue list shows it
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true)
    .args(["ids", "all", "state", "domain", "sender", "recipient", "reason", "older"]))]
pub(crate) struct QueueOrder {
    /// Messages by their ids, as queue list shows them
    #[arg(value_name = "ID", conflicts_with_all = ["all", "state", "domain", "sender", "recipient", "reason", "older"])]
    pub(crate) ids: Vec<String>,
    /// Every message
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) filter: QueueFilter,
    #[command(flatten)]
    pub(crate) reading: Reading,
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
    /// Read plugins' files again, all of them or one: each begins a new generation, even if nothing has changed
    Reload {
        /// The plugin; otherwise all
        name: Option<String>,
        #[command(flatten)]
        reading: Reading,
    },
    /// Run what ran before in place of a plugin's file, until that file changes
    Rollback {
        /// The plugin
        name: String,
        /// A generation, or the first digits of a hash, as `plugin list` shows them; otherwise the one before
        #[arg(value_name = "GENERATION|HASH")]
        to: Option<String>,
        #[command(flatten)]
        reading: Reading,
    },
    /// Leave a plugin alone for the sessions that begin from now on, also after a restart and even if it is required
    Disable {
        /// The plugin
        name: String,
        #[command(flatten)]
        reading: Reading,
    },
    /// Let a plugin run again that was disabled
    Enable {
        /// The plugin
        name: String,
        #[command(flatten)]
        reading: Reading,
    },
    /// Show what a plugin's file answers and what it imports
    Inspect {
        /// The component
        #[arg(value_name = "F.wasm")]
        file: PathBuf,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Run a plugin in the real host on a suite of sessions, or on one message, with services that are made up
    Test(Box<PluginTest>),
    /// Measure what each hook of a plugin costs
    Bench(PluginBench),
    /// Begin a plugin: a folder with a small one that builds, and its tests
    New {
        /// What it is called: letters, digits and hyphens
        name: String,
        /// The language
        #[arg(long, value_name = "L", value_parser = ["rust", "c", "js", "js-full", "ts", "python", "go"])]
        lang: String,
        /// Where; a folder of its name here, otherwise
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// Where the Rust SDK lies; otherwise that of the checkout that this binary was built in, or the registry's
        #[arg(long, value_name = "DIR")]
        sdk: Option<PathBuf>,
    },
    /// Build a plugin with its language's tools
    Build {
        /// The project
        #[arg(default_value = ".")]
        dir: PathBuf,
        /// The folder for NAME.wasm; the project's, otherwise
        #[arg(long, value_name = "DIR", conflicts_with = "output")]
        into: Option<PathBuf>,
        /// The file to write
        #[arg(short, long, value_name = "F.wasm")]
        output: Option<PathBuf>,
        /// Keep files and lines for the backtrace of a trap, in Rust and C; names are kept anyway
        #[arg(long)]
        debug: bool,
    },
    /// Write what C, Go and TypeScript need of the interface, as build does
    Bindings {
        /// The project
        #[arg(default_value = ".")]
        dir: PathBuf,
        /// Only say whether they still fit
        #[arg(long)]
        check: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PluginTest {
    /// The component; otherwise the one that the suite names
    #[arg(value_name = "F.wasm")]
    pub(crate) file: Option<PathBuf>,
    /// A message, with its header: shows what the plugin makes of it, and runs no suite
    #[arg(value_name = "M.eml")]
    pub(crate) eml: Option<PathBuf>,
    /// What to do and to expect; otherwise plugin-test.toml beside the component, or here
    #[arg(long, value_name = "FILE", conflicts_with_all = ["eml", "message"])]
    pub(crate) suite: Option<PathBuf>,
    /// Show what was asked and answered of cases that passed, too
    #[arg(short, long)]
    pub(crate) verbose: bool,
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

#[derive(Debug, Args)]
pub(crate) struct PluginBench {
    /// The component
    #[arg(value_name = "F.wasm")]
    pub(crate) file: PathBuf,
    /// The message that it is shown; one of 5 KB otherwise
    #[arg(long, value_name = "M.eml")]
    pub(crate) message: Option<PathBuf>,
    /// The plugin's settings as a JSON object
    #[arg(long, value_name = "JSON")]
    pub(crate) settings: Option<String>,
    /// For how long each part is measured, in milliseconds
    #[arg(long, value_name = "MS", default_value = "500", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(crate) time: u64,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Grant {
    Kv,
    Dns,
    Clamd,
    Submit,
    None,
}
