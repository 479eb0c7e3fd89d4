//! The command line of sendmail, as programs know it since the eighties.

use std::path::PathBuf;

use clap::Args;

/// What is not here is nothing that a message needs: it is taken and ignored, as other mail servers' commands do.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Sendmail {
    /// Send to whom the fields To, Cc and Bcc name, and to the recipients that are given beside; Bcc goes
    #[arg(short = 't')]
    pub(crate) from_header: bool,
    /// The envelope's sender, where reports go to; <> is nobody [default: the user at this host]
    #[arg(short = 'f', value_name = "ADDRESS")]
    pub(crate) sender: Option<String>,
    /// The same, as it was once written
    #[arg(short = 'r', value_name = "ADDRESS", hide = true)]
    pub(crate) old_sender: Option<String>,
    /// The sender's name in a field From that is added [default: that of the user]
    #[arg(short = 'F', value_name = "NAME")]
    pub(crate) full_name: Option<String>,
    /// A line that is a dot does not end the message
    #[arg(short = 'i')]
    pub(crate) ignore_dots: bool,
    /// -oi is -i; other options are ignored
    #[arg(short = 'o', value_name = "OPTION")]
    pub(crate) options: Vec<String>,
    /// -bm sends a message, -bs speaks SMTP over standard input and output, -bp lists the queue, -bi does nothing
    #[arg(short = 'b', value_name = "MODE")]
    pub(crate) mode: Option<String>,
    /// Of what to report to the sender: never, or success, failure and delay with commas between
    #[arg(short = 'N', value_name = "WHEN")]
    pub(crate) notify: Option<String>,
    /// How much of the message a report has: full or hdrs
    #[arg(short = 'R', value_name = "WHAT")]
    pub(crate) ret: Option<String>,
    /// A name for the message that reports give back
    #[arg(short = 'V', value_name = "ID")]
    pub(crate) envelope_id: Option<String>,
    /// The configuration, which names the server's socket
    #[arg(short = 'C', long = "config", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[arg(short = 'A', short_aliases = ['B', 'D', 'L', 'O', 'X', 'd', 'e', 'h', 'p'], value_name = "IGNORED", hide = true)]
    pub(crate) ignored: Vec<String>,
    #[arg(short = 'm', short_aliases = ['E', 'G', 'U', 'n', 's', 'v', 'x'], action = clap::ArgAction::Count, hide = true)]
    pub(crate) ignored_flags: u8,
    /// Whom to send to
    #[arg(value_name = "RECIPIENT")]
    pub(crate) recipients: Vec<String>,
}
