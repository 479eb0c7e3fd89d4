//! `serve`: puts the rooms together, and takes them apart when the server is to stop.
//!
//! The order: the listeners' sockets, giving up rights, certificates, queue, resolver, plugins, delivery, listeners, control socket;
//! only then is anything accepted. Stopping goes the other way round within 30 s, and what was not finished is in the queue. A server that
//! begins anew stops in the same way, with its listening sockets open, and runs itself again: see `restart`.

use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use accounts::{Authenticator, Srs};
use acme::HeldSockets;
use admin::{ControlSocket, HttpSockets};
use anyhow::{Context, Result};
use config::{Config, Notice};
use hooks::Chain;
use inbound::{Inherited, PluginMail, RelayGrants, Sockets};
use milter::Milters;
use plugin_host::PluginHost;
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use store::DiskStore;
use web::{History, Site};

use crate::logging::Logging;
use crate::progress::Progress;
use crate::reload::{self, Certificates, Reloader};
use crate::restart::{Left, Restarter};
use crate::sandbox::Sandbox;
use crate::signals::{Signals, Wish};
use crate::{drops, logging, privileges, submission};

/// Sessions may finish what they are doing this long.
const SESSIONS_PATIENCE: Duration = Duration::from_secs(20);
/// And everything together this long.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a person sees how far something is.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Runs the server until it is told to stop.
pub(crate) fn serve(file: Option<&Path>) -> Result<()> {
    let mut config = Config::load(file)?;
    let logging = logging::start(&config.log);
    raise_open_files();
    // Mail is nobody else's to read: what this process makes has no bits for group and others.
    umask(Mode::RWXG | Mode::RWXO);
    let (inherited, of_programs) =
        config::inherited_sockets().context("the sockets that were handed over")?;
    let sockets = Sockets::bind(&config.inbound.listeners, inherited)?;
    let programs = submission::bind(&config, of_programs)?;
    drops::make(&config);
    let held = match &config.acme {
        // Port 80 is root's to bind, and a certificate is needed for as long as the server runs.
        Some(acme) if privileges::gives_up_root(&config) => HeldSockets::bind(&acme.http_bind)?,
        _ => HeldSockets::default(),
    };
    let metrics = HttpSockets::bind(&config.metrics, "metrics")?;
    let web = HttpSockets::bind(&config.web.bind, "web")?;
    // Keys are often readable to root alone. Those of a later reading have to be readable to the user.
    let tls = tls::Acceptor::open(config.tls.clone())?;
    config.outbound.tls = tls::client::Connector::open(&config.outbound.authorities)?;
    // One thread is all that there is up to here, so no other keeps the rights that this one gives up.
    privileges::settle(&config)?;
    let sandbox = Arc::new(Sandbox::enter(&config));
    let holds_port = config.acme.is_some() && held.is_held();
    let restarter = Arc::new(Restarter::new(&config.file, Arc::clone(&sandbox), holds_port)?);
    let named = || format!("cannot open the data directory {}", config.data_dir.display());
    let grants =
        RelayGrants::open(config.data_dir.join("relay-grants"), clock::wall()).with_context(named)?;
    config.inbound.relay_grants = Arc::new(grants);
    let secret = config::auth_secret(&config.data_dir).with_context(named)?;
    let authenticator = Authenticator::new(config.authenticator.clone(), secret);
    config.inbound.authenticator = Some(authenticator.clone());
    config.inbound.forwarding = forwarding(&config).with_context(named)?;
    let store = Arc::new(open_store(&config).with_context(named)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(run(
        config,
        Bound {
            sockets,
            metrics,
            web,
            held,
            sandbox,
            tls,
            authenticator,
            restarter: Arc::clone(&restarter),
            programs,
            logging,
        },
        Arc::clone(&store),
    ));
    // Readings of the disk that nobody waits for any more.
    runtime.shutdown_timeout(Duration::from_secs(5));
    store.close();
    match served? {
        Heritage::Nobody => Ok(()),
        Heritage::Itself(sockets) => restarter.begin_anew(&sockets),
    }
}

/// What comes after the server.
enum Heritage {
    Nobody,
    /// The same server, with these listening sockets.
    Itself(Vec<Left>),
}

/// Opens the queue. Building its index anew takes a while for a long one; a person who waits sees how far it is.
fn open_store(config: &Config) -> Result<DiskStore, store::OpenError> {
    let reading = Arc::new(store::Reading::default());
    let (done, watched) = (Arc::new(AtomicBool::new(false)), Arc::clone(&reading));
    let is_done = Arc::clone(&done);
    let watcher = Progress::is_seen().then(|| {
        std::thread::spawn(move || {
            let mut bar = None;
            while !is_done.load(Relaxed) {
                std::thread::park_timeout(LOOK_EVERY);
                let (read, all) = (watched.read(), watched.all());
                // A queue that opens at once is nothing to look at.
                if all > 0 && !is_done.load(Relaxed) {
                    bar.get_or_insert_with(|| Progress::octets("reading the queue", all)).is_at(read);
                }
            }
        })
    });
    let opened = DiskStore::open_watched(config.store.clone(), &reading);
    done.store(true, Relaxed);
    if let Some(watcher) = watcher {
        watcher.thread().unpark();
        // It shows something and does nothing else.
        let _ = watcher.join();
    }
    opened
}

/// What rewrites the senders of forwarded mail.
pub(crate) fn forwarding(config: &Config) -> std::io::Result<Option<Arc<Srs>>> {
    let Some(forwarding) = &config.forwarding else { return Ok(None) };
    let srs = match &forwarding.secret {
        Some(secret) => Srs::new(secret, forwarding.domain.clone()),
        None => Srs::new(&config::srs_secret(&config.data_dir)?.0, forwarding.domain.clone()),
    };
    Ok(Some(Arc::new(srs)))
}

/// What is answered over HTTP, and to whom.
pub(crate) fn web_options(config: &Config) -> web::Options {
    let message_size = config.inbound.insiders.session.limits.message_size;
    web::Options {
        tokens: config.web.tokens.clone(),
        requests_per_minute: config.web.requests_per_minute,
        failed_tokens_per_minute: config.web.failed_tokens_per_minute,
        message_size: usize::try_from(message_size).unwrap_or(usize::MAX),
    }
}

/// Where it is kept what became of messages; nowhere when nobody can ask, or a start is to forget.
fn journal(config: &Config) -> Option<web::JournalOptions> {
    let octets = config.web.history_octets;
    let folder = config.data_dir.join("history");
    (!config.web.bind.is_empty() && octets > 0).then_some(web::JournalOptions { folder, octets })
}

/// What stands before anything runs.
struct Bound {
    sockets: Sockets,
    metrics: HttpSockets,
    web: HttpSockets,
    /// Where an authority asks, when that is a port of root's.
    held: HeldSockets,
    sandbox: Arc<Sandbox>,
    tls: tls::Acceptor,
    authenticator: Authenticator,
    restarter: Arc<Restarter>,
    /// Where programs of this host hand mail over.
    programs: UnixListener,
    logging: Logging,
}

async fn run(mut config: Config, bound: Bound, store: Arc<DiskStore>) -> Result<Heritage> {
    let Bound {
        sockets,
        mut metrics,
        mut web,
        held,
        sandbox,
        tls,
        authenticator,
        restarter,
        programs,
        logging,
    } = bound;
    let transcripts: Arc<transcript::Hub> = Arc::default();
    config.outbound.transcripts = Arc::clone(&transcripts);
    let started = clock::wall();
    let mut signals = Signals::listen()?;
    let name_servers = Arc::new(dns::Current::new(dns::Hickory::new(&config.dns).context("dns")?));
    let resolver: Arc<dyn dns::Resolver> = name_servers.clone();
    let at_once = config.plugins.limits.http_requests_at_once;
    let trusted = config.outbound.tls.web_pki();
    let fetch = Arc::new(fetch::Fetch::new(Arc::clone(&resolver), trusted, fetch::Options { at_once }));
    let plugin_mail = Arc::new(PluginMail::default());
    let services = plugin_host::Services {
        kv: Some(store.key_value()),
        dns: Some(Arc::clone(&resolver)),
        http: Some(fetch.clone()),
        submitter: Some(plugin_mail.clone()),
        scanner: Some(Arc::new(milter::Clamd::new(config.plugins.limits.scans_at_once))),
        ..plugin_host::Services::default()
    };
    let plugins = PluginHost::open(config.plugins.clone(), services)?;
    // How each file fared is in the log; a server with a plugin that was refused still serves.
    plugins.load_all().await;
    let watch = plugins.watch().context("cannot watch the plugins")?;
    let milters = Milters::new(config.milters.clone());
    let asked = vec![milters.before_plugins(), Arc::new(plugins.clone()), milters.after_plugins()];
    let queue: Arc<dyn queue::Store> = store.clone();
    let history = Arc::new(History::open(Arc::new(plugins.clone()), journal(&config)));
    let told: Arc<dyn hooks::DeliveryHooks> = match web.is_empty() {
        // Nobody could ask what is remembered.
        true => Arc::new(plugins.clone()),
        false => history.clone(),
    };
    let engine = outbound::Engine::start_with(
        Arc::new(config.outbound.clone()),
        Arc::clone(&queue),
        Arc::clone(&resolver),
        told,
    );
    config.inbound.sender_ledger = engine.sender_ledger();
    let services = inbound::Services {
        store: Arc::clone(&queue),
        courier: Arc::new(engine.clone()),
        hooks: Arc::new(Chain(asked)),
        resolver,
        tls: Some(tls.clone()),
        transcripts: Arc::clone(&transcripts),
    };
    let bound = take_over(&config, services, sockets);
    let (inbound, mut control) = match bound {
        Ok(bound) => bound,
        Err(error) => {
            engine.shutdown(Duration::ZERO).await;
            return Err(error);
        }
    };
    plugin_mail.open(&inbound);
    restarter.keeps(&inbound);
    let hostname = config.inbound.hostname.to_string();
    let renewals = acme::Renewals::start(config.acme.clone(), tls.clone(), held);
    let concerned = reload::Services {
        certificates: Certificates { acceptor: tls.clone(), renewals },
        authenticator,
        sandbox,
        inbound: Arc::clone(&inbound),
        engine: engine.clone(),
        plugins: plugins.clone(),
        fetch,
        milters: milters.clone(),
        transcripts: Arc::clone(&transcripts),
        name_servers,
        logging,
    };
    let (web_options, drop_options) = (web_options(&config), drops::Options::of(&config));
    let reloader = Arc::new(Reloader::new(config, concerned));
    let (for_socket, for_status, shown) = (Arc::clone(&reloader), Arc::clone(&reloader), tls.clone());
    let again = Arc::clone(&restarter);
    let services = Arc::new(admin::Services {
        version: env!("CARGO_PKG_VERSION"),
        hostname,
        started,
        store: queue,
        engine: engine.clone(),
        plugins,
        milters,
        inbound: Arc::clone(&inbound),
        reload: Arc::new(move || Box::pin(Arc::clone(&for_socket).ask())),
        restart: Arc::new(move || Box::pin(Arc::clone(&again).ask())),
        outlook: admin::Outlook {
            last_reload: Arc::new(move || for_status.last()),
            certificates: Arc::new(move || certificates(&shown)),
        },
        transcripts,
    });
    control.start(Arc::clone(&services));
    let parts = web::Parts { services: Arc::clone(&services), history, keys: store.key_value() };
    let site = Arc::new(Site::new(web_options, parts));
    reloader.answers_over_http(&site);
    let changes = tokio::spawn(tls.watch());
    inbound.start();
    let spare = programs.try_clone().context("the socket of sendmail")?;
    let of_programs = submission::start(programs, Arc::clone(&inbound))?;
    let of_drops = drops::start(drop_options, Arc::clone(&inbound));
    announce(&inbound, &metrics, &web);
    // Whoever asks whether the server is ready hears so when it is.
    admin::serve_metrics(&mut metrics, &services)?;
    web::serve_web(&mut web, &site)?;
    tell_the_service_manager(Notice::Ready);
    let mut heritage = match wait_for_the_end(&mut signals, &reloader, &restarter).await {
        End::Stop => {
            tracing::info!("stopping");
            tell_the_service_manager(Notice::Stopping);
            drop(spare);
            Heritage::Nobody
        }
        End::Restart => {
            tracing::info!("stopping, to begin anew");
            tell_the_service_manager(Notice::Reloading);
            Heritage::Itself(left(&inbound, spare)?)
        }
    };
    // From here on it is no longer ready.
    drop((metrics, watch, of_programs, of_drops));
    changes.abort();
    tokio::select! {
        () = stop(&inbound, &engine) => tracing::info!("stopped"),
        () = asked_again(&mut signals) => {
            tracing::warn!("stopped at once; what was under way is in the queue");
            engine.shutdown(Duration::ZERO).await;
            // Whoever asks twice wants an end.
            heritage = Heritage::Nobody;
        }
    }
    // Messages that came in over HTTP are answered until sessions have ended.
    drop((control, web));
    tokio::task::block_in_place(|| site.close());
    Ok(heritage)
}

/// What the server that begins finds open: the sockets of the listeners, and that of programs.
fn left(inbound: &inbound::Server, programs: UnixListener) -> std::io::Result<Vec<Left>> {
    let listeners = inbound.hand_over()?.into_iter();
    let of_listener = |Inherited { name, asked, socket }| Left {
        name: name.unwrap_or_default(),
        asked,
        socket: OwnedFd::from(socket),
    };
    let of_programs = Left { name: config::OF_PROGRAMS.to_owned(), asked: None, socket: programs.into() };
    Ok(listeners.map(of_listener).chain([of_programs]).collect())
}

/// When clients are shown something else.
fn certificates(tls: &tls::Acceptor) -> Vec<admin::CertificateStatus> {
    let now = clock::wall();
    tls.current()
        .summaries()
        .into_iter()
        .map(|summary| admin::CertificateStatus::of(summary.names, summary.not_after, now))
        .collect()
}

fn take_over(
    config: &Config,
    services: inbound::Services,
    sockets: Sockets,
) -> Result<(Arc<inbound::Server>, ControlSocket)> {
    let inbound = inbound::Server::new(config.inbound.clone(), services, sockets)?;
    let control = ControlSocket::bind(&config.data_dir)
        .with_context(|| format!("cannot make the control socket in {}", config.data_dir.display()))?;
    Ok((Arc::new(inbound), control))
}

/// Says where the server accepts: a line for each address, in the same form whatever the log looks like.
fn announce(inbound: &inbound::Server, metrics: &HttpSockets, web: &HttpSockets) {
    let mut err = std::io::stderr().lock();
    tell_listening(&mut err, &inbound.local_addresses());
    for address in metrics.addresses() {
        let _ = writeln!(err, "listening metrics {address}");
    }
    for address in web.addresses() {
        let _ = writeln!(err, "listening web {address}");
    }
}

/// The lines for these listeners.
pub(crate) fn tell_listening(err: &mut impl Write, addresses: &[(Arc<str>, SocketAddr)]) {
    for (name, address) in addresses {
        // Nobody reads it: then nobody waits for it.
        let _ = writeln!(err, "listening {name} {address}");
    }
}

/// Says how the server is to whoever started it, if it wants to know.
pub(crate) fn tell_the_service_manager(notice: Notice) {
    if let Err(error) = config::notify(notice) {
        tracing::warn!(%error, ?notice, "the service manager cannot be told");
    }
}

/// Why the server stops.
enum End {
    Stop,
    Restart,
}

async fn wait_for_the_end(
    signals: &mut Signals,
    reloader: &Arc<Reloader>,
    restarter: &Arc<Restarter>,
) -> End {
    loop {
        let wish = tokio::select! {
            wish = signals.next() => wish,
            () = restarter.wanted() => return End::Restart,
        };
        // What takes long does not keep the server from being stopped. What came of it is in the log.
        match wish {
            Wish::Stop => return End::Stop,
            Wish::Reload => {
                let reloader = Arc::clone(reloader);
                tokio::spawn(async move { reloader.reload().await });
            }
            Wish::Restart => drop(tokio::spawn(Arc::clone(restarter).ask())),
        }
    }
}

/// Lets sessions and deliveries finish.
async fn stop(inbound: &inbound::Server, engine: &outbound::Engine) {
    let began = clock::now();
    let progress = Progress::waiting("letting sessions and deliveries finish; Ctrl-C ends them");
    let watch = async {
        loop {
            let (open, active) = (inbound.stats().sessions_open, engine.stats().active);
            progress.says(format!("{open} sessions and {active} deliveries still finish; Ctrl-C ends them"));
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        () = end(inbound, engine, began) => {}
        () = watch => {}
    }
}

async fn end(inbound: &inbound::Server, engine: &outbound::Engine, began: Instant) {
    if !inbound.shut_down(SESSIONS_PATIENCE).await {
        tracing::warn!("sessions that did not end in time were broken off");
    }
    engine.shutdown(PATIENCE.saturating_sub(clock::now().duration_since(began))).await;
}

async fn asked_again(signals: &mut Signals) {
    while signals.next().await != Wish::Stop {}
}

/// Every session and every delivery is a descriptor.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, current = limit.current, "the limit of open files stays as it is");
    }
}
