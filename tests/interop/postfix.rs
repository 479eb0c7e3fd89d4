//! A Postfix of the test's own: its configuration and spool in a temporary folder, on a free port of a loopback address.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::harness::{Smtp, run, wait_until};

const MAIN: &str = include_str!("../postfix/main.cf");
const MASTER: &str = include_str!("../postfix/master.cf");

/// A folder with everything, not running.
pub(super) struct Stopped {
    folder: TempDir,
    address: SocketAddr,
}

/// One that runs; dropping it ends it.
pub(super) struct Postfix {
    stopped: Option<Stopped>,
    master: Child,
}

impl Postfix {
    /// Relays everything to this address; refused@elsewhere.example is refused.
    pub(super) fn relaying_to(next_hop: SocketAddr) -> Self {
        Self::relaying_with(next_hop, "")
    }

    /// The same, with further lines of main.cf.
    pub(super) fn relaying_with(next_hop: SocketAddr, extra: &str) -> Self {
        Self::relaying_at("127.0.0.1", next_hop, extra)
    }

    /// The same, on another address: mail that DNS leads to our own would come back to us.
    pub(super) fn relaying_at(ip: &str, next_hop: SocketAddr, extra: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("postfix-").tempdir().expect("a folder");
        // Postfix's own user has to reach what is its own in here.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        let address = TcpListener::bind((ip, 0)).and_then(|free| free.local_addr()).expect("a free port");
        write(folder.path(), address, next_hop, extra);
        Stopped { folder, address }.start()
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.stopped.as_ref().expect("the folder").address
    }

    /// Ends it and keeps its folder.
    pub(super) fn stop(mut self) -> Stopped {
        self.end();
        self.stopped.take().expect("the folder")
    }

    fn end(&mut self) {
        // SIGTERM: the master ends its own processes.
        let ended = run(Command::new("kill").arg(self.master.id().to_string()));
        assert!(ended.code == 0 || self.stopped.is_none(), "{}", ended.err);
        self.master.wait().expect("its end");
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if self.stopped.is_some() {
            self.end();
        }
    }
}

impl Stopped {
    pub(super) fn start(self) -> Postfix {
        let config = self.folder.path().join("etc");
        let mut command = Command::new("/usr/lib/postfix/sbin/master");
        command
            .arg("-c")
            .arg(&config)
            .arg("-d")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let master =
            command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}; `tests/setup interop` installs it"));
        let address = self.address;
        let postfix = Postfix { stopped: Some(self), master };
        wait_until("Postfix to greet", || {
            Smtp::tries_to_connect(address)
                .is_some_and(|mut client| client.next_reply().is_some_and(|reply| reply.code == 220))
        });
        postfix
    }
}

fn write(folder: &Path, address: SocketAddr, next_hop: SocketAddr, extra: &str) {
    for below in ["etc", "spool", "lib"] {
        fs::create_dir(folder.join(below)).expect("a folder");
    }
    let filled = |template: &str| {
        let template = template.replace("{folder}", &folder.display().to_string());
        template.replace("{address}", &address.to_string()).replace("{port}", &next_hop.port().to_string())
    };
    let refusing = "smtpd_recipient_restrictions = check_recipient_access inline:{refused@elsewhere.example=REJECT}, \
                    permit_mynetworks, reject\n";
    fs::write(folder.join("etc/main.cf"), filled(MAIN) + refusing + extra).expect("main.cf");
    fs::write(folder.join("etc/master.cf"), filled(MASTER)).expect("master.cf");
    // `postfix check` makes the queue's folders with the owners that they need.
    let owned = run(Command::new("chown").arg("postfix").arg(folder.join("lib")));
    assert_eq!(owned.code, 0, "{}", owned.err);
    let checked = run(Command::new("/usr/sbin/postfix").arg("-c").arg(folder.join("etc")).arg("check"));
    assert_eq!(checked.code, 0, "{}{}", checked.out, checked.err);
}
