//! A Postfix of the test's own: its configuration and spool in a temporary folder, on a free port of 127.0.0.1.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::harness::{Smtp, run, wait_until};

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
        let folder = tempfile::Builder::new().prefix("postfix-").tempdir().expect("a folder");
        // Postfix's own user has to reach what is its own in here.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        let address =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        write(folder.path(), address, next_hop);
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

fn write(folder: &Path, address: SocketAddr, next_hop: SocketAddr) {
    let at = |below: &str| folder.join(below).display().to_string();
    for below in ["etc", "spool", "lib"] {
        fs::create_dir(folder.join(below)).expect("a folder");
    }
    let main = format!(
        "compatibility_level = 3.6\nmaillog_file = {log}\nmaillog_file_prefixes = {folder}\nqueue_directory = {spool}\ndata_directory = {lib}\n\
         myhostname = postfix.example\nmydestination =\nmynetworks = 127.0.0.0/8\nrelayhost = [127.0.0.1]:{port}\n\
         disable_dns_lookups = yes\nsmtp_host_lookup = native\nalias_maps =\nlocal_recipient_maps =\nbiff = no\nin_flow_delay = 0\n\
         smtpd_recipient_restrictions = check_recipient_access inline:{{refused@elsewhere.example=REJECT}}, permit_mynetworks, reject\n\
         minimal_backoff_time = 1s\nqueue_run_delay = 1s\n",
        log = at("maillog"),
        folder = folder.display(),
        spool = at("spool"),
        lib = at("lib"),
        port = next_hop.port(),
    );
    fs::write(folder.join("etc/main.cf"), main).expect("main.cf");
    let services = "smtpd pickup:unix:n:60 cleanup:unix:n:0 qmgr:unix:n:300 tlsmgr:unix:-:1000? rewrite:unix:- bounce:unix:- defer:unix:- \
        trace:unix:- verify:unix:- flush:unix:n:1000? proxymap:unix:- smtp:unix:- relay:unix:- showq:unix:n error:unix:- retry:unix:- \
        discard:unix:- anvil:unix:- scache:unix:- postlog:unix-dgram:n";
    let mut master = format!("{address} inet n - n - - smtpd\n");
    for service in services.split_whitespace().skip(1) {
        let mut words = service.split(':');
        let (name, kind) = (words.next().expect("a name"), words.next().expect("a kind"));
        let private = words.next().filter(|word| !word.is_empty()).unwrap_or("-");
        let wakeup = words.next().unwrap_or("-");
        let program = match name {
            "rewrite" => "trivial-rewrite",
            "defer" | "trace" => "bounce",
            "relay" => "smtp",
            "retry" => "error",
            "postlog" => "postlogd",
            other => other,
        };
        let limit =
            if matches!(name, "qmgr" | "pickup" | "postlog" | "scache" | "tlsmgr" | "verify" | "anvil") {
                "1"
            } else {
                "-"
            };
        master += &format!("{name} {kind} {private} - n {wakeup} {limit} {program}\n");
    }
    fs::write(folder.join("etc/master.cf"), master).expect("master.cf");
    // `postfix check` makes the queue's folders with the owners that they need.
    let owned = run(Command::new("chown").arg("postfix").arg(folder.join("lib")));
    assert_eq!(owned.code, 0, "{}", owned.err);
    let checked = run(Command::new("/usr/sbin/postfix").arg("-c").arg(folder.join("etc")).arg("check"));
    assert_eq!(checked.code, 0, "{}{}", checked.out, checked.err);
}
