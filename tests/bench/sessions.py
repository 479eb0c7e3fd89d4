"""Sessions a second and CPU a session: plain, under TLS, and with a password; and the memory that idle sessions take.

The client is Python in four processes; on a machine with few cores it is the client that bounds the rates, and the CPU of the
server is the figure to compare. TLS is 1.3 with a certificate of RSA 2048, each handshake in full.
"""

import base64
import multiprocessing
import os
import resource
import socket
import ssl
import subprocess
import sys
import time

from servers import HOME, Postfix, Silent, TARGET, Waxwing, cpu_ms, pss_mb, wait_for

SESSIONS = int(os.environ.get("BENCH_HANDSHAKES", "2000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "2"))
CLIENTS = 4
USER, PASSWORD = "alice@example.org", "correct horse"
#: Postfix has a process for each session: more of them than this do not fit.
IDLE = {"Waxwing": (0, 1000, 5000, 10000), "Postfix": (0, 1000)}


def certificate():
    made, key = HOME / "tls.pem", HOME / "tls.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mx.example.org"]
        + ["-addext", "subjectAltName=DNS:mx.example.org", "-keyout", key, "-out", made],
        check=True,
        capture_output=True,
    )
    return made, key


def start(server, hop, sessions=1000):
    made, key = certificate()
    if server == "Postfix":
        return Postfix(
            hop.port,
            f"smtpd_tls_cert_file = {made}\nsmtpd_tls_key_file = {key}\nsmtpd_tls_security_level = may\n"
            f"default_process_limit = {sessions + 100}\nsmtpd_timeout = 300s\nsmtpd_client_connection_rate_limit = 0\n",
        )
    passwd = [[TARGET / "release/waxwing", "passwd", *extra] for extra in ([], ["--scram"])]
    records = [subprocess.run(p, input=PASSWORD + "\n", capture_output=True, text=True, check=True).stdout.strip() for p in passwd]
    return Waxwing(
        hop.port,
        listener='tls = "starttls"',
        extra=f"""
[tls]
certificate = "{made}"
key = "{key}"
[[user]]
name = "{USER}"
password-hash = ['{records[0]}', '{records[1]}']
[limits]
sessions = 20000
sessions-per-address = 20000
""",
    )


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.hears()

    def hears(self):
        text = b""
        while not text.endswith(b"\n") or text.splitlines()[-1][3:4] != b" ":
            piece = self.socket.recv(4096)
            if not piece:
                sys.exit(f"the server hung up behind {text!r}")
            text += piece
        return text

    def asks(self, line, code):
        self.socket.sendall(line + b"\r\n")
        text = self.hears()
        if not text.startswith(code):
            sys.exit(f"{line!r} was answered {text!r}")

    def secures(self, context):
        self.asks(b"STARTTLS", b"220")
        self.socket = context.wrap_socket(self.socket)

    def ends(self):
        self.asks(b"QUIT", b"221")
        self.socket.close()


def hold(port, kind, count):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode())
    for _ in range(count):
        client = Client(port)
        client.asks(b"EHLO client.example.com", b"250")
        if kind != "connect":
            client.secures(context)
            client.asks(b"EHLO client.example.com", b"250")
        if kind == "password":
            client.asks(b"AUTH PLAIN " + plain, b"235")
        client.ends()


def measure(server, kind):
    """Sessions a second, and CPU milliseconds a session."""
    hop = Silent()
    running = start(server, hop)
    count = SESSIONS // CLIENTS // (10 if kind == "password" else 1)
    try:
        cpu, began = cpu_ms(running.child.pid), time.monotonic()
        clients = [multiprocessing.Process(target=hold, args=(running.port, kind, count)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        if any(client.exitcode for client in clients):
            sys.exit(f"{server}: a client of {kind} failed")
        took, cpu = time.monotonic() - began, cpu_ms(running.child.pid) - cpu
    finally:
        running.end()
        hop.end()
    return count * CLIENTS / took, cpu / count / CLIENTS


def table():
    """The lines of a table, the better of all rounds in each."""
    works = [
        ("connect", "connect, EHLO, QUIT", ("Postfix", "Waxwing")),
        ("tls", "the same under STARTTLS", ("Postfix", "Waxwing")),
        # What a check of a password costs is what its record says, not what the server is.
        ("password", "the same and AUTH PLAIN, an argon2id record", ("Waxwing",)),
    ]
    lines = ["| session | server | sessions/s | CPU ms a session |", "|---|---|---:|---:|"]
    for kind, name, servers in works:
        for server in servers:
            rounds = [measure(server, kind) for _ in range(ROUNDS)]
            rate, cpu = max(rate for rate, _ in rounds), min(cpu for _, cpu in rounds)
            print(f"{server}, {name}: {rate:.0f}/s, {cpu:.3f} ms", file=sys.stderr)
            lines.append(f"| {name} | {server} | {rate:.0f} | {cpu:.3f} |")
    return lines


def memory():
    """The lines of a table: proportional set size with so many sessions after EHLO, all processes together."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    lines = ["| idle sessions | server | memory, MB | set-ups a second |", "|---:|---|---:|---:|"]
    for server, counts in IDLE.items():
        hop = Silent()
        running = start(server, hop, max(counts))
        clients = []
        try:
            for count in counts:
                began, fresh = time.monotonic(), count - len(clients)
                for _ in range(fresh):
                    clients.append(Client(running.port))
                    clients[-1].asks(b"EHLO client.example.com", b"250")
                rate = f"{fresh / (time.monotonic() - began):.0f}" if fresh else ""
                settled = [pss_mb(running.child.pid)]
                wait_for("its memory to settle", lambda: settles(settled, running.child.pid))
                print(f"{server}, {count} idle: {settled[-1]:.1f} MB", file=sys.stderr)
                lines.append(f"| {count:,} | {server} | {settled[-1]:.1f} | {rate} |")
        finally:
            for client in clients:
                client.socket.close()
            running.end()
            hop.end()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return lines


def settles(seen, root):
    time.sleep(0.5)
    seen.append(pss_mb(root))
    return abs(seen[-1] - seen[-2]) < 0.01 * seen[-1]
