//! What sessions begin with, and how it is replaced while they run.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{NoClientAuth, ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};
use rustls::{ServerConfig, ServerConnection};

use crate::certificate::{Certificate, Summary};
use crate::choice::Choice;
use crate::client_ca::ClientCa;
use crate::facts::{self, Facts};
use crate::fault::{Fault, Faults, Warning};
use crate::file::{self, Stamp};
use crate::options::{MinVersion, Options};

/// Sessions that can be resumed by their id; most clients have tickets, which cost nothing here.
const CACHED_SESSIONS: usize = 4_096;
/// How often files are looked at for changes.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The certificates of one reading, and what is agreed with clients. Immutable: what a session began with holds until its end.
#[derive(Debug)]
pub struct Generation {
    config: Arc<ServerConfig>,
    choice: Arc<Choice>,
    client_ca: Option<Arc<ClientCa>>,
}

impl Generation {
    /// For a handshake.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// What its certificates say of themselves, but for those that stand in for files that are not there.
    pub fn summaries(&self) -> Vec<Summary> {
        let summary = |certificate: &Certificate| {
            let (not_before, not_after) = certificate.validity?;
            Some(Summary { names: certificate.names.clone(), not_before, not_after })
        };
        let mut all: Vec<Summary> = self.choice.all().into_iter().filter_map(summary).collect();
        all.sort_by_key(|summary| summary.not_after);
        all
    }

    /// What the handshake of a connection that was made with [`Self::config`] said, once it is finished.
    pub fn facts(&self, connection: &ServerConnection) -> Facts {
        let server_name = connection.server_name();
        let chain = connection.peer_certificates().unwrap_or_default();
        Facts {
            version: facts::version(connection),
            cipher: facts::cipher(connection),
            server_name: server_name.map(str::to_owned),
            client_identities: self.client_ca.as_ref().map(|ca| ca.identities(chain)).unwrap_or_default(),
            exporter: facts::exporter(&**connection),
            server_end_point: self.end_point(server_name),
        }
    }

    /// The hash of the certificate that is shown to who asks for a name.
    pub(crate) fn end_point(&self, server_name: Option<&str>) -> Option<Vec<u8>> {
        self.choice.by_name(server_name).end_point.clone()
    }
}

/// Gives sessions what they begin with. Clones share everything.
#[derive(Clone)]
pub struct Acceptor(Arc<Shared>);

struct Shared {
    current: ArcSwap<Generation>,
    /// What the current generation was read from. Held through a reading, so that one comes after the other.
    source: Mutex<Source>,
    resumption: Resumption,
}

struct Source {
    options: Options,
    /// Of the last reading, whether or not it went well.
    stamps: Vec<Stamp>,
}

impl Acceptor {
    /// Reads the files. What should not stay as it is goes to the log.
    ///
    /// # Errors
    /// Every file that cannot be used.
    pub fn open(options: Options) -> Result<Self, Faults> {
        let resumption = Resumption::new()?;
        let stamps = stamps(&options);
        let current = ArcSwap::from_pointee(load_and_log(&options, &resumption)?);
        Ok(Self(Arc::new(Shared { current, source: Mutex::new(Source { options, stamps }), resumption })))
    }

    /// What a session that begins now takes.
    pub fn current(&self) -> Arc<Generation> {
        self.0.current.load_full()
    }

    /// As `current().config()`.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.current().config()
    }

    /// Reads the files of new options. Sessions that run keep what they have.
    ///
    /// # Errors
    /// Every file that cannot be used; what was there stays.
    pub fn replace(&self, options: Options) -> Result<(), Faults> {
        let mut source = self.0.source.lock();
        let stamps = stamps(&options);
        let generation = load_and_log(&options, &self.0.resumption)?;
        self.0.current.store(Arc::new(generation));
        *source = Source { options, stamps };
        Ok(())
    }

    /// Reads the files again.
    ///
    /// # Errors
    /// As [`Self::replace`].
    pub fn reload(&self) -> Result<(), Faults> {
        self.read_again(&mut self.0.source.lock())
    }

    /// Reads the files again if they are not those of the last reading; says whether it did.
    ///
    /// # Errors
    /// As [`Self::replace`]; the same files are not read once more.
    pub fn reload_if_changed(&self) -> Result<bool, Faults> {
        let mut source = self.0.source.lock();
        if stamps(&source.options) == source.stamps {
            return Ok(false);
        }
        self.read_again(&mut source).map(|()| true)
    }

    fn read_again(&self, source: &mut Source) -> Result<(), Faults> {
        // Before the reading: what is written meanwhile is found at the next look.
        source.stamps = stamps(&source.options);
        let generation = load_and_log(&source.options, &self.0.resumption)?;
        self.0.current.store(Arc::new(generation));
        Ok(())
    }

    /// Looks at the files every minute, and reads them when they have changed: a renewed certificate counts without anybody
    /// saying so. Never ends; dropping the future is fine.
    pub async fn watch(self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let acceptor = self.clone();
            match tokio::task::spawn_blocking(move || acceptor.reload_if_changed()).await {
                Ok(Ok(true)) => tracing::info!("the certificates changed and were read again"),
                Ok(Ok(false)) => {}
                Ok(Err(faults)) => {
                    for fault in &faults.0 {
                        tracing::error!(%fault, "the certificates changed and cannot be used; the old ones stay");
                    }
                }
                Err(error) => tracing::error!(%error, "looking at the certificates failed"),
            }
        }
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("current", &self.0.current).finish_non_exhaustive()
    }
}

/// What lets clients resume sessions, in every generation.
#[derive(Debug)]
struct Resumption {
    tickets: Arc<dyn ProducesTickets>,
    sessions: Arc<dyn StoresServerSessions>,
}

impl Resumption {
    fn new() -> Result<Self, Faults> {
        let tickets = ring::Ticketer::new().map_err(|error| Faults(vec![Fault::Setup(error.to_string())]))?;
        Ok(Self { tickets, sessions: ServerSessionMemoryCache::new(CACHED_SESSIONS) })
    }
}

/// Reads the files as [`Acceptor::open`] would, and keeps nothing.
///
/// # Errors
/// Every file that cannot be used.
pub fn check(options: &Options) -> Result<Vec<Warning>, Faults> {
    load(options, &Resumption::new()?).map(|(_, warnings)| warnings)
}

fn stamps(options: &Options) -> Vec<Stamp> {
    let of_pairs = options.certificates.iter().flat_map(|files| [&files.certificate, &files.key]);
    of_pairs.chain(&options.client_ca).map(|file: &PathBuf| file::stamp(file)).collect()
}

fn load_and_log(options: &Options, resumption: &Resumption) -> Result<Generation, Faults> {
    let (generation, warnings) = load(options, resumption)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(generation)
}

fn load(options: &Options, resumption: &Resumption) -> Result<(Generation, Vec<Warning>), Faults> {
    let provider = Arc::new(ring::default_provider());
    let (mut faults, mut warnings, mut certificates) = (Vec::new(), Vec::new(), Vec::new());
    for files in &options.certificates {
        match Certificate::load(files, &provider, &mut warnings) {
            Ok(certificate) => certificates.push(certificate),
            Err(fault) => faults.push(fault),
        }
    }
    let client_ca = match options.client_ca.as_ref().map(|file| ClientCa::read(file, &provider)).transpose() {
        Ok(client_ca) => client_ca.map(Arc::new),
        Err(fault) => {
            faults.push(fault);
            None
        }
    };
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    let one = |fault| Faults(vec![fault]);
    if certificates.is_empty() {
        certificates.push(Certificate::self_signed(&["localhost".to_owned()], &provider).map_err(one)?);
    }
    let choice = Arc::new(Choice::new(certificates.remove(0), certificates));
    let config = config(provider, options.min_version, choice.clone(), client_ca.clone(), resumption);
    Ok((Generation { config: Arc::new(config.map_err(one)?), choice, client_ca }, warnings))
}

fn config(
    provider: Arc<CryptoProvider>,
    min_version: MinVersion,
    choice: Arc<Choice>,
    client_ca: Option<Arc<ClientCa>>,
    resumption: &Resumption,
) -> Result<ServerConfig, Fault> {
    let versions: &[_] = match min_version {
        MinVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        MinVersion::Tls13 => &[&rustls::version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|error| Fault::Setup(error.to_string()))?;
    let builder = match client_ca {
        Some(client_ca) => builder.with_client_cert_verifier(client_ca),
        None => builder.with_client_cert_verifier(Arc::new(NoClientAuth)),
    };
    let mut config = builder.with_cert_resolver(choice);
    config.ticketer = resumption.tickets.clone();
    config.session_storage = resumption.sessions.clone();
    Ok(config)
}
