//! A directory of plugins with a host on it, and sessions to ask in.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hooks::{Answer, Hooks, Protocol, Request, SessionFacts, SessionHooks, TransactionFacts};
use model::{Content, Envelope, Mailbox, QueueId, ReversePath, SessionId};
use plugin_host::{LoadReport, Options, PluginHost, PluginStatus, Services};
use tempfile::TempDir;

pub(crate) struct Bed {
    pub(crate) host: PluginHost,
    pub(crate) options: Options,
    _dir: TempDir,
}

impl Bed {
    /// A host with these plugins, loaded and asked in the order of their names.
    pub(crate) async fn with(plugins: &[(&str, &[u8])]) -> Self {
        let bed = Self::open(|_| {}, Services::default());
        for (name, component) in plugins {
            bed.put(name, component);
        }
        for report in bed.load().await {
            report.outcome.unwrap_or_else(|error| panic!("{}: {error}", report.name));
        }
        bed
    }

    /// A host without plugins.
    pub(crate) fn open(change: impl FnOnce(&mut Options), services: Services) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options {
            dir: dir.path().join("plugins"),
            cache_dir: dir.path().join("compiled"),
            ..Options::default()
        };
        options.limits.instances = 50;
        options.limits.cpu_per_hook = Duration::from_millis(100);
        std::fs::create_dir(&options.dir).unwrap();
        change(&mut options);
        let host = PluginHost::open(options.clone(), services).unwrap();
        Self { host, options, _dir: dir }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.options.dir.join(format!("{name}.wasm"))
    }

    /// Renames a file into place.
    pub(crate) fn put(&self, name: &str, component: &[u8]) {
        let unfinished = self.options.dir.join(format!(".{name}.wasm"));
        std::fs::write(&unfinished, component).unwrap();
        std::fs::rename(unfinished, self.file(name)).unwrap();
    }

    pub(crate) async fn load(&self) -> Vec<LoadReport> {
        self.host.load_all().await
    }

    pub(crate) fn session(&self) -> Session {
        Session::of(&self.host)
    }

    pub(crate) fn plugin(&self, name: &str) -> Option<PluginStatus> {
        self.host.status().plugins.into_iter().find(|plugin| plugin.name == name)
    }

    /// Waits until it is so; the watcher has as long as a slow machine needs.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..3_000 {
            if is_so(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never happened: {what}; {:?}", self.host.status());
    }
}

pub(crate) struct Session {
    pub(crate) hooks: Box<dyn SessionHooks>,
    pub(crate) facts: Arc<SessionFacts>,
}

impl Session {
    pub(crate) fn of(host: &PluginHost) -> Self {
        Self { hooks: host.begin(), facts: facts() }
    }

    pub(crate) async fn ask(&mut self, request: Request<'_>) -> Answer {
        self.hooks.ask(request, &self.facts, None).await
    }

    pub(crate) async fn message(&mut self, message: &'static str) -> Answer {
        let transaction = transaction(message);
        self.hooks.ask(Request::Message, &self.facts, Some(&transaction)).await
    }
}

pub(crate) fn facts() -> Arc<SessionFacts> {
    Arc::new(SessionFacts {
        id: SessionId(7),
        listener: "mx".into(),
        peer: "192.0.2.1:4711".parse().unwrap(),
        peer_name: Some("client.example.net".to_owned()),
        helo: Some("client".to_owned()),
        protocol: Protocol::Esmtp,
        tls: None,
        auth_user: None,
        auth_mechanism: None,
        may_relay: false,
        server_name: "mx.example.org".into(),
        local: "192.0.2.25:25".parse().unwrap(),
    })
}

pub(crate) fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

pub(crate) fn transaction(message: &'static str) -> Arc<TransactionFacts> {
    let mut envelope = Envelope::new(ReversePath::Mailbox(mailbox("ann@example.org")), Vec::new());
    envelope.add_recipient(mailbox("bob@example.net"), mailbox("bob@example.net"), Vec::new());
    let content = Some(Content::from(bytes::Bytes::from_static(message.as_bytes())));
    Arc::new(TransactionFacts { id: QueueId(1), envelope, content, findings: Vec::new() })
}

pub(crate) fn text(answer: &Answer) -> String {
    let content = answer.content.as_ref().expect("the message was edited");
    String::from_utf8(content.to_bytes().unwrap().to_vec()).unwrap()
}

/// What clients hear of a plugin that failed.
pub(crate) fn tempfail() -> hooks::Verdict {
    let text = "temporary failure in a mail filter, please try again";
    hooks::Verdict::TempFail(model::Reply::new(451, (4, 3, 0), text))
}
