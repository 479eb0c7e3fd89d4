//! A socket with a server behind it, asked by the client of the commands.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{Content, Envelope, Mailbox, QueueId, ReversePath, Timestamp};
use queue::{Entry, Store};
use serde_json::Value;
use store::MemoryStore;

use crate::{
    Applied, Client, ClientError, ControlSocket, Counts, EntryView, Filter, Order, Outlook, Reloaded,
    Request, ServerStatus, Services, StateFilter, Touched,
};

async fn services() -> Services {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let resolver: Arc<dyn dns::Resolver> = Arc::new(dns::Fake::new());
    let engine = outbound::Engine::start(
        Arc::new(outbound::Options::new("mx.example.org")),
        Arc::clone(&store),
        Arc::clone(&resolver),
    );
    // Every host reserves address space for its instances, and a test run has many hosts.
    let mut options = plugin_host::Options::default();
    options.limits.instances = 4;
    let plugins = plugin_host::PluginHost::open(options, plugin_host::Services::default()).unwrap();
    let inbound_options = inbound::Options {
        hostname: "mx.example.org".into(),
        listeners: Vec::new(),
        insiders: Arc::default(),
        programs: Arc::default(),
        relay_networks: Vec::new(),
        authenticator: None,
        relay_grants: Arc::default(),
        sender_ledger: None,
        forwarding: None,
        senders: None,
        local: Arc::new(
            accounts::LocalDomains::new(accounts::Options {
                hostname: "mx.example.org".parse().unwrap(),
                domains: Vec::new(),
            })
            .unwrap(),
        ),
        limits: inbound::Limits::default(),
        reverse_dns: false,
    };
    let inbound_services = inbound::Services {
        store: Arc::clone(&store),
        courier: Arc::new(engine.clone()),
        hooks: Arc::new(plugins.clone()),
        resolver,
        tls: None,
        transcripts: Arc::default(),
    };
    Services {
        version: "0.0.0",
        hostname: "mx.example.org".to_owned(),
        started: Timestamp(0),
        store,
        engine,
        plugins,
        milters: milter::Milters::default(),
        inbound: Arc::new(
            inbound::Server::new(inbound_options, inbound_services, inbound::Sockets::default()).unwrap(),
        ),
        reload: Arc::new(|| Box::pin(async { Err::<Reloaded, _>("waxwing.toml:1: no".to_owned()) })),
        restart: Arc::new(|| Box::pin(async { Err("not now".to_owned()) })),
        outlook: Outlook { last_reload: Arc::new(|| None), certificates: Arc::new(Vec::new) },
        transcripts: Arc::default(),
    }
}

/// Held entries, so that nothing is attempted; their ids.
async fn fill(store: &dyn Store, count: usize, domain: &str) -> Vec<QueueId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let mut envelope = Envelope::new(ReversePath::Null, Vec::new());
        let mailbox = Mailbox::parse(&format!("ann@{domain}")).unwrap();
        envelope.add_recipient(mailbox.clone(), mailbox, Vec::new());
        let entry = Entry::new(store.new_id(), envelope, 3, Timestamp(1_000), Some("looks odd"));
        ids.push(entry.id);
        store.commit(Arc::new(entry), Content::from(Bytes::from_static(b"\r\n\r\n"))).await.unwrap();
    }
    ids
}

/// Runs a conversation on a thread that may wait.
async fn with_client<T: Send + 'static>(
    dir: &Path,
    talk: impl FnOnce(&mut Client) -> T + Send + 'static,
) -> T {
    let dir = dir.to_owned();
    tokio::task::spawn_blocking(move || talk(&mut Client::connect(&dir).unwrap())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_is_listed_in_pages_and_filtered() {
    let dir = tempfile::tempdir().unwrap();
    let services = services().await;
    let mut ids = fill(&*services.store, 1_203, "example.org").await;
    let others = fill(&*services.store, 2, "other.example").await;
    ids.extend(&others);
    let mut socket = ControlSocket::bind(dir.path()).unwrap();
    socket.start(Arc::new(services));
    let listed = |state, domain: Option<&'static str>| {
        let filter = Filter { state, domain: domain.map(str::to_owned), ..Filter::default() };
        with_client(dir.path(), move |client| {
            let (mut ids, mut pages) = (Vec::new(), 0);
            let listing = client.list::<ClientError>(&filter, None, None, |page| {
                pages += 1;
                ids.extend(page.entries.iter().map(|row| row.id));
                Ok(())
            });
            listing.unwrap();
            (ids, pages)
        })
    };
    assert_eq!(listed(None, None).await, (ids.clone(), 3));
    let few = with_client(dir.path(), move |client| {
        let mut few = Vec::new();
        let next = client.list::<ClientError>(&Filter::default(), Some(ids[600]), Some(502), |page| {
            few.extend(page.entries.iter().map(|row| row.id));
            Ok(())
        });
        assert_eq!((few, next.unwrap()), (ids[601..1103].to_vec(), Some(ids[1102])));
    });
    few.await;
    assert_eq!(listed(Some(StateFilter::Held), Some("OTHER.example")).await.0, others);
    assert_eq!(listed(Some(StateFilter::Waiting), None).await.0, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_are_shown_and_removed_and_the_unknown_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let services = services().await;
    let store = Arc::clone(&services.store);
    let id = fill(&*store, 1, "example.org").await[0];
    let mut socket = ControlSocket::bind(dir.path()).unwrap();
    socket.start(Arc::new(services));
    with_client(dir.path(), move |client| {
        let shown: EntryView = client.call(&Request::QueueShow { id }).unwrap();
        assert_eq!(shown.recipients[0].held_because.as_deref(), Some("looks odd"));
        assert_eq!(shown.arrived, "1970-01-01T00:00:01Z");
        let status: ServerStatus = client.call(&Request::Status).unwrap();
        assert_eq!((status.queue.held, status.pid), (1, std::process::id()));
        let applied: Applied = client.call(&Request::QueueOrder { id, order: Order::Remove }).unwrap();
        assert_eq!(applied, Applied::Now);
        let gone = client.call::<EntryView>(&Request::QueueShow { id }).unwrap_err().to_string();
        assert!(gone.contains(&id.to_string()), "{gone}");
        let all = Request::QueueOrderAll { order: Order::Retry, filter: Filter::default() };
        assert_eq!(client.call::<Touched>(&all).unwrap().entries, 0);
        let refused = client.call::<Reloaded>(&Request::Reload).unwrap_err().to_string();
        assert_eq!(refused, "waxwing.toml:1: no");
        let plugins: Value = client.call(&Request::PluginList).unwrap();
        assert_eq!(plugins["plugins"].as_array().map(Vec::len), Some(0));
    })
    .await;
    assert_eq!(store.totals().held, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_is_counted_read_and_removed_by_a_filter() {
    let dir = tempfile::tempdir().unwrap();
    let services = services().await;
    let store = Arc::clone(&services.store);
    let ids = fill(&*store, 3, "example.org").await;
    fill(&*store, 2, "other.example").await;
    let mut socket = ControlSocket::bind(dir.path()).unwrap();
    socket.start(Arc::new(services));
    with_client(dir.path(), move |client| {
        let counts: Counts = client.call(&Request::QueueCounts { limit: Some(1) }).unwrap();
        assert_eq!((counts.entries_held, counts.recipients_held, counts.domains_left), (5, 5, 2));
        assert_eq!((counts.domains[0].name.as_str(), counts.domains[0].held), ("example.org", 3));
        assert_eq!((counts.reasons[0].name.as_str(), counts.reasons[0].held), ("looks odd", 5));
        assert_eq!(counts.oldest.as_deref(), Some("1970-01-01T00:00:01Z"));
        let mut message = Vec::new();
        let read = client.content::<ClientError>(ids[0], |octets| {
            message.extend_from_slice(octets);
            Ok(())
        });
        read.unwrap();
        assert_eq!(message, b"\r\n\r\n");
        let filter = |domain: &str| Filter {
            domain: Some(domain.to_owned()),
            reason: Some("ODD".to_owned()),
            ..Filter::default()
        };
        let remove = |filter| Request::QueueOrderAll { order: Order::Remove, filter };
        assert_eq!(client.call::<Touched>(&remove(filter("other.example"))).unwrap().entries, 2);
        assert_eq!(client.call::<Touched>(&remove(filter("nobody.example"))).unwrap().entries, 0);
        let refused = client.call::<Touched>(&remove(filter("no domain"))).unwrap_err().to_string();
        assert!(refused.starts_with("\"no domain\": "), "{refused}");
    })
    .await;
    assert_eq!(store.totals().held, 3);
}

#[tokio::test]
async fn a_message_of_several_pieces_comes_whole() {
    let store = MemoryStore::new();
    let id = store.new_id();
    let mut envelope = Envelope::new(ReversePath::Null, Vec::new());
    let mailbox = Mailbox::parse("ann@example.org").unwrap();
    envelope.add_recipient(mailbox.clone(), mailbox, Vec::new());
    let message: Bytes = (0..2_000_000u32).map(|nth| (nth % 251) as u8).collect();
    let entry = Entry::new(id, envelope, 2_000_000, Timestamp(1), Some("x"));
    store.commit(Arc::new(entry), Content::from(message.clone())).await.unwrap();
    let (mut read, mut offset, mut pieces) = (Vec::new(), Some(0), 0);
    while let Some(from) = offset {
        let piece = crate::listing::content(&store, id, from).unwrap();
        let octets = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, piece.octets);
        read.extend(octets.unwrap());
        (offset, pieces) = (piece.next, pieces + 1);
    }
    assert_eq!((read == message, pieces), (true, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_is_answered_and_what_is_too_long_ends_the_connection() {
    use std::io::{BufRead, BufReader, Read, Write};
    let dir = tempfile::tempdir().unwrap();
    let mut socket = ControlSocket::bind(dir.path()).unwrap();
    socket.start(Arc::new(services().await));
    let path = dir.path().join(crate::SOCKET_NAME);
    tokio::task::spawn_blocking(move || {
        let stream = std::os::unix::net::UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        for bad in ["\n", "{\n", "{\"call\":\"dance\"}\n", "{\"call\":\"queue-show\",\"id\":\"x\"}\n"] {
            stream.get_mut().write_all(bad.as_bytes()).unwrap();
            line.clear();
            stream.read_line(&mut line).unwrap();
            assert!(line.starts_with("{\"error\":\"not a request: "), "{line}");
        }
        stream.get_mut().write_all(&[b' '; 64 << 10]).unwrap();
        line.clear();
        stream.read_to_string(&mut line).unwrap();
        assert_eq!(line, "{\"error\":\"the request is longer than 64 KiB\"}\n");
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_live_socket_is_refused_a_stale_one_replaced_and_nobody_else_may_open_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(crate::SOCKET_NAME);
    let live = ControlSocket::bind(dir.path()).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let refused = ControlSocket::bind(dir.path()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::AddrInUse);
    drop(live);
    assert!(!path.exists());
    // As a server leaves it that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(matches!(Client::connect(dir.path()), Err(ClientError::NobodyListens(_))));
    drop(ControlSocket::bind(dir.path()).unwrap());
    assert!(matches!(Client::connect(dir.path()), Err(ClientError::NoSocket(_))));
    std::fs::write(&path, "mine").unwrap();
    assert!(ControlSocket::bind(dir.path()).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}
