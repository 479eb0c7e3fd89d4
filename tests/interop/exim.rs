//! An Exim of the test's own, unpacked beside Postfix by `tests/setup interop`: its files in a temporary folder, on a free port.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::relays::Pair;
use crate::harness::{Smtp, run, run_with_input, target_dir, wait_until};

/// Its folder and configuration; it relays all mail to one next hop.
pub(super) struct Exim {
    folder: TempDir,
    address: SocketAddr,
    daemon: Option<Child>,
}

impl Exim {
    /// Not listening. `transport` has further lines of its SMTP transport.
    pub(super) fn relaying_to(next_hop: SocketAddr, transport: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("exim-").tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        let address =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        for below in ["spool", "log"] {
            fs::create_dir(folder.path().join(below)).expect("a folder");
        }
        let config = include_str!("../exim/exim.conf")
            .replace("{folder}", &folder.path().display().to_string())
            .replace("{port}", &address.port().to_string())
            .replace("{next_port}", &next_hop.port().to_string())
            .replace("{program}", &program().display().to_string())
            .replace("{transport}", transport);
        fs::write(folder.path().join("exim.conf"), config).expect("its configuration");
        let owned = run(Command::new("chown").arg("-R").arg("Debian-exim:Debian-exim").arg(folder.path()));
        assert_eq!(owned.code, 0, "{}", owned.err);
        // Exim takes its configuration from nobody but root.
        let own = run(Command::new("chown").arg("root:root").arg(folder.path().join("exim.conf")));
        assert_eq!(own.code, 0, "{}", own.err);
        Self { folder, address, daemon: None }
    }

    /// Offers TLS with this certificate.
    pub(super) fn under_tls(self, pair: &Pair) -> Self {
        // Exim reads them as its own user.
        let (certificate, key) = (self.folder.path().join("tls.pem"), self.folder.path().join("tls.key"));
        for (from, to) in [(&pair.certificate, &certificate), (&pair.key, &key)] {
            fs::copy(from, to).expect("a copy");
            let owned = run(Command::new("chown").arg("Debian-exim").arg(to));
            assert_eq!(owned.code, 0, "{}", owned.err);
        }
        let file = self.folder.path().join("exim.conf");
        let offered = format!(
            "tls_advertise_hosts = *\ntls_certificate = {}\ntls_privatekey = {}\n",
            certificate.display(),
            key.display()
        );
        let config = fs::read_to_string(&file).expect("its configuration");
        fs::write(&file, config.replace("tls_advertise_hosts =\n", &offered)).expect("its configuration");
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(program());
        command.arg("-C").arg(self.folder.path().join("exim.conf"));
        command
    }

    /// Sends a message at once, as a local program would.
    #[track_caller]
    pub(super) fn sends(&self, arguments: &[&str], message: &str) {
        let sent = run_with_input(self.command().args(["-odf", "-oi"]).args(arguments), message.as_bytes());
        assert_eq!(sent.code, 0, "{}{}\n{}", sent.out, sent.err, self.log());
    }

    /// What it has logged.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log/mainlog")).unwrap_or_default()
    }

    /// Begins to listen.
    pub(super) fn listening(mut self) -> Self {
        let mut command = self.command();
        command.args(["-bdf", "-q1s"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let started = command.spawn();
        self.daemon =
            Some(started.unwrap_or_else(|e| panic!("{command:?}: {e}; `tests/setup interop` unpacks it")));
        wait_until("Exim to greet", || {
            Smtp::tries_to_connect(self.address)
                .is_some_and(|mut client| client.next_reply().is_some_and(|reply| reply.code == 220))
        });
        self
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

fn program() -> PathBuf {
    target_dir().join("interop/servers/usr/sbin/exim4")
}

impl Drop for Exim {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            // SIGTERM: the daemon ends well; what it started ends with its delivery.
            let ended = run(Command::new("kill").arg(daemon.id().to_string()));
            assert!(ended.code == 0 || std::thread::panicking(), "{}", ended.err);
            daemon.wait().expect("its end");
        }
        if std::thread::panicking() {
            println!("--- Exim's log ---\n{}---", self.log());
        }
    }
}
