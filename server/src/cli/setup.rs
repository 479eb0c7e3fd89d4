//! The commands that set a server up: `init`, `completions`, `manual`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// What is not given is asked for.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The name of this host in the world's DNS, as in mx.example.org
    #[arg(long, value_name = "NAME")]
    pub(crate) hostname: Option<String>,
    /// A domain that this server receives mail for, or one mailbox of it; may be given again, and "none" is none
    #[arg(long, value_name = "DOMAIN|ADDRESS")]
    pub(crate) receive: Vec<String>,
    /// Where mail for these domains goes: maildir:/var/mail/{domain}/{local}, lmtp:ADDRESS or relay:HOST:PORT
    #[arg(long, value_name = "WHERE")]
    pub(crate) deliver: Option<String>,
    /// The host that takes mail for all other domains, as HOST:PORT; it goes to their own mail hosts otherwise
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) smarthost: Option<String>,
    /// Where it accepts mail; may be given again [default: port 25 of every address]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Vec<SocketAddr>,
    /// The queue's folder [default: /var/lib/waxwing for a file in /etc, data beside the file otherwise]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// A certificate's chain in PEM: STARTTLS is offered, and users may submit at port 465
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) certificate: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(crate) key: Option<PathBuf>,
    /// Get the certificate from Let's Encrypt, whose terms you accept by this, and be reached at this address
    #[arg(long, value_name = "ADDRESS", conflicts_with = "certificate")]
    pub(crate) acme: Option<String>,
    /// The file to write [default: /etc/waxwing/waxwing.toml for root, ./waxwing.toml otherwise]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Ask nothing: take what is proposed for what is not given
    #[arg(long)]
    pub(crate) yes: bool,
    /// Replace a configuration that is there; it is kept as FILE.old
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Manual {
    /// The folder; it is made when it is not there
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}
