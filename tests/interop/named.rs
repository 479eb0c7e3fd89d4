//! A BIND of the test's own, whose one zone is a root that it has signed itself.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::harness::{run, wait_until};

/// Debian keeps the tools for zones beside what only root runs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// It runs as long as this value.
pub(super) struct Named {
    folder: TempDir,
    child: Child,
    pub(super) address: SocketAddr,
}

impl Named {
    /// Answers with these records, whose names are absolute.
    pub(super) fn serving(records: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("named-").tempdir().expect("a folder");
        let anchor = sign(folder.path(), records);
        fs::write(folder.path().join("anchor"), anchor).expect("the trust anchor");
        let port = UdpSocket::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let config = format!(
            "options {{ directory \"{}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; pid-file none;\n\
             session-keyfile none; recursion no; dnssec-validation no; }};\ncontrols {{ }};\n\
             zone \".\" {{ type primary; file \"root.signed\"; }};\n",
            folder.path().display()
        );
        fs::write(folder.path().join("named.conf"), config).expect("its configuration");
        let mut command = Command::new("/usr/sbin/named");
        command.args(["-f", "-c", "named.conf"]).current_dir(folder.path()).stderr(Stdio::null());
        let named = Self {
            child: command.spawn().expect("named"),
            folder,
            address: SocketAddr::new([127, 0, 0, 1].into(), port),
        };
        wait_until("named to answer", || named.answers());
        named
    }

    /// The key of the root, for `dns.trust-anchor-file`.
    pub(super) fn anchor(&self) -> PathBuf {
        self.folder.path().join("anchor")
    }

    fn answers(&self) -> bool {
        let mut dig = Command::new("dig");
        dig.args([
            "@127.0.0.1",
            "-p",
            &self.address.port().to_string(),
            "+short",
            "+tries=1",
            "+time=1",
            ".",
            "SOA",
        ]);
        run(&mut dig).out.contains("hostmaster")
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes and signs the zone. Gives back its key that signs keys.
fn sign(folder: &Path, records: &str) -> String {
    let tool = |name: &str, arguments: &[&str]| {
        let ran = run(Command::new(name).args(arguments).current_dir(folder).env("PATH", PATH));
        assert_eq!(ran.code, 0, "{name}: {}", ran.err);
        ran.out.trim().to_owned()
    };
    let signs_keys = tool("dnssec-keygen", &["-q", "-a", "ECDSAP256SHA256", "-f", "KSK", "."]);
    let signs_zone = tool("dnssec-keygen", &["-q", "-a", "ECDSAP256SHA256", "."]);
    let zone = format!(
        "$TTL 300\n@ SOA ns.test. hostmaster.test. 1 3600 600 86400 300\n@ NS ns.test.\nns.test. A 127.0.0.1\n{records}\n\
         $INCLUDE {signs_keys}.key\n$INCLUDE {signs_zone}.key\n"
    );
    fs::write(folder.join("root"), zone).expect("the zone");
    tool("dnssec-signzone", &["-o", ".", "-f", "root.signed", "root"]);
    let key = fs::read_to_string(folder.join(format!("{signs_keys}.key"))).expect("the key");
    key.lines().filter(|line| !line.starts_with(';')).map(|line| format!("{line}\n")).collect()
}
