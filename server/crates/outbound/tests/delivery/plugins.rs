//! What plugins want of a recipient's way, and what they are told of its end.

use std::sync::Arc;
use std::time::Duration;

use dns::Fake;
use hooks::{
    BoxFuture, DeliveryHooks, OutcomeReport, RouteChoice, RouteRequest, Stage, Stages, TransactionFacts, Way,
};
use model::Reply;
use outbound::{Credentials, DomainPattern, Engine, HostPort, NextHop, Options, Password, Route, TlsLevel};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::peer::Peer;
use crate::routing::loopback;
use crate::{Post, letter, options};

type Chooser = dyn Fn(&RouteRequest<'_>) -> Option<Way> + Send + Sync;

/// A plugin that does as a test says, and remembers who was asked for.
struct Plugin {
    choose: Box<Chooser>,
    asked: Mutex<Vec<(String, Vec<String>)>>,
    told: Mutex<Vec<String>>,
    heard: Notify,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Plugin")
    }
}

impl DeliveryHooks for Plugin {
    fn delivery_stages(&self) -> Stages {
        Stages::NONE.with(Stage::Route).with(Stage::Outcome)
    }

    fn route<'a>(
        &'a self,
        message: &'a Arc<TransactionFacts>,
        requests: &'a [RouteRequest<'a>],
    ) -> BoxFuture<'a, Vec<Option<RouteChoice>>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let who = requests.iter().map(|request| format!("{} {}", request.recipient, request.attempt));
            self.asked.lock().push((message.envelope.sender.to_string(), who.collect()));
            let choice = |way| RouteChoice { by: "plugin".into(), way };
            requests.iter().map(|request| (self.choose)(request).map(choice)).collect()
        })
    }

    fn outcome<'a>(
        &'a self,
        message: &'a Arc<TransactionFacts>,
        reports: &'a [OutcomeReport],
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let sender = &message.envelope.sender;
            let line = |report: &OutcomeReport| {
                let OutcomeReport { recipient, kind, host, reply, attempt } = report;
                let by = host.as_deref().unwrap_or("us");
                format!("{sender} to {recipient}: {kind:?} by {by} at attempt {attempt}: {reply}")
            };
            self.told.lock().extend(reports.iter().map(line));
            self.heard.notify_one();
        })
    }
}

fn office(
    options: Options,
    dns: Fake,
    choose: impl Fn(&RouteRequest<'_>) -> Option<Way> + Send + Sync + 'static,
) -> (Post, Arc<Plugin>) {
    let plugin = Arc::new(Plugin {
        choose: Box::new(choose),
        asked: Mutex::default(),
        told: Mutex::default(),
        heard: Notify::new(),
    });
    let shelf: Arc<crate::shelf::Shelf> = Arc::default();
    let engine = Engine::start_with(Arc::new(options), shelf.clone(), Arc::new(dns), plugin.clone());
    (Post { engine, shelf }, plugin)
}

fn take(next_hop: impl ToString, source: Option<std::net::IpAddr>) -> Option<Way> {
    Some(Way::Take { next_hop: Some(next_hop.to_string()), source })
}

fn to(peer: &Peer) -> Route {
    let host = HostPort { host: peer.address.ip().to_string(), port: peer.address.port() };
    Route { domains: vec![DomainPattern::Any], ..Route::new("all", NextHop::Host(host)) }
}

#[tokio::test]
async fn a_plugin_may_send_a_recipient_another_way_from_another_source() {
    let (usual, other) = (Peer::friendly().await, Peer::friendly().await);
    let mut options = options();
    options.routes.insert(to(&usual)).unwrap();
    let address = other.address;
    let (post, plugin) = office(options, Fake::new(), move |request| match request.recipient.local() {
        "b" => take(address, Some(loopback(7))),
        "c" => Some(Way::Take { next_hop: None, source: Some(loopback(8)) }),
        _ => None,
    });
    let id = post.takes(letter(&["a@to.example", "b@to.example", "c@to.example"]));
    post.until_states(id, &["delivered"; 3]).await;
    assert_eq!(other.taken()[0].rcpts, ["RCPT TO:<b@to.example>"]);
    assert_eq!(other.clients(), [loopback(7)]);
    let mut from = usual.clients();
    from.sort();
    assert_eq!(from, [loopback(1), loopback(8)]);
    let asked = plugin.asked.lock().clone();
    let all = ["a@to.example 1", "b@to.example 1", "c@to.example 1"].map(str::to_owned).to_vec();
    assert_eq!(asked, [("<sender@from.example>".to_owned(), all)]);
    post.closes().await;
}

#[tokio::test]
async fn a_plugin_may_name_a_domain_whose_mail_hosts_take_over() {
    let peer = Peer::on("127.0.0.2:0", |_, _, _| crate::peer::Act::Usual).await;
    let dns = Fake::new()
        .with_mx("backup.example", 10, "mx.backup.example")
        .with_address("mx.backup.example", loopback(2));
    let mut options = options();
    options.mx_port = peer.address.port();
    let (post, _) = office(options, dns, |_| take("backup.example", None));
    let id = post.takes(letter(&["a@to.example"]));
    post.until_states(id, &["delivered"]).await;
    assert_eq!(peer.taken()[0].rcpts, ["RCPT TO:<a@to.example>"]);
    post.closes().await;
}

#[tokio::test]
async fn a_password_is_not_told_to_a_host_that_a_plugin_names() {
    let (usual, other) = (Peer::friendly().await, Peer::friendly().await);
    let mut options = options();
    let auth = Some(Credentials { username: "wax".to_owned(), password: Password("secret".to_owned()) });
    options.routes.insert(Route { auth, tls: Some(TlsLevel::Off), ..to(&usual) }).unwrap();
    let address = other.address;
    let (post, _) = office(options, Fake::new(), move |_| take(address, None));
    let id = post.takes(letter(&["a@to.example"]));
    // The peer offers no AUTH: with credentials there would be no session.
    post.until_states(id, &["delivered"]).await;
    assert!(!other.steps().iter().any(|step| step == "AUTH"));
    post.closes().await;
}

#[tokio::test]
async fn what_is_held_delayed_or_put_off_is_not_tried() {
    let peer = Peer::friendly().await;
    let mut options = options();
    options.routes.insert(to(&peer)).unwrap();
    let (post, _) = office(options, Fake::new(), |request| match request.recipient.local() {
        "held" => Some(Way::Hold("look at it".to_owned())),
        "later" => Some(Way::Delay(Duration::from_secs(7_200))),
        "failed" => Some(Way::Defer(Reply::new(451, (4, 3, 0), "a mail filter failed"))),
        _ => None,
    });
    let id =
        post.takes(letter(&["held@to.example", "later@to.example", "failed@to.example", "a@to.example"]));
    post.until_states(id, &["held", "waiting", "waiting", "delivered"]).await;
    assert_eq!(peer.taken()[0].rcpts, ["RCPT TO:<a@to.example>"]);
    let (attempts, dues) = post.shelf.look(|kept| {
        let recipients = &kept.entry(id).recipients;
        let due = |nth: usize| match recipients[nth].state {
            queue::State::Waiting { due } => due.since(clock::wall()),
            _ => Duration::ZERO,
        };
        (recipients.iter().map(|queued| queued.attempts).collect::<Vec<_>>(), [due(1), due(2)])
    });
    assert_eq!(attempts, [0, 0, 1, 1]);
    assert!(dues[0] > Duration::from_secs(3_600), "{dues:?}");
    post.closes().await;
}

#[tokio::test]
async fn a_plugin_is_told_how_every_attempt_ended() {
    let peer = Peer::with(|step, line, _| match step {
        "RCPT" if line.contains("<no@") => crate::peer::say("550 5.1.1 nobody"),
        "RCPT" if line.contains("<later@") => crate::peer::say("450 4.2.1 not now"),
        _ => crate::peer::Act::Usual,
    })
    .await;
    let mut options = options();
    options.routes.insert(to(&peer)).unwrap();
    let (post, plugin) = office(options, Fake::new(), |request| {
        (request.recipient.local() == "held").then(|| Way::Hold("look at it".to_owned()))
    });
    let id = post.takes(letter(&["a@to.example", "no@to.example", "later@to.example", "held@to.example"]));
    post.until_states(id, &["delivered", "bounced", "waiting", "held"]).await;
    while plugin.told.lock().len() < 3 {
        plugin.heard.notified().await;
    }
    let mut told = plugin.told.lock().clone();
    // The report to the sender is mail as well, and may have gone by now.
    told.retain(|line| line.starts_with("<sender@from.example>"));
    told.sort();
    let said = |rcpt: &str, kind: &str, reply: &str| {
        format!("<sender@from.example> to {rcpt}: {kind} by 127.0.0.1 at attempt 1: {reply}")
    };
    assert_eq!(
        told[1..],
        [
            said("later@to.example", "Deferred", "450 4.2.1 not now"),
            said("no@to.example", "Bounced", "550 5.1.1 nobody"),
        ]
    );
    assert!(told[0].starts_with("<sender@from.example> to a@to.example: Delivered by 127.0.0.1"), "{told:?}");
    post.closes().await;
}
