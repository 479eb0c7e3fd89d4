//! Started by a service manager: sockets that are handed over, and word of how the server is (systemd's protocols, spoken by hand).

use std::os::unix::net::UnixDatagram;

use crate::harness::{LONG, Setup, deliver, message, run};

/// Binds a port of 127.0.0.1 and becomes the server, which gets the socket as systemd would hand it over. The arguments: the
/// socket's name, and the port, or 0 for any.
const ACTIVATES: &str = "import os, socket, sys
name, port = sys.argv[1], int(sys.argv[2])
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('127.0.0.1', port))
s.listen()
if s.fileno() != 3:
    os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
if name:
    os.environ['LISTEN_FDNAMES'] = name
os.execv(sys.argv[3], sys.argv[3:])
";

/// Tells the server where it is listened to, and becomes it.
const LISTENS: &str = "import os, sys
os.environ['NOTIFY_SOCKET'] = sys.argv[1]
os.execv(sys.argv[2], sys.argv[2:])
";

/// Takes away what a unit's filter of system calls takes (`~@privileged`: to give files away), and becomes the server. x86-64 alone.
const CANNOT_GIVE_FILES_AWAY: &str = "import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
load, equal, answer = 0x20, 0x15, 0x06
refused = [92, 93, 94, 260]  # chown, fchown, lchown, fchownat
rules = [(load, 0, 0, 0)]
rules += [(equal, len(refused) - nth, 0, number) for nth, number in enumerate(refused)]
rules += [(answer, 0, 0, 0x7fff0000), (answer, 0, 0, 0x00050001)]  # allowed; EPERM
octets = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *rule) for rule in rules))
class Program(ctypes.Structure):
    _fields_ = [('length', ctypes.c_ushort), ('rules', ctypes.c_void_p)]
program = Program(len(rules), ctypes.addressof(octets))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0, ctypes.get_errno()
try:
    os.chown('.', -1, -1)
except PermissionError:
    os.execv(sys.argv[1], sys.argv[1:])
sys.exit('the filter does not hold')
";

fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    free.expect("a free port").port()
}

#[test]
fn a_socket_of_the_listeners_name_is_used_in_place_of_its_addresses() {
    // Nobody here has this address: binding it would fail.
    let setup = Setup::new()
        .set("[listener]", "bind = \"192.0.2.1:25\"")
        .launched_by(&["python3", "-c", ACTIVATES, "mx", "0"]);
    let server = setup.start();
    deliver(server.address(), "ann@example.com", &["alice@example.org"], message("by name"));
    setup.mailbox("alice").with("Subject: by name");
}

#[test]
fn a_socket_of_the_listeners_address_is_used_for_it() {
    let port = free_port();
    let setup = Setup::new()
        .set("[listener]", &format!("bind = [\"127.0.0.1:{port}\", \"127.0.0.1:0\"]"))
        .launched_by(&["python3", "-c", ACTIVATES, "", &port.to_string()]);
    let server = setup.start();
    // The address is taken already, by the socket that was handed over.
    server.logs(&[&format!("listening mx 127.0.0.1:{port}")]);
    let address = format!("127.0.0.1:{port}").parse().expect("an address");
    deliver(address, "ann@example.com", &["alice@example.org"], message("by address"));
    setup.mailbox("alice").with("Subject: by address");
}

#[test]
fn a_socket_that_no_listener_wants_is_closed_with_a_word() {
    let setup = Setup::new().launched_by(&["python3", "-c", ACTIVATES, "unknown", "0"]);
    let server = setup.start();
    server.logs(&["a socket that was handed over is no listener's", "unknown"]);
    server.client().sends("ann@example.com", &["alice@example.org"], message("beside"));
}

#[test]
fn the_service_manager_hears_when_the_server_is_ready_reloads_and_stops() {
    let setup = Setup::new();
    let path = setup.path("notify");
    let manager = UnixDatagram::bind(&path).expect("the manager's socket");
    manager.set_read_timeout(Some(LONG)).expect("a timeout");
    let hears = |state: &str| {
        let mut octets = [0; 4096];
        let count = manager.recv(&mut octets).unwrap_or_else(|e| panic!("{state}: {e}"));
        let said = String::from_utf8_lossy(&octets[..count]).into_owned();
        assert!(said.lines().any(|line| line == state), "{state}: {said}");
        said
    };
    let setup = setup.launched_by(&["python3", "-c", LISTENS, &path.display().to_string()]);
    let server = setup.start();
    hears("READY=1");
    server.hang_up();
    assert!(hears("RELOADING=1").contains("MONOTONIC_USEC="));
    hears("READY=1");
    server.stops();
    hears("STOPPING=1");
}

#[test]
fn a_socket_that_is_no_tcp_socket_is_said() {
    let script = ACTIVATES
        .replace("socket.socket()", "socket.socket(type=socket.SOCK_DGRAM)")
        .replace("s.listen()\n", "");
    let setup = Setup::new().launched_by(&["python3", "-c", &script, "mx", "0"]);
    setup.write();
    let refused = run(setup.binary().args(["serve", "--config"]).arg(setup.config_file()));
    assert_eq!(refused.code, 1, "{}{}", refused.out, refused.err);
    assert!(refused.err.contains("handed over"), "{}", refused.err);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_server_that_cannot_give_files_away_starts_all_the_same() {
    let setup = Setup::new().launched_by(&["python3", "-c", CANNOT_GIVE_FILES_AWAY]);
    let server = setup.start();
    deliver(server.address(), "ann@example.com", &["alice@example.org"], message("without chown"));
    setup.mailbox("alice").with("Subject: without chown");
    assert!(setup.path("data/submission.sock").exists() && setup.path("data/drop").exists());
}
