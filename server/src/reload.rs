//! Reads the configuration again and swaps what can be swapped while the server runs.
//!
//! A session, an attempt and a plugin's instance keep what they began with. What cannot be swapped is named, and counts
//! after a restart. A configuration with a fault changes nothing.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use accounts::Authenticator;
use admin::{LastReload, Reloaded};
use config::{Config, Notice};
use milter::Milters;
use plugin_host::PluginHost;
use tokio::sync::Mutex;

use crate::logging::Logging;
use crate::privileges::cannot_listen;
use crate::sandbox::Sandbox;
use crate::serve::{forwarding, tell_listening, tell_the_service_manager, web_options};

/// Reads the configuration anew for the rooms that take new options.
pub(crate) struct Reloader {
    /// As it was found at the start, whatever the process's folder is by now.
    file: PathBuf,
    /// What the server was started with: the rest of it counts until the end.
    started: Config,
    /// One reload after the other.
    turn: Mutex<()>,
    last: parking_lot::Mutex<Option<LastReload>>,
    services: Services,
    /// It asks for reloads itself, so it comes later.
    site: OnceLock<Arc<web::Site>>,
}

/// Whom a reload concerns.
pub(crate) struct Services {
    pub(crate) certificates: Certificates,
    pub(crate) authenticator: Authenticator,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) inbound: Arc<inbound::Server>,
    pub(crate) engine: outbound::Engine,
    pub(crate) plugins: PluginHost,
    pub(crate) fetch: Arc<fetch::Fetch>,
    pub(crate) milters: Milters,
    pub(crate) transcripts: Arc<transcript::Hub>,
    pub(crate) name_servers: Arc<dns::Current>,
    pub(crate) logging: Logging,
}

/// What is shown to clients, and what renews it.
pub(crate) struct Certificates {
    pub(crate) acceptor: tls::Acceptor,
    pub(crate) renewals: acme::Renewals,
}

impl Reloader {
    pub(crate) fn new(started: Config, services: Services) -> Self {
        let file = std::path::absolute(&started.file).unwrap_or_else(|_| started.file.clone());
        Self {
            file,
            started,
            turn: Mutex::default(),
            last: parking_lot::Mutex::default(),
            services,
            site: OnceLock::new(),
        }
    }

    /// What is answered over HTTP is reloaded too.
    pub(crate) fn answers_over_http(&self, site: &Arc<web::Site>) {
        self.site.get_or_init(|| Arc::clone(site));
    }

    /// Reads the file and swaps the options.
    ///
    /// # Errors
    /// The faults of the file and of the certificates that it names, a line each; nothing was changed.
    pub(crate) async fn reload(&self) -> Result<Reloaded, String> {
        let _turn = self.turn.lock().await;
        tell_the_service_manager(Notice::Reloading);
        let done = self.read_and_swap().await;
        *self.last.lock() = Some(LastReload::of(clock::wall(), &done));
        // Whatever came of it: the server serves.
        tell_the_service_manager(Notice::Ready);
        done
    }

    /// The same as a task of its own: whoever asks may go away meanwhile, and a change is never half made.
    ///
    /// # Errors
    /// As [`Self::reload`].
    pub(crate) async fn ask(self: Arc<Self>) -> Result<Reloaded, String> {
        to_its_end(async move { self.reload().await }).await
    }

    /// What came of the last one.
    pub(crate) fn last(&self) -> Option<LastReload> {
        self.last.lock().clone()
    }

    async fn read_and_swap(&self) -> Result<Reloaded, String> {
        let file = self.file.clone();
        let read = tokio::task::spawn_blocking(move || Config::load(Some(&file))).await;
        let mut config = match read.map_err(|error| error.to_string())? {
            Ok(config) => config,
            Err(faults) => {
                for fault in &faults.0 {
                    tracing::error!(%fault, "the new configuration has a fault and counts for nothing");
                }
                return Err(faults.to_string());
            }
        };
        if let Some(path) = self.services.sandbox.lacks(&config) {
            return Err(counts_for_nothing(format!(
                "{} is outside of what the server may touch since its start (process.landlock): restart it",
                path.display()
            )));
        }
        let forwarding = tokio::task::block_in_place(|| forwarding(&config));
        config.inbound.forwarding = forwarding.map_err(|error| format!("srs-secret: {error}"))?;
        config.outbound.tls = believe(config.outbound.authorities.clone()).await?;
        config.outbound.transcripts = Arc::clone(&self.services.transcripts);
        let prepared = tokio::task::block_in_place(|| self.services.name_servers.prepare(&config.dns));
        let name_servers = prepared.map_err(|error| counts_for_nothing(format!("dns: {error}")))?;
        // Accepts nothing before its listener's options count, and is closed again when what follows fails.
        let doors = self.services.inbound.prepare(&config.inbound.listeners);
        let doors = doors.map_err(|error| counts_for_nothing(cannot_listen(&error)))?;
        self.services.certificates.replace(config.tls.clone()).await?;
        self.services.fetch.believe(config.outbound.tls.web_pki());
        self.services.certificates.renewals.replace(config.acme.clone());
        let needs_restart = needs_restart(&self.started, &config);
        if let Some(site) = self.site.get() {
            site.replace_options(web_options(&config));
        }
        // What was tried before the reload still counts after it.
        let authenticator = self.services.authenticator.with_options(config.authenticator);
        config.inbound.authenticator = Some(authenticator);
        self.services.logging.set_level(config.log.level);
        if let Some(resolver) = name_servers {
            self.services.name_servers.replace(resolver);
        }
        self.services.inbound.replace_options(config.inbound);
        let moved = self.services.inbound.listen(doors);
        tell_listening(&mut std::io::stderr().lock(), &moved.opened);
        self.services.engine.reload(Arc::new(config.outbound));
        self.services.milters.replace(config.milters);
        let reports = self.services.plugins.replace_options(config.plugins).await;
        let refused = reports
            .into_iter()
            .filter_map(|report| report.outcome.err().map(|error| format!("{}: {error}", report.name)))
            .collect();
        for what in &needs_restart {
            tracing::warn!(what, "this change counts after a restart");
        }
        tracing::info!("the configuration was read again");
        Ok(Reloaded { refused, needs_restart, opened: named(&moved.opened), closed: named(&moved.closed) })
    }
}

/// Runs as a task, which goes on when this future is dropped.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, String>> + Send + 'static,
) -> Result<T, String> {
    tokio::spawn(work).await.map_err(|error| error.to_string())?
}

/// Logs why the file that was read changes nothing.
fn counts_for_nothing(error: String) -> String {
    tracing::error!(error, "the new configuration counts for nothing");
    error
}

/// Addresses as the answer has them.
fn named(addresses: &[(Arc<str>, SocketAddr)]) -> Vec<String> {
    addresses.iter().map(|(name, address)| format!("{name} {address}")).collect()
}

/// Reads the authorities that vouch for other hosts.
async fn believe(authorities: tls::client::Options) -> Result<tls::client::Connector, String> {
    let opened = tokio::task::spawn_blocking(move || tls::client::Connector::open(&authorities)).await;
    opened.map_err(|error| error.to_string())?.map_err(|faults| {
        for fault in &faults.0 {
            tracing::error!(%fault, "the authorities cannot be used; the new configuration counts for nothing");
        }
        faults.to_string()
    })
}

impl Certificates {
    /// This and [`believe`] may fail after the configuration was read; so they come before all that is swapped.
    async fn replace(&self, options: tls::Options) -> Result<(), String> {
        let tls = self.acceptor.clone();
        let replaced = tokio::task::spawn_blocking(move || tls.replace(options)).await;
        replaced.map_err(|error| error.to_string())?.map_err(|faults| {
            for fault in &faults.0 {
                tracing::error!(%fault, "the certificates cannot be used; the new configuration counts for nothing");
            }
            faults.to_string()
        })
    }
}

/// What differs between two configurations and is not swapped.
fn needs_restart(old: &Config, new: &Config) -> Vec<String> {
    let at_once = |config: &Config| {
        let limits = &config.plugins.limits;
        (limits.http_requests_at_once, limits.scans_at_once)
    };
    // What is said of instances, tables and large memories sizes the pool at the start.
    let pool = |config: &Config| {
        let limits = &config.plugins.limits;
        (limits.instances, limits.table_elements, limits.memory_octets.max(1 << 30))
    };
    // Counting begins with the start; that it ends, and what is told, is swapped.
    let tells =
        |config: &Config| [config.outbound.tls_report.is_some(), config.outbound.dmarc_report.is_some()];
    let begins = |old: &Config, new: &Config| tells(old).iter().zip(tells(new)).any(|(was, is)| is && !was);
    let changes = [
        ("data-dir", old.data_dir != new.data_dir),
        ("the queue's room, and that of the plugins' key-value spaces", old.store != new.store),
        ("outbound.limits.deliveries", old.outbound.limits.deliveries != new.outbound.limits.deliveries),
        ("plugins.limits: instances, table-elements, or memory over 1 GiB", pool(old) != pool(new)),
        ("plugins.limits: http-requests-at-once and scans-at-once", at_once(old) != at_once(new)),
        (
            "plugins.compile-threads and plugins.kept-generations",
            (old.plugins.compile_threads, old.plugins.kept_generations)
                != (new.plugins.compile_threads, new.plugins.kept_generations),
        ),
        ("reports that were off: tls-report, sender-auth.reports", begins(old, new)),
        ("log.format", old.log.format != new.log.format),
        ("metrics", old.metrics != new.metrics),
        ("sendmail: socket, drop-dir, mode and group", old.submission != new.submission),
        ("web.bind", old.web.bind != new.web.bind),
        ("web.history-size", old.web.history_octets != new.web.history_octets),
        ("process", old.process != new.process),
    ];
    changes.iter().filter(|(_, differs)| *differs).map(|(what, _)| (*what).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let least = "hostname = 'mx.example.org'\ndata-dir = '/data'\n\
                     [[listener]]\nname = 'mx'\nbind = '127.0.0.1:0'\n";
        Config::parse(std::path::Path::new("/waxwing.toml"), &format!("{least}{text}")).unwrap()
    }

    #[test]
    fn only_what_is_not_swapped_needs_a_restart() {
        let old = config("");
        assert_eq!(
            needs_restart(&old, &config("[limits]\nrecipients = 5\n[plugins]\norder = ['a']\n")),
            [""; 0]
        );
        assert_eq!(needs_restart(&old, &config("[log]\nlevel = 'debug'\nformat = 'json'\n")), ["log.format"]);
        let many =
            config("[dns]\nretries = 1\n[outbound.limits]\ndeliveries = 3\n[queue]\nmax-entries = 4\n");
        assert_eq!(needs_restart(&old, &many).len(), 2);
    }

    #[tokio::test]
    async fn what_was_asked_for_goes_on_when_whoever_asked_is_gone() {
        let (go_on, waits) = tokio::sync::oneshot::channel::<()>();
        let (done, hears) = tokio::sync::oneshot::channel();
        let asked = to_its_end(async move {
            waits.await.map_err(|error| error.to_string())?;
            done.send(()).map_err(|()| "nobody hears".to_owned())
        });
        // Asked for, and given up at once.
        let nothing = tokio::time::timeout(std::time::Duration::ZERO, asked).await;
        assert!(nothing.is_err());
        go_on.send(()).unwrap();
        hears.await.unwrap();
    }
}
