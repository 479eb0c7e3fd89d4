//! A place for a server to live in: a temporary folder with its configuration, plugins, data and mailboxes.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use super::{Maildir, Output, Server, run};

/// The folder and the configuration. The folder goes with the last setup or server that uses it.
#[derive(Debug)]
pub(crate) struct Setup {
    home: Arc<TempDir>,
    top: Vec<String>,
    tables: BTreeMap<String, Vec<String>>,
    blocks: Vec<String>,
    open_files: Option<u32>,
    launcher: Vec<String>,
}

impl Setup {
    /// One listener, and the domain example.org with the mailboxes alice, bob, carol and dave. Clients of this machine may not relay.
    pub(crate) fn new() -> Self {
        let setup = Self::without_domains();
        let maildir = setup.path("mail/{domain}/{local}");
        setup.block(&format!(
            "[[domain]]\nname = \"example.org\"\ndeliver = {{ maildir = \"{}\" }}\nmailboxes = [\"alice\", \"bob\", \"carol\", \"dave\"]",
            maildir.display()
        ))
    }

    /// One listener and nothing that mail could go to.
    pub(crate) fn without_domains() -> Self {
        let home = tempfile::Builder::new().prefix("waxwing-").tempdir().expect("a folder");
        for folder in ["plugins", "mail"] {
            std::fs::create_dir(home.path().join(folder)).expect("a folder");
        }
        Self {
            home: Arc::new(home),
            top: Vec::new(),
            tables: BTreeMap::new(),
            blocks: Vec::new(),
            open_files: None,
            launcher: Vec::new(),
        }
        .top("hostname = \"mx.example.org\"")
        .top("data-dir = \"data\"")
        .set("[listener]", "name = \"mx\"")
        .set("[listener]", "bind = [\"127.0.0.1:0\"]")
        .set("plugins", "dir = \"plugins\"")
    }

    /// A line before the first table.
    pub(crate) fn top(mut self, line: &str) -> Self {
        self.top.push(line.to_owned());
        self
    }

    /// A line before the first table, in place of the one with the same key.
    pub(crate) fn change_top(&mut self, line: &str) {
        let key = |line: &str| line.split_once('=').map(|(key, _)| key.trim().to_owned());
        self.top.retain(|other| key(other) != key(line));
        self.top.push(line.to_owned());
    }

    /// A line of a table; the listener is `[listener]`, with brackets of its own.
    pub(crate) fn set(mut self, table: &str, line: &str) -> Self {
        self.change(table, line);
        self
    }

    /// As [`Setup::set`], for a setup that runs already; [`Setup::write`] makes it count. The last value of a key stays.
    pub(crate) fn change(&mut self, table: &str, line: &str) {
        let key = |line: &str| line.split_once('=').map(|(key, _)| key.trim().to_owned());
        let lines = self.tables.entry(table.to_owned()).or_default();
        lines.retain(|other| key(other) != key(line));
        lines.push(line.to_owned());
    }

    /// A whole block, such as another `[[domain]]`.
    pub(crate) fn block(mut self, text: &str) -> Self {
        self.blocks.push(text.to_owned());
        self
    }

    /// The server may open no more files than this.
    pub(crate) fn open_files(mut self, count: u32) -> Self {
        self.open_files = Some(count);
        self
    }

    /// The binary is run by this program: its name and arguments; the binary's own follow.
    pub(crate) fn launched_by(mut self, launcher: &[&str]) -> Self {
        self.launcher = launcher.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// A certificate for mx.example.org, made now, that clients can trust: its file.
    pub(crate) fn certificate(&mut self) -> PathBuf {
        let made = rcgen::generate_simple_self_signed(["mx.example.org".to_owned()]).expect("a certificate");
        let (certificate, key) = (self.path("certificate.pem"), self.path("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).expect("the certificate");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("the key");
        std::fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("a key of one's own");
        self.change("tls", &format!("certificate = \"{}\"", certificate.display()));
        self.change("tls", &format!("key = \"{}\"", key.display()));
        certificate
    }

    /// Mail for other domains goes here.
    pub(crate) fn smarthost(self, address: SocketAddr) -> Self {
        self.set("outbound", &format!("smarthost = \"{address}\""))
    }

    /// Clients of this machine may relay.
    pub(crate) fn relays(self) -> Self {
        self.set("relay", "networks = [\"127.0.0.0/8\"]")
    }

    /// Attempts follow each other quickly.
    pub(crate) fn hurries(self) -> Self {
        self.set("queue", "retry = [\"200ms\"]")
            .set("outbound.limits", "backoff = \"100ms\"")
            .set("outbound.limits", "backoff-max = \"300ms\"")
            .set("outbound.limits", "sweep = \"200ms\"")
    }

    /// A plugin from `target/plugins`, under its own name, with its table in the configuration.
    pub(crate) fn plugin(self, name: &str, lines: &[&str]) -> Self {
        self.plugin_as(name, name, lines)
    }

    /// A plugin from `target/plugins` under another name.
    pub(crate) fn plugin_as(mut self, name: &str, file: &str, lines: &[&str]) -> Self {
        self.drop_in(name, file);
        self.tables.entry(format!("plugins.{name}")).or_default();
        for line in lines {
            self = self.set(&format!("plugins.{name}"), line);
        }
        self
    }

    /// Puts a plugin's file into the plugins' folder, as a person would: in one step.
    pub(crate) fn drop_in(&self, name: &str, file: &str) {
        self.drop_in_octets(name, &std::fs::read(component(file)).expect("a component"));
    }

    /// The same for octets that may be no plugin.
    pub(crate) fn drop_in_octets(&self, name: &str, octets: &[u8]) {
        let aside = self.path(&format!("plugins/.{name}.new"));
        std::fs::write(&aside, octets).expect("the file");
        std::fs::rename(aside, self.plugin_file(name)).expect("the file in its place");
    }

    /// Where a plugin's file lies.
    pub(crate) fn plugin_file(&self, name: &str) -> PathBuf {
        self.path(&format!("plugins/{name}.wasm"))
    }

    pub(super) fn home(&self) -> Arc<TempDir> {
        Arc::clone(&self.home)
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.home.path().join(below)
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.path("waxwing.toml")
    }

    /// A mailbox of example.org.
    pub(crate) fn mailbox(&self, local: &str) -> Maildir {
        Maildir::at(self.path("mail/example.org").join(local))
    }

    /// The configuration as text.
    pub(crate) fn text(&self) -> String {
        let mut text = self.top.join("\n");
        for (table, lines) in &self.tables {
            write!(text, "\n\n[{table}]\n{}", lines.join("\n")).expect("memory");
        }
        for block in &self.blocks {
            write!(text, "\n\n{block}").expect("memory");
        }
        text + "\n"
    }

    /// Writes the configuration.
    pub(crate) fn write(&self) {
        std::fs::write(self.config_file(), self.text()).expect("the configuration");
    }

    /// Writes the configuration and starts the server; it accepts connections when this returns.
    pub(crate) fn start(&self) -> Server {
        self.write();
        Server::start(self)
    }

    /// Starts the server with the configuration that lies there, whoever wrote it.
    pub(crate) fn start_as_written(&self) -> Server {
        Server::start(self)
    }

    /// Writes the configuration and has `waxwing check` look at it.
    pub(crate) fn checked(&self) -> Output {
        self.write();
        self.command(&["check"])
    }

    /// Runs another command of the binary with this configuration, to its end.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        run(self.binary().args(arguments).arg("--config").arg(self.config_file()))
    }

    /// A command that must succeed and print JSON.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let output = self.command(&[arguments, &["--json"]].concat());
        assert_eq!(output.code, 0, "{arguments:?}: {}{}", output.out, output.err);
        serde_json::from_str(&output.out).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {}", output.out))
    }

    /// The binary, to be run in the folder.
    pub(crate) fn binary(&self) -> Command {
        let program = target_dir().join("debug/waxwing");
        let mut command = match (self.open_files, self.launcher.split_first()) {
            (None, None) => Command::new(program),
            (None, Some((launcher, arguments))) => {
                let mut launcher = Command::new(launcher);
                launcher.args(arguments).arg(program);
                launcher
            }
            (Some(count), _) => {
                let mut shell = Command::new("bash");
                shell.args(["-c", "ulimit -n \"$0\" && exec \"$@\"", &count.to_string()]).arg(program);
                shell
            }
        };
        command.current_dir(self.home.path());
        command
    }
}

/// The folder that cargo builds into: the test itself lies in its debug/deps.
pub(crate) fn target_dir() -> PathBuf {
    let this = std::env::current_exe().expect("the test's own path");
    this.ancestors().nth(3).map(Path::to_owned).expect("target/debug/deps")
}

/// A built plugin: a bundled one, or one that misbehaves.
pub(crate) fn component(name: &str) -> PathBuf {
    let plugins = target_dir().join("plugins");
    let candidates = [plugins.join(format!("{name}.wasm")), plugins.join(format!("hostile/{name}.wasm"))];
    let found = candidates.into_iter().find(|path| path.exists());
    found.unwrap_or_else(|| panic!("no plugin {name} in {}: run `make plugins`", plugins.display()))
}
