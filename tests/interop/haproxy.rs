//! A haproxy of the test's own: its configuration in a temporary folder, on a free port of 127.0.0.1.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::harness::{Setup, Smtp, message, python, wait_for, wait_until};

/// One that runs; dropping it ends it.
struct Haproxy {
    child: Child,
    folder: TempDir,
    address: SocketAddr,
}

impl Haproxy {
    /// Hands connections on to this server, with the header that `send` names.
    fn to(server: SocketAddr, send: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("haproxy-").tempdir().expect("a folder");
        let address =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        let stats = folder.path().join("stats");
        let config = format!(
            "global\n stats socket {} mode 600\n maxconn 100\n\
             defaults\n mode tcp\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n\
             listen mx\n bind {address}\n option tcp-check\n tcp-check expect rstring ^220\n \
             server waxwing {server} {send} check check-send-proxy inter 200ms\n",
            stats.display()
        );
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, config).expect("its configuration");
        let mut command = Command::new("/usr/sbin/haproxy");
        command
            .arg("-db")
            .arg("-f")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child =
            command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}; `tests/setup interop` installs it"));
        let proxy = Self { child, folder, address };
        wait_until("haproxy to hand on", || {
            Smtp::tries_to_connect(address)
                .is_some_and(|mut client| client.next_reply().is_some_and(|reply| reply.code == 220))
        });
        proxy
    }

    /// How its last health check of the server ended.
    fn health(&self) -> String {
        let script = "import socket, sys\n\
                      s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'show stat\\n')\n\
                      text = b''\n\
                      while True:\n\
                      \x20   piece = s.recv(65536)\n\
                      \x20   if not piece: break\n\
                      \x20   text += piece\n\
                      rows = [line.split(',') for line in text.decode().splitlines() if line]\n\
                      row = next(r for r in rows if r[1] == 'waxwing')\n\
                      print(row[rows[0].index('check_status')], end='')";
        python(script, &[&self.folder.path().join("stats").display().to_string()])
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs haproxy: make interop"]
fn haproxy_names_the_client_in_both_versions_and_its_health_check_passes() {
    for send in ["send-proxy-v2", "send-proxy", "send-proxy-v2-ssl-cn"] {
        let setup = Setup::new()
            .set("[listener]", "proxy-protocol = \"127.0.0.1\"")
            .set("relay", "networks = [\"127.0.0.2\"]");
        let server = setup.start();
        let haproxy = Haproxy::to(server.address(), send);
        let script = "import smtplib, sys\n\
                      s = smtplib.SMTP('127.0.0.1', int(sys.argv[1]), source_address=(sys.argv[2], 0))\n\
                      s.ehlo('client.example.com'); s.mail('alice@example.org')\n\
                      print(s.rcpt('carl@elsewhere.example')[0], end='')";
        let port = haproxy.address.port().to_string();
        assert_eq!(python(script, &[&port, "127.0.0.2"]), "250", "{send}");
        assert_eq!(python(script, &[&port, "127.0.0.3"]), "550", "{send}");
        let word = format!("through {send}");
        Smtp::greeted(haproxy.address).sends("ann@example.com", &["alice@example.org"], message(&word));
        setup.mailbox("alice").with(&word);
        let health = wait_for("a health check", || Some(haproxy.health()).filter(|status| status != "INI"));
        assert_eq!(health, "L7OK", "{send}\n{}", server.log());
    }
}
