//! An OpenSMTPD of the test's own, unpacked beside Postfix by `tests/setup interop`. Its folders are compiled in: it sees others in
//! their place, in a mount namespace of its own, and asks no DNS server.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::relays::Pair;
use crate::harness::{Smtp, run, target_dir, wait_until};

const IN_ITS_PLACE: &str = "set -e
for folder in /var/spool /var/lib /run; do mount -t tmpfs none \"$folder\"; done
mkdir -p /var/lib/opensmtpd/empty
mount --bind \"$1\" /etc/resolv.conf
exec \"$0\" -d -f \"$2\"";

/// One that runs; dropping it ends it.
pub(super) struct OpenSmtpd {
    _folder: TempDir,
    address: SocketAddr,
    child: Child,
}

impl OpenSmtpd {
    /// Relays everything to this address.
    pub(super) fn relaying_to(next_hop: SocketAddr, pair: &Pair, offers_tls: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("opensmtpd-").tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        let address =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        let config = include_str!("../opensmtpd/smtpd.conf")
            .replace("{certificate}", &pair.certificate.display().to_string())
            .replace("{key}", &pair.key.display().to_string())
            .replace("{port}", &address.port().to_string())
            .replace("{tls}", if offers_tls { "tls pki \"opensmtpd.example\"" } else { "" })
            .replace("{next_port}", &next_hop.port().to_string())
            .replace("{folder}", &folder.path().display().to_string());
        let (config_file, resolv) = (folder.path().join("smtpd.conf"), folder.path().join("resolv.conf"));
        fs::write(&config_file, config).expect("its configuration");
        fs::write(&resolv, "nameserver 127.0.0.1\n").expect("its resolv.conf");
        let mut command = Command::new("unshare");
        command.args(["-m", "bash", "-c", IN_ITS_PLACE]);
        command.arg(target_dir().join("interop/servers/usr/sbin/smtpd")).arg(resolv).arg(config_file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child =
            command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}; `tests/setup interop` unpacks it"));
        wait_until("OpenSMTPD to greet", || {
            Smtp::tries_to_connect(address)
                .is_some_and(|mut client| client.next_reply().is_some_and(|reply| reply.code == 220))
        });
        Self { _folder: folder, address, child }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for OpenSmtpd {
    fn drop(&mut self) {
        // SIGTERM: it ends its own processes.
        let ended = run(Command::new("kill").arg(self.child.id().to_string()));
        assert!(ended.code == 0 || std::thread::panicking(), "{}", ended.err);
        self.child.wait().expect("its end");
    }
}
