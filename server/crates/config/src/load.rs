//! Reads a file into a [`Config`].

use std::collections::BTreeSet;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

use crate::fault::{Faults, Notes, ReadFile};
use crate::forwarding::{self, Forwarding};
use crate::process::Process;
use crate::reader::Table;
use crate::sendmail::{PlacesOfPrograms, SubmissionSocket};
use crate::server::Log;
use crate::web::Web;
use crate::{
    acme as authority, auth, domain, limits, listener, milter as milters, network, outbound as delivery,
    plugins, process, reports, senders, sendmail, server, tls as certificates, web,
};

/// Where the file is looked for when nobody says where it is.
const PLACES: [&str; 2] = ["waxwing.toml", "/etc/waxwing/waxwing.toml"];
/// Octets of a file.
const MAX_FILE_OCTETS: u64 = 4 << 20;

/// A configuration without fault: each room's own options.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that it was read from.
    pub file: PathBuf,
    /// The files that it names and that were read with it: of users, of keys.
    pub named: Vec<PathBuf>,
    pub data_dir: PathBuf,
    /// With at least one listener.
    pub inbound: inbound::Options,
    /// Who may authenticate, and how.
    pub authenticator: accounts::AuthOptions,
    pub outbound: outbound::Options,
    pub store: store::Options,
    pub dns: dns::Options,
    /// With no certificate when no listener needs one.
    pub tls: tls::Options,
    pub acme: Option<acme::Options>,
    /// What [`inbound::Options::forwarding`] is made of; it needs a secret.
    pub forwarding: Option<Forwarding>,
    pub plugins: plugin_host::Options,
    /// In the order in which they are asked.
    pub milters: Vec<milter::MilterOptions>,
    pub log: Log,
    /// Where metrics are told over HTTP.
    pub metrics: Vec<SocketAddr>,
    pub web: Web,
    pub process: Process,
    /// Where programs of this host hand mail over.
    pub submission: SubmissionSocket,
}

impl Config {
    /// Reads a file, or the first that is there of `./waxwing.toml` and `/etc/waxwing/waxwing.toml`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(file: Option<&Path>) -> Result<Self, Faults> {
        let (file, text) = find(file)?;
        Self::parse(&file, &text)
    }

    /// The data directory that a file names, whatever else is wrong with it: where the server is that runs with what the file was before.
    ///
    /// # Errors
    /// The file cannot be read, or does not name it.
    pub fn data_dir(file: Option<&Path>) -> Result<PathBuf, Faults> {
        let (file, text) = find(file)?;
        let notes = Notes::new(&file, &text, read);
        let table = toml_of(&notes, &text);
        let data_dir = server::data_dir(&Table::root(&notes, table.get_ref(), ""));
        match (data_dir.as_os_str().is_empty(), notes.into_faults()) {
            (false, _) => Ok(data_dir),
            (true, Some(faults)) => Err(faults),
            (true, None) => Err(Faults::of_file(&file, "names no data-dir")),
        }
    }

    /// Reads a file's text, and the files of users and keys that it names. Relative paths start at the file's folder.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Faults> {
        Self::parse_with(file, text, read)
    }

    /// As [`Self::parse`], with other files than those of this host.
    pub(crate) fn parse_with(file: &Path, text: &str, read_file: ReadFile) -> Result<Self, Faults> {
        let notes = Notes::new(file, text, read_file);
        let config = Self::note(&notes, file, text);
        match (notes.into_faults(), config) {
            (None, Some(config)) => Ok(config),
            (Some(faults), _) => Err(faults),
            // Whoever gave nothing has noted why.
            (None, None) => Err(Faults::of_file(file, "cannot be used")),
        }
    }

    /// Where the server of a file takes mail of programs, whatever else is wrong with the file.
    ///
    /// # Errors
    /// As [`Self::data_dir`].
    pub fn of_programs(file: Option<&Path>) -> Result<PlacesOfPrograms, Faults> {
        let data_dir = Self::data_dir(file)?;
        let (file, text) = find(file)?;
        let notes = Notes::new(&file, &text, read);
        let table = toml_of(&notes, &text);
        let root = Table::root(&notes, table.get_ref(), "");
        Ok(sendmail::places(&root.table("sendmail", "sendmail"), &data_dir))
    }

    /// What can be read of a text; it is a configuration when there is no fault.
    pub(crate) fn note(notes: &Notes, file: &Path, text: &str) -> Option<Self> {
        let table = toml_of(notes, text);
        let root = Table::root(notes, table.get_ref(), "");
        let metrics = web::metrics(&root);
        let data_dir = server::data_dir(&root);
        let hostname = server::hostname(&root);
        let domains = domain::domains(&root, &hostname);
        let (dns, reverse_dns) = network::dns(&root);
        let limits = root.table("limits", "limits");
        let session = smtp::server::Options {
            limits: limits::session(&limits),
            ..smtp::server::Options::new(hostname.as_str())
        };
        let acme = authority::acme(&root, &data_dir, &hostname);
        let tls = certificates::tls(&root, acme.as_ref());
        let mut inbound = inbound::Options {
            hostname: hostname.as_str().into(),
            listeners: listener::listeners(&root, &session, &tls),
            insiders: Arc::new(listener::insiders(&session)),
            programs: Arc::default(),
            relay_networks: network::relay_networks(&root),
            // What was granted while the server ran is no part of the file.
            relay_grants: Arc::default(),
            sender_ledger: None,
            forwarding: None,
            local: Arc::new(domains.accounts?),
            senders: senders::senders(&root, hostname.as_str()),
            authenticator: None,
            limits: limits::sessions(&limits),
            reverse_dns,
        };
        // Who may relay is trusted not to flood us.
        inbound.limits.rates.exempt =
            network::rate_exempt(&limits).unwrap_or_else(|| inbound.relay_networks.clone());
        let queue = root.table("queue", "queue");
        let mut outbound = delivery::outbound(&root, &hostname, &data_dir, domains.deliver);
        outbound.retry = limits::retry(&queue);
        outbound.reports = reports::reports(&root, &queue, &inbound.local);
        outbound.dmarc_report = senders::dmarc_report(inbound.senders.as_deref(), &data_dir);
        outbound.signers = inbound.senders.as_ref().map(|rules| rules.signers.clone()).unwrap_or_default();
        // A message that may come in may go out.
        outbound.limits.hops = inbound.limits.hops;
        let bound = inbound.listeners.iter().flat_map(|listener| &listener.bind).map(SocketAddr::ip);
        let own: BTreeSet<_> = bound.filter(|address| !address.is_unspecified()).collect();
        outbound.own_addresses = own.into_iter().collect();
        let mut store = limits::store(&queue, &data_dir);
        let (plugins, spaces) = plugins::plugins(&root, &data_dir);
        store.key_value = spaces;
        let milters = milters::milters(&root, &inbound.listeners);
        let log = server::log(&root);
        let authenticator = auth::authenticator(&root);
        let web = web::web(&root, &authenticator.directory);
        let (tls, process) = (tls.options, process::process(&root));
        let (submission, programs) = sendmail::sendmail(&root, &data_dir, &hostname, &inbound.local);
        inbound.programs = Arc::new(programs);
        Some(Self {
            file: file.to_owned(),
            named: notes.named(),
            data_dir,
            inbound,
            authenticator,
            outbound,
            store,
            dns,
            tls,
            acme,
            forwarding: forwarding::forwarding(&root),
            plugins,
            milters,
            log,
            metrics,
            web,
            process,
            submission,
        })
    }
}

/// A text as TOML; what is none is noted.
pub(crate) fn toml_of<'a>(notes: &Notes, text: &'a str) -> Spanned<DeTable<'a>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let line = error.span().map(|span| notes.line(&span));
        notes.fault(line, "", format!("not valid TOML: {}", error.message()));
    }
    table
}

/// A file's text; of the first that is there when nobody says which.
fn find(file: Option<&Path>) -> Result<(PathBuf, String), Faults> {
    let file = match file {
        Some(file) => file.to_owned(),
        None => PLACES.iter().map(PathBuf::from).find(|place| place.exists()).ok_or_else(|| {
            Faults::of_file(
                Path::new(PLACES[0]),
                format!("is not there, nor is {}; name one with --config", PLACES[1]),
            )
        })?,
    };
    let octets = read(&file).map_err(|error| Faults::of_file(&file, error))?;
    let text = String::from_utf8(octets).map_err(|_| Faults::of_file(&file, "is not UTF-8"))?;
    Ok((file, text))
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    let mut octets = Vec::new();
    let opened = std::fs::File::open(file).map_err(cannot)?;
    opened.take(MAX_FILE_OCTETS + 1).read_to_end(&mut octets).map_err(cannot)?;
    if octets.len() as u64 > MAX_FILE_OCTETS {
        return Err("is larger than 4 MiB".to_owned());
    }
    Ok(octets)
}
