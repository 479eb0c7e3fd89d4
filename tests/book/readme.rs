//! The first hour, from the README alone: its commands are typed in a clone, one after the other, up to a plugin of one's own that runs.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use super::pages::{blocks, root};
use crate::harness::{Setup, Smtp, run, target_dir, wait_until};
use crate::languages::with_tools;

/// The port of `make run` in the README; here it is a free one.
const PORT: &str = "2525";

/// A clone that was built, with what a person has beside it, and a terminal.
struct Walk {
    setup: Setup,
    port: u16,
    /// Where the terminal is.
    here: PathBuf,
    /// What runs in the other terminal.
    running: Option<Child>,
}

impl Walk {
    fn new() -> Self {
        let setup = Setup::new();
        let clone = setup.path("walk/waxwing");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        lay_out(&root(), &clone, &["target", "server", ".git"]);
        lay_out(&root().join("server"), &clone.join("server"), &["quickstart"]);
        let quickstart = clone.join("server/quickstart");
        fs::create_dir_all(&quickstart).expect("a folder");
        for name in ["run", "waxwing.toml"] {
            let from = root().join("server/quickstart").join(name);
            let text = fs::read_to_string(&from).expect("a file").replace(PORT, &port.to_string());
            fs::write(quickstart.join(name), text).expect("a file");
            let mode = fs::metadata(&from).expect("a file").permissions();
            fs::set_permissions(quickstart.join(name), mode).expect("its mode");
        }
        fs::create_dir_all(clone.join("target")).expect("a folder");
        for built in ["debug", "plugins", "plugin-toolchain"] {
            symlink(target_dir().join(built), clone.join("target").join(built)).expect("a link");
        }
        Self { setup, port, here: clone, running: None }
    }

    fn clone(&self, path: &str) -> PathBuf {
        self.setup.path("walk/waxwing").join(path)
    }

    /// A shell where the terminal is, with what compilers need. What `make build` and `make plugins` make is there.
    fn shell(&self, text: &str) -> Command {
        let mut shell = with_tools(Command::new("bash"), &self.setup);
        let here = self.setup.path("here");
        let ready = "make() { command make -o build -o plugins \"$@\"; }\n";
        let text = text.replace(PORT, &self.port.to_string());
        shell.args(["-euc", &format!("{ready}{text}\npwd >{}", here.display())]);
        shell.current_dir(&self.here).env_remove("CARGO_TARGET_DIR").env_remove("MAKEFLAGS");
        shell
    }

    fn types(&mut self, text: &str) {
        if text.contains("cargo new") {
            // What was compiled for another test is of use here.
            let shared = target_dir().join("plugin-tools/author");
            fs::create_dir_all(&shared).expect("a folder");
            return self.types_in_full(&text.replacen(
                "&& cd hello\n",
                &format!("&& cd hello\nln -s {} target\n", shared.display()),
                1,
            ));
        }
        self.types_in_full(text);
    }

    fn types_in_full(&mut self, text: &str) {
        let output = run(&mut self.shell(text));
        assert_eq!(output.code, 0, "{text}{}{}", output.out, output.err);
        let here = fs::read_to_string(self.setup.path("here")).expect("where it is");
        self.here = PathBuf::from(here.trim_end());
    }

    /// In the other terminal, where it goes on until Ctrl-C.
    fn types_and_leaves(&mut self, text: &str) {
        let mut shell = self.shell(text);
        let log = fs::File::create(self.setup.path("make-run.log")).expect("a log");
        shell.stdin(Stdio::null()).stderr(log.try_clone().expect("a log")).stdout(log).process_group(0);
        self.running = Some(shell.spawn().expect("a shell"));
        let (port, log) = (self.port, self.setup.path("make-run.log"));
        wait_until("`make run` to listen", || {
            let ended = self.running.as_mut().expect("a shell").try_wait().expect("its state").is_some();
            assert!(!ended, "{}", fs::read_to_string(&log).unwrap_or_default());
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
    }

    fn interrupts(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        // Where it has ended by itself, the test has failed already.
        if let Some(group) = i32::try_from(running.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::INT);
        }
        let _ = running.wait();
    }

    /// The messages that have arrived for somebody, in one text.
    fn arrived(&self, local: &str) -> String {
        let folder = self.clone("target/run/mail/example.org").join(local).join("new");
        let files = fs::read_dir(folder).into_iter().flatten();
        files.filter_map(|file| fs::read_to_string(file.ok()?.path()).ok()).collect()
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        self.interrupts();
    }
}

/// What lies in a folder, but for some: folders by links, and files by copies, which whatever goes wrong here may write to.
fn lay_out(from: &Path, to: &Path, but: &[&str]) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let copy = to.join(entry.file_name());
        if but.contains(&entry.file_name().to_string_lossy().as_ref()) {
            continue;
        }
        match entry.path().is_dir() {
            true => symlink(entry.path(), copy).expect("a link"),
            false => _ = fs::copy(entry.path(), copy).expect("a copy"),
        }
    }
}

#[test]
fn the_first_hour_can_be_walked_from_the_readme_alone() {
    let mut walk = Walk::new();
    let page = fs::read_to_string(root().join("README.md")).expect("the README");
    let mut typed = 0;
    for block in blocks(&page) {
        if !block.is_run().unwrap_or_else(|fault| panic!("README.md: {fault}")) {
            continue;
        }
        typed += 1;
        if block.text == "make run\n" {
            walk.types_and_leaves(&block.text);
            continue;
        }
        walk.types(&block.text);
        if block.text.contains("smtp://") {
            // "A moment later it is there."
            wait_until("the message", || walk.arrived("alice").contains("It works."));
        }
    }
    assert_eq!(typed, 5, "the README has other commands than those that this test knows what to expect of");
    assert!(walk.arrived("alice").contains("\nX-Waxwing: passed "), "{}", walk.arrived("alice"));

    // "From the next session on bob is refused, and everybody else's mail says hello."
    let listed = || {
        let mut command = walk.shell("target/debug/waxwing plugin list --config target/run/waxwing.toml");
        run(command.current_dir(walk.clone(""))).out
    };
    assert!(page.contains("`target/debug/waxwing plugin list\n--config target/run/waxwing.toml`"), "{page}");
    wait_until("the plugin to run", || listed().contains("hello"));
    let mut client = Smtp::greeted(([127, 0, 0, 1], walk.port).into());
    client.asks("MAIL FROM:<ann@example.com>", "250");
    client.asks("RCPT TO:<bob@example.org>", "550 5.7.1 bob reads no mail today");
    client.asks("RSET", "250");
    client.sends("ann@example.com", &["alice@example.org"], "Subject: to alice\r\n\r\nhello\r\n");
    wait_until("the message", || walk.arrived("alice").contains("X-Hello: to 1 of you"));

    // "Remove the file and it is over." "Ctrl-C ends the server."
    fs::remove_file(walk.clone("target/run/plugins/hello.wasm")).expect("the plugin");
    wait_until("the plugin to go", || !listed().contains("hello"));
    walk.interrupts();
    assert!(Smtp::tries_to_connect(([127, 0, 0, 1], walk.port).into()).is_none());
}
