//! A BIND of the test's own, whose one zone is a root that it has signed itself. For programs that cannot be told of a port it runs in
//! namespaces of its own, at the place where the system's name server is looked for, and they are run in them too.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::harness::{run, wait_until};

/// Debian keeps the tools for zones beside what only root runs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A network of nothing but itself, and another name server of the system.
const APART: &str = "ip link set lo up && mount --bind resolv.conf /etc/resolv.conf && exec \"$0\" \"$@\"";

/// It runs as long as this value.
pub(super) struct Named {
    folder: TempDir,
    child: Child,
    is_apart: bool,
    pub(super) address: SocketAddr,
}

impl Named {
    /// Answers with these records, whose names are absolute.
    pub(super) fn serving(records: &str) -> Self {
        let free = UdpSocket::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        Self::start(free.expect("a port"), records, false)
    }

    /// The same for programs that are run by what [`Self::inside`] says, and for nobody else.
    pub(super) fn serving_programs(records: &str) -> Self {
        Self::start(SocketAddr::new([127, 0, 0, 1].into(), 53), records, true)
    }

    fn start(address: SocketAddr, records: &str, is_apart: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("named-").tempdir().expect("a folder");
        let anchor = sign(folder.path(), records);
        fs::write(folder.path().join("anchor"), anchor).expect("the trust anchor");
        fs::write(folder.path().join("resolv.conf"), "nameserver 127.0.0.1\n").expect("a resolv.conf");
        let port = address.port();
        let config = format!(
            "options {{ directory \"{}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; pid-file none;\n\
             session-keyfile none; recursion no; dnssec-validation no; }};\ncontrols {{ }};\n\
             zone \".\" {{ type primary; file \"root.signed\"; }};\n",
            folder.path().display()
        );
        fs::write(folder.path().join("named.conf"), config).expect("its configuration");
        let named = ["/usr/sbin/named", "-f", "-c", "named.conf"];
        let mut command = match is_apart {
            true => Command::new("unshare"),
            false => Command::new(named[0]),
        };
        match is_apart {
            true => command.args(["-n", "-m", "bash", "-c", APART]).args(named),
            false => command.args(&named[1..]),
        };
        command.current_dir(folder.path()).env("PATH", PATH).stderr(Stdio::null());
        let named = Self { child: command.spawn().expect("named"), folder, is_apart, address };
        wait_until("named to answer", || named.answers());
        named
    }

    /// The key of the root, for `dns.trust-anchor-file`.
    pub(super) fn anchor(&self) -> PathBuf {
        self.folder.path().join("anchor")
    }

    /// A program, or one that runs it where this is the system's name server, and its arguments.
    pub(super) fn inside(&self, program: &[&str]) -> Vec<String> {
        let id = self.child.id().to_string();
        let entered: &[&str] = if self.is_apart { &["nsenter", "-t", &id, "-n", "-m"] } else { &[] };
        entered.iter().chain(program).map(|word| (*word).to_owned()).collect()
    }

    fn answers(&self) -> bool {
        let port = self.address.port().to_string();
        let words =
            self.inside(&["dig", "@127.0.0.1", "-p", &port, "+short", "+tries=1", "+time=1", ".", "SOA"]);
        run(Command::new(&words[0]).args(&words[1..])).out.contains("hostmaster")
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
