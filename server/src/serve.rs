//! `serve`: puts the rooms together, and takes them apart when the server is to stop.
//!
//! The order: the listeners' sockets, giving up rights, certificates, queue, resolver, plugins, delivery, listeners, control socket;
//! only then is anything accepted. Stopping goes the other way round within 30 s, and what was not finished is in the queue.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use accounts::{Authenticator, Srs};
use acme::HeldSockets;
use admin::{ControlSocket, MetricsSockets};
use anyhow::{Context, Result};
use config::{Config, Notice};
use hooks::Chain;
use inbound::{PluginMail, RelayGrants, Sockets};
use milter::Milters;
use plugin_host::PluginHost;
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use store::DiskStore;
use web::{History, Site, WebSockets};

use crate::reload::{self, Certificates, Reloader};
use crate::sandbox::Sandbox;
use crate::signals::{Signals, Wish};
use crate::{logging, privileges};

/// Sessions may finish what they are doing this long.
const SESSIONS_PATIENCE: Duration = Duration::from_secs(20);
/// And everything together this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the server until it is told to stop.
pub(crate) fn serve(file: Option<&Path>) -> Result<()> {
    let mut config = Config::load(file)?;
    logging::start(&config.log);
    raise_open_files();
    // Mail is nobody else's to read: what this process makes has no bits for group and others.
    umask(Mode::RWXG | Mode::RWXO);
    let inherited = config::inherited_sockets().context("the sockets that were handed over")?;
    let sockets = Sockets::bind(&config.inbound.listeners, inherited)?;
    let held = match &config.acme {
        // Port 80 is root's to bind, and a certificate is needed for as long as the server runs.
        Some(acme) if privileges::gives_up_root(&config) => HeldSockets::bind(&acme.http_bind)?,
        _ => HeldSockets::default(),
    };
    let metrics = MetricsSockets::bind(&config.metrics)?;
    let web = WebSockets::bind(&config.web.bind)?;
    // Keys are often readable to root alone. Those of a later reading have to be readable to the user.
    let tls = tls::Acceptor::open(config.tls.clone())?;
    config.outbound.tls = tls::client::Connector::open(&config.outbound.authorities)?;
    // One thread is all that there is up to here, so no other keeps the rights that this one gives up.
    privileges::settle(&config)?;
    let sandbox = Sandbox::enter(&config);
    let named = || format!("cannot open the data directory {}", config.data_dir.display());
    let grants =
        RelayGrants::open(config.data_dir.join("relay-grants"), clock::wall()).with_context(named)?;
    config.inbound.relay_grants = Arc::new(grants);
    let secret = config::auth_secret(&config.data_dir).with_context(named)?;
    let authenticator = Authenticator::new(config.authenticator.clone(), secret);
    config.inbound.authenticator = Some(authenticator.clone());
    config.inbound.forwarding = forwarding(&config).with_context(named)?;
    let store = DiskStore::open(config.store.clone()).with_context(named)?;
    let store = Arc::new(store);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(run(
        config,
        Bound { sockets, metrics, web, held, sandbox, tls, authenticator },
        Arc::clone(&store),
    ));
    // Readings of the disk that nobody waits for any more.
    runtime.shutdown_timeout(Duration::from_secs(5));
    store.close();
    served
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

/// What stands before anything runs.
struct Bound {
    sockets: Sockets,
    metrics: MetricsSockets,
    web: WebSockets,
    /// Where an authority asks, when that is a port of root's.
    held: HeldSockets,
    sandbox: Sandbox,
    tls: tls::Acceptor,
    authenticator: Authenticator,
}

async fn run(mut config: Config, bound: Bound, store: Arc<DiskStore>) -> Result<()> {
    let Bound { sockets, mut metrics, mut web, held, sandbox, tls, authenticator } = bound;
    let started = clock::wall();
    let mut signals = Signals::listen()?;
    let resolver: Arc<dyn dns::Resolver> = Arc::new(dns::Hickory::new(&config.dns).context("dns")?);
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
    let history = Arc::new(History::new(Arc::new(plugins.clone())));
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
    };
    let web_options = web_options(&config);
    let reloader = Arc::new(Reloader::new(config, concerned));
    let for_socket = Arc::clone(&reloader);
    let services = Arc::new(admin::Services {
        version: env!("CARGO_PKG_VERSION"),
        hostname,
        started,
        store: queue,
        engine: engine.clone(),
        plugins,
        milters,
        inbound: Arc::clone(&inbound),
        reload: Arc::new(move || {
            let reloader = Arc::clone(&for_socket);
            Box::pin(async move { reloader.reload().await })
        }),
    });
    control.start(Arc::clone(&services));
    let parts = web::Parts { services: Arc::clone(&services), history, keys: store.key_value() };
    let site = Arc::new(Site::new(web_options, parts));
    reloader.answers_over_http(&site);
    let changes = tokio::spawn(tls.watch());
    inbound.start();
    announce(&inbound, &metrics, &web);
    // Whoever asks whether the server is ready hears so when it is.
    metrics.start(&services)?;
    web.start(&site)?;
    tell_the_service_manager(Notice::Ready);
    wait_for_the_end(&mut signals, &reloader).await;
    tracing::info!("stopping");
    tell_the_service_manager(Notice::Stopping);
    // From here on it is no longer ready.
    drop((metrics, watch));
    changes.abort();
    tokio::select! {
        () = stop(&inbound, &engine) => tracing::info!("stopped"),
        () = asked_again(&mut signals) => {
            tracing::warn!("stopped at once; what was under way is in the queue");
            engine.shutdown(Duration::ZERO).await;
        }
    }
    // Messages that came in over HTTP are answered until sessions have ended.
    drop((control, web));
    Ok(())
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
fn announce(inbound: &inbound::Server, metrics: &MetricsSockets, web: &WebSockets) {
    let mut err = std::io::stderr().lock();
    for (name, address) in inbound.local_addresses() {
        // Nobody reads it: then nobody waits for it.
        let _ = writeln!(err, "listening {name} {address}");
    }
    for address in metrics.addresses() {
        let _ = writeln!(err, "listening metrics {address}");
    }
    for address in web.addresses() {
        let _ = writeln!(err, "listening web {address}");
    }
}

/// Says how the server is to whoever started it, if it wants to know.
pub(crate) fn tell_the_service_manager(notice: Notice) {
    if let Err(error) = config::notify(notice) {
        tracing::warn!(%error, ?notice, "the service manager cannot be told");
    }
}

async fn wait_for_the_end(signals: &mut Signals, reloader: &Arc<Reloader>) {
    while signals.next().await == Wish::Reload {
        // A reload that takes long does not keep the server from being stopped. What it did is in the log.
        let reloader = Arc::clone(reloader);
        tokio::spawn(async move { reloader.reload().await });
    }
}

/// Lets sessions and deliveries finish.
async fn stop(inbound: &inbound::Server, engine: &outbound::Engine) {
    let began = clock::now();
    if !inbound.shut_down(SESSIONS_PATIENCE).await {
        tracing::warn!("sessions that did not end in time were broken off");
    }
    engine.shutdown(PATIENCE.saturating_sub(clock::now().duration_since(began))).await;
}

async fn asked_again(signals: &mut Signals) {
    while signals.next().await == Wish::Reload {}
}

/// Every session and every delivery is a descriptor.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, current = limit.current, "the limit of open files stays as it is");
    }
}
