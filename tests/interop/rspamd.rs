//! rspamd as Debian has it, behind the plugin that asks it over HTTP.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::harness::{Setup, wait_until};

/// It runs as long as this value: a normal worker with the modules of Debian, and no DNS but a port where nobody answers.
struct Rspamd {
    _folder: TempDir,
    child: Child,
    address: SocketAddr,
}

impl Rspamd {
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("rspamd-").tempdir().expect("a folder");
        let at = folder.path();
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
        // The world's whole list takes it half a minute to compile.
        fs::write(at.join("tld"), "com\norg\nexample\n").expect("a list of domains");
        let config = format!(
            "options {{ url_tld = \"{0}/tld\"; tempdir = \"{0}\"; disable_hyperscan = true; pidfile = \"{0}/pid\"; filters = \"chartable,regexp\"; local_addrs = []; history_file = \"{0}/history\";\n\
               dns {{ nameserver = [\"127.0.0.1:9\"]; timeout = 0.1s; retransmits = 0; }}\n\
               control_socket = \"{0}/control.sock\"; hs_cache_dir = \"{0}\"; }}\n\
             logging {{ type = \"file\"; filename = \"{0}/log\"; level = \"info\"; }}\n\
             worker \"normal\" {{ bind_socket = \"{address}\"; count = 1; }}\n\
             actions {{ reject = 15; add_header = 6; greylist = null; }}\n\
             gtube_patterns = \"all\";\n\
             regexp {{ TEST_WORD {{ re = \"/spamlike-test-word/i{{body}}\"; score = 8.0; }} }}\n",
            at.display()
        );
        fs::write(at.join("rspamd.conf"), config).expect("its configuration");
        let mut command = Command::new("rspamd");
        command.args(["-i", "-f", "-c"]).arg(at.join("rspamd.conf")).current_dir(at);
        let child =
            command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("rspamd");
        let mut rspamd = Self { _folder: folder, child, address };
        wait_until("rspamd to listen", || {
            let ended = rspamd.child.try_wait().expect("its state");
            assert!(ended.is_none(), "rspamd ended at once, {ended:?}");
            TcpStream::connect(rspamd.address).is_ok()
        });
        rspamd
    }
}

impl Drop for Rspamd {
    fn drop(&mut self) {
        // Its workers do not end with it.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs rspamd: make interop"]
fn rspamd_lets_mail_pass_marks_it_and_refuses_it() {
    let rspamd = Rspamd::start();
    let settings = format!("settings = {{ url = \"http://{}\" }}", rspamd.address);
    let grants = format!("grants = {{ http = [\"{}\"] }}", rspamd.address);
    let setup = Setup::new().plugin("rspamd", &[&grants, &settings]);
    let server = setup.start();
    let send = |subject: &str, body: &str| {
        let mut client = server.client();
        client.begins_message("ann@example.com", &["alice@example.org"]);
        client.ends_message(format!(
            "From: ann@example.com\r\nTo: alice@example.org\r\nDate: Thu, 26 Nov 2026 00:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n\
             Subject: {subject}\r\n\r\n{body}\r\n"
        ))
    };
    let reply = send("ham", "lunch at noon?");
    assert_eq!(reply.code, 250, "{}", reply.text);
    assert!(!setup.mailbox("alice").with("Subject: ham").contains("X-Spam"));
    let reply = send("odd", "a spamlike-test-word in it");
    assert_eq!(reply.code, 250, "{}", reply.text);
    assert!(setup.mailbox("alice").with("Subject: odd").contains("X-Spam: Yes\n"));
    // The pattern that every rspamd refuses.
    let gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X";
    let reply = send("spam", gtube);
    assert!(reply.begins("550 5.7.1 Gtube pattern"), "{reply:?}");
    server.logs(&["rspamd", "is refused"]);
}
