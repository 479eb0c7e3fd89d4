//! A server without listeners, spoken to over a pipe in memory.

use std::time::Duration;

use accounts::{AuthOptions, Authenticator, Directory, Secret};
use hooks::{Answer as HookAnswer, BoxFuture, SessionFacts, SessionHooks, Stages, TransactionFacts, Verdict};
use model::{Content, Mailbox};
use parking_lot::Mutex;
use queue::{Courier, Entry, Store};
use smtp::server::Options as Session;
use store::MemoryStore;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};

use super::*;
use crate::{Kind, Limits, Services, Sockets};

/// Keeps the entries that it was given.
#[derive(Debug, Default)]
struct Kept(Mutex<Vec<(Arc<Entry>, Content)>>);

impl Courier for Kept {
    fn take(&self, entry: Arc<Entry>, content: Content) {
        self.0.lock().push((entry, content));
    }
}

/// Writes down what is asked, and says no to a user called mallory.
#[derive(Debug, Clone, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl hooks::Hooks for Asked {
    fn begin(&self) -> Box<dyn SessionHooks> {
        Box::new(self.clone())
    }
}

impl SessionHooks for Asked {
    fn stages(&self) -> Stages {
        Stage::ALL.into_iter().fold(Stages::NONE, Stages::with)
    }

    fn ask<'a>(
        &'a mut self,
        request: Request<'a>,
        session: &'a Arc<SessionFacts>,
        _: Option<&'a Arc<TransactionFacts>>,
    ) -> BoxFuture<'a, HookAnswer> {
        let line = match request {
            Request::Auth { mechanism, user } => format!("auth {mechanism} {user}"),
            _ => format!("{} {}", request.stage().name(), session.auth_user.as_deref().unwrap_or("-")),
        };
        self.0.lock().push(line);
        let verdict = match request {
            Request::Auth { user: "mallory", .. } => {
                Verdict::Reject(Reply::new(535, (5, 7, 8), "not you, mallory"))
            }
            _ => Verdict::Proceed,
        };
        Box::pin(std::future::ready(HookAnswer { verdict, ..HookAnswer::default() }))
    }
}

struct Site {
    server: Server,
    courier: Arc<Kept>,
    asked: Asked,
}

fn site(limits: Limits) -> Site {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (courier, asked) = (Arc::new(Kept::default()), Asked::default());
    let ann = User::new(Mailbox::parse("ann@example.org").unwrap());
    let options = AuthOptions { directory: Directory::new(vec![ann]).unwrap(), ..AuthOptions::default() };
    let session = Session { require_auth: true, ..Session::new("mx.example.org") };
    let insiders =
        ListenerOptions { kind: Kind::Submission, session: Arc::new(session), ..ListenerOptions::default() };
    let local = accounts::Options { hostname: "mx.example.org".parse().unwrap(), domains: Vec::new() };
    let options = Options {
        hostname: "mx.example.org".into(),
        listeners: Vec::new(),
        insiders: Arc::new(insiders),
        programs: Arc::default(),
        relay_networks: Vec::new(),
        relay_grants: Arc::default(),
        local: Arc::new(accounts::LocalDomains::new(local).unwrap()),
        forwarding: None,
        senders: None,
        sender_ledger: None,
        authenticator: Some(Authenticator::new(options, Secret([7; 32]))),
        limits,
        reverse_dns: false,
    };
    let services = Services {
        store,
        courier: courier.clone(),
        hooks: Arc::new(asked.clone()),
        resolver: Arc::new(dns::Fake::new()),
        tls: None,
        transcripts: Arc::default(),
    };
    Site { server: Server::new(options, services, Sockets::default()).unwrap(), courier, asked }
}

fn insider(identity: Identity) -> Insider {
    Insider { listener: Insider::HTTP.into(), peer: ([127, 0, 0, 1], 0).into(), identity }
}

fn user(name: &str) -> Identity {
    Identity::User(name.to_owned())
}

/// Says the lines at once, and gives back what was answered, until the end of the stream.
async fn converse(site: &Site, identity: Identity, lines: &str) -> String {
    let (ours, theirs) = tokio::io::duplex(512);
    let session = site.server.begin(theirs, insider(identity)).unwrap();
    let mut ours: BufReader<DuplexStream> = BufReader::new(ours);
    let mut heard = String::new();
    ours.read_line(&mut heard).await.unwrap();
    // The pipe is small: what is answered has to be read while there is more to say.
    let (mut reading, mut writing) = tokio::io::split(ours);
    let (said, rest) = tokio::join!(writing.write_all(lines.as_bytes()), async {
        let mut rest = String::new();
        reading.read_to_string(&mut rest).await.map(|_| rest)
    });
    said.unwrap();
    session.await.unwrap();
    heard + &rest.unwrap()
}

const MESSAGE: &str = "DATA\r\nSubject: hi\r\n\r\nhello\r\n.\r\nQUIT\r\n";

#[tokio::test]
async fn a_user_submits_without_auth_by_the_rules_of_submission() {
    let site = site(Limits::default());
    let lines = format!(
        "EHLO localhost\r\nMAIL FROM:<bob@example.org>\r\nMAIL FROM:<ann@example.org>\r\nRCPT TO:<x@far.example>\r\n{MESSAGE}"
    );
    let heard = converse(&site, user("Ann@Example.org"), &lines).await;
    assert!(heard.contains("553 5.7.1 ann@example.org may not send as bob@example.org"), "{heard}");
    assert!(heard.contains("250 2.0.0 queued as "), "{heard}");
    assert!(!heard.contains("AUTH"), "{heard}");
    let kept = site.courier.0.lock().clone();
    let text = String::from_utf8(kept[0].1.to_bytes().unwrap().to_vec()).unwrap();
    assert!(text.contains("with ESMTPA id "), "{text}");
    assert!(text.contains("\r\nMessage-ID: <"), "{text}");
    let asked = site.asked.0.lock().join(", ");
    assert_eq!(
        asked,
        "connect -, ehlo -, auth TOKEN ann@example.org, mail ann@example.org, rcpt ann@example.org, data ann@example.org, \
         message ann@example.org, disconnect ann@example.org"
    );
    let stats = site.server.stats();
    assert_eq!((stats.accepted, stats.authenticated, stats.sessions_open), (1, 1, 0));
    assert_eq!(stats.sessions_by_listener, [("http".into(), 1)]);
}

#[tokio::test]
async fn a_user_of_this_host_sends_in_anybodys_name() {
    let site = site(Limits::default());
    let lines =
        format!("EHLO localhost\r\nMAIL FROM:<news@else.example>\r\nRCPT TO:<x@far.example>\r\n{MESSAGE}");
    let heard = converse(&site, Identity::System("ann".to_owned()), &lines).await;
    assert!(heard.contains("250 2.0.0 queued as "), "{heard}");
    assert!(site.asked.0.lock().contains(&"auth UNIX ann".to_owned()));
}

#[tokio::test]
async fn whom_the_hooks_refuse_sends_nothing_and_who_is_nobody_gets_no_session() {
    let site = site(Limits::default());
    let lines = "EHLO localhost\r\nMAIL FROM:<mallory@example.org>\r\nQUIT\r\n";
    let heard = converse(&site, Identity::System("mallory".to_owned()), lines).await;
    assert!(heard.contains("535 5.7.8 not you, mallory"), "{heard}");
    assert!(!heard.contains("sender ok"), "{heard}");
    let (_ours, theirs) = tokio::io::duplex(512);
    let refused = site.server.begin(theirs, insider(user("eve@example.org"))).unwrap_err();
    assert_eq!(refused.to_string(), "535 5.7.8 eve@example.org is no user of this server");
}

#[tokio::test]
async fn insiders_count_among_the_sessions_and_end_with_the_server() {
    let site = site(Limits { sessions: 1, ..Limits::default() });
    let (mut ours, theirs) = tokio::io::duplex(512);
    let session = site.server.begin(theirs, insider(user("ann@example.org"))).unwrap();
    let (_other, theirs) = tokio::io::duplex(512);
    let refused = site.server.begin(theirs, insider(user("ann@example.org"))).unwrap_err();
    assert_eq!((refused.code, site.server.stats().turned_away), (421, 1));
    assert!(site.server.shut_down(Duration::from_secs(20)).await);
    session.await.unwrap();
    let mut heard = String::new();
    ours.read_to_string(&mut heard).await.unwrap();
    assert!(heard.ends_with("421 4.3.2 mx.example.org is shutting down\r\n"), "{heard}");
    let (_late, theirs) = tokio::io::duplex(512);
    assert_eq!(site.server.begin(theirs, insider(user("ann@example.org"))).unwrap_err().code, 421);
}

#[tokio::test]
async fn a_session_is_seen_while_it_is_open_and_what_it_was_refused_afterwards() {
    let site = site(Limits::default());
    let (ours, theirs) = tokio::io::duplex(512);
    let session = site.server.begin(theirs, insider(user("ann@example.org"))).unwrap();
    let mut ours = BufReader::new(ours);
    let mut line = String::new();
    ours.get_mut().write_all(b"EHLO here\r\nMAIL FROM:<bob@example.org>\r\n").await.unwrap();
    while !line.starts_with("553") {
        line.clear();
        ours.read_line(&mut line).await.unwrap();
    }
    let seen = site.server.live().sessions(10).remove(0);
    assert_eq!((seen.helo.as_deref(), seen.user.as_deref()), (Some("here"), Some("ann@example.org")));
    assert_eq!(seen.verdict.unwrap().verdict, "reject");
    drop(ours);
    session.await.unwrap();
    assert!(site.server.live().is_empty());
    let said = site.server.live().verdicts().remove(0);
    assert_eq!(said.stage, Some(Stage::Mail));
    assert!(said.text.ends_with("may not send as bob@example.org"), "{}", said.text);
}
