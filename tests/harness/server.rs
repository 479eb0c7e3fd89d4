//! The server as a process.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{Setup, Smtp, wait_for};

/// A server that runs; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// The folder stays as long as the server.
    _home: Arc<TempDir>,
    log: Arc<Mutex<String>>,
    listeners: HashMap<String, SocketAddr>,
}

impl Server {
    /// Starts it in a folder; returns when it accepts.
    pub(super) fn start(setup: &Setup) -> Self {
        let mut command = setup.binary();
        command.args(["serve", "--config"]).arg(setup.config_file());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}; `make build` builds it"));
        let log = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().expect("standard output"), &log);
        collect(child.stderr.take().expect("standard error"), &log);
        let mut server = Self { child, _home: setup.home(), log, listeners: HashMap::new() };
        let names = names(setup);
        server.listeners = wait_for("the server to listen", || {
            if let Some(status) = server.child.try_wait().expect("its state") {
                panic!("the server ended at once, {status}:\n{}", server.log());
            }
            // They are told line by line.
            let told = listeners(&server.log());
            let are_all = !told.is_empty() && names.iter().all(|name| told.contains_key(name));
            are_all.then_some(told)
        });
        server
    }

    /// Where the listener "mx" accepts.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener("mx")
    }

    /// Where a listener accepts.
    pub(crate) fn listener(&self, name: &str) -> SocketAddr {
        *self.listeners.get(name).unwrap_or_else(|| panic!("no listener {name} in {:?}", self.listeners))
    }

    /// A client that has said EHLO.
    pub(crate) fn client(&self) -> Smtp {
        Smtp::greeted(self.address())
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    /// The lines of the log that have all of these words.
    pub(crate) fn logged(&self, words: &[&str]) -> Vec<String> {
        self.log()
            .lines()
            .filter(|line| words.iter().all(|word| line.contains(word)))
            .map(str::to_owned)
            .collect()
    }

    /// Waits for a line of the log that has all of these words.
    #[track_caller]
    pub(crate) fn logs(&self, words: &[&str]) -> String {
        wait_for(&format!("{words:?} in the log"), || self.logged(words).into_iter().next())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id")).expect("a process id");
        kill_process(pid, signal).expect("a signal to the server");
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// SIGUSR2.
    pub(crate) fn begin_anew(&self) {
        self.signal(Signal::USR2);
    }

    /// SIGTERM, without waiting.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGINT, without waiting.
    pub(crate) fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Waits until it has ended.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> ExitStatus {
        wait_for("the server to end", || self.child.try_wait().expect("its state"))
    }

    /// SIGTERM; it must end well.
    #[track_caller]
    pub(crate) fn stops(mut self) {
        self.terminate();
        let status = self.ends();
        assert!(status.success(), "{status}:\n{}", self.log());
    }

    /// kill -9; the folder is left as it is.
    pub(crate) fn dies(mut self) {
        self.child.kill().expect("kill -9");
        self.child.wait().expect("its end");
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("--- the server's log ---\n{}---", self.log());
        }
    }
}

fn collect(stream: impl Read + Send + 'static, log: &Arc<Mutex<String>>) {
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            log.lock().expect("the log").push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
}

/// What is to listen by the configuration.
fn names(setup: &Setup) -> Vec<String> {
    let text = std::fs::read_to_string(setup.config_file()).expect("the configuration");
    let config: toml::Table = text.parse().unwrap_or_default();
    let for_mail = config.get("listener").and_then(|all| all.as_array()).into_iter().flatten();
    let for_mail = for_mail.filter_map(|listener| Some(listener.get("name")?.as_str()?.to_owned()));
    let listens = |name: &&str| config.get(*name).is_some_and(|table| table.get("bind").is_some());
    for_mail.chain(["metrics", "web"].into_iter().filter(listens).map(str::to_owned)).collect()
}

/// The listeners that the server says it has: "listening NAME ADDRESS".
fn listeners(log: &str) -> HashMap<String, SocketAddr> {
    let mut found = HashMap::new();
    for line in log.lines().filter_map(|line| line.strip_prefix("listening ")) {
        let mut words = line.split_whitespace();
        let (name, address) = (words.next(), words.next().and_then(|word| word.parse().ok()));
        if let (Some(name), Some(address)) = (name, address) {
            found.insert(name.to_owned(), address);
        }
    }
    found
}
