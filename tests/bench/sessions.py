"""The parts about sessions: `sessions` (plain, under TLS, with a password), `memory` (idle ones) and `start`.

The client is Python in four processes; on a machine with few cores it is the client that bounds the rates, and the CPU of the
server is the figure to compare. TLS is 1.3 with a certificate of RSA 2048, each handshake in full.
"""

import base64
import multiprocessing
import os
import socket
import ssl
import statistics
import sys
import time

from load import ROUNDS, SHORT
from processes import Failed, Silent, kill, wait_for
from servers import PASSWORD, SERVERS, USER, present

HANDSHAKES = int(os.environ.get("BENCH_HANDSHAKES", "8" if SHORT else "600"))
CLIENTS = 4
#: How long a client waits for an answer, and all of them for the end of their work.
PATIENCE_S, ALL_S = 30, 60
#: Postfix has a process for each session, Exim too: more of them than this do not fit, or take long to come.
IDLE = {"Waxwing": (0, 1000, 5000, 10000), "Haraka": (0, 1000, 5000, 10000), "Exim": (0, 1000), "Postfix": (0, 1000)}
KINDS = {
    "connect": "connect, EHLO, QUIT",
    "tls": "the same under STARTTLS",
    "password": "the same and AUTH PLAIN",
}


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.hears()

    def hears(self):
        text = b""
        while not text.endswith(b"\n") or text.splitlines()[-1][3:4] != b" ":
            piece = self.socket.recv(4096)
            if not piece:
                raise Failed(f"the server hung up behind {text!r}")
            text += piece
        return text

    def asks(self, line, code):
        self.socket.sendall(line + b"\r\n")
        text = self.hears()
        if not text.startswith(code):
            raise Failed(f"{line!r} was answered {text!r}")

    def secures(self, context):
        self.asks(b"STARTTLS", b"220")
        self.socket = context.wrap_socket(self.socket)

    def ends(self):
        self.asks(b"QUIT", b"221")
        self.socket.close()


def hold(port, kind, count):
    """What one client process does."""
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


def round_of(running, kind, count):
    cpu, began = running.cpu_ms(), time.monotonic()
    clients = [multiprocessing.Process(target=hold, args=(running.port, kind, count)) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        for client in clients:
            client.join(max(0, began + ALL_S - time.monotonic()))
        if any(client.is_alive() for client in clients):
            raise Failed(f"{CLIENTS * count} sessions were not held within {ALL_S} s")
        if any(client.exitcode for client in clients):
            raise Failed("a client was not served")
    finally:
        for client in clients:
            if client.is_alive():
                kill(client.pid)
                client.join()
    took, cpu = time.monotonic() - began, running.cpu_ms() - cpu
    return {"rate": round(count * CLIENTS / took, 1), "cpu_ms": round(cpu / count / CLIENTS, 4)}


def measure(server, kind):
    hop = Silent()
    try:
        running = SERVERS[server](hop.port, tls=kind != "connect", auth=kind == "password")
        try:
            slow = kind == "password" and server == "Waxwing"
            count = max(1, HANDSHAKES // CLIENTS // (10 if slow else 1))
            rounds = [round_of(running, kind, count) for _ in range(ROUNDS)]
        finally:
            running.end()
    finally:
        hop.end()
    return {"rate": max(one["rate"] for one in rounds), "cpu_ms": min(one["cpu_ms"] for one in rounds)}


def sessions():
    rows = []
    for kind in KINDS:
        for server in present():
            # Postfix leaves passwords to Dovecot or Cyrus.
            if (kind, server) == ("password", "Postfix"):
                continue
            try:
                found = measure(server, kind)
            except Failed as why:
                found = {"failed": str(why)}
            print(server, kind, found, sep=", ", file=sys.stderr, flush=True)
            rows.append({"server": server, "kind": kind, **found})
    return rows


def settled(running):
    """Memory once it stays the same."""
    seen = [running.pss_mb()]

    def settles():
        time.sleep(0.5)
        seen.append(running.pss_mb())
        return abs(seen[-1] - seen[-2]) < 0.01 * seen[-1]

    wait_for("its memory to settle", settles)
    return round(seen[-1], 1)


def idle(server, counts):
    rows, clients, hop = [], [], Silent()
    try:
        running = SERVERS[server](hop.port, sessions=max(counts))
        try:
            for count in counts:
                began, fresh = time.monotonic(), count - len(clients)
                for _ in range(fresh):
                    clients.append(Client(running.port))
                    clients[-1].asks(b"EHLO client.example.com", b"250")
                found = {"memory_mb": settled(running)}
                if fresh:
                    found["rate"] = round(fresh / (time.monotonic() - began))
                print(server, count, found, sep=", ", file=sys.stderr, flush=True)
                rows.append({"server": server, "sessions": count, **found})
        finally:
            for client in clients:
                client.socket.close()
            running.end()
    finally:
        hop.end()
    return rows


def memory():
    """Proportional set size with so many sessions after EHLO, all processes together."""
    rows = []
    for server in present():
        counts = (0, 20) if SHORT else IDLE[server]
        try:
            rows += idle(server, counts)
        except (Failed, OSError) as why:
            rows.append({"server": server, "sessions": counts[-1], "failed": str(why)})
    return rows


def start():
    """From the start of the process to its first greeting, and the CPU until then; the middle of several."""
    rows = []
    for server in present():
        took, cpu = [], []
        hop = Silent()
        try:
            for _ in range(1 if SHORT else 5):
                running = SERVERS[server](hop.port)
                took.append(running.greeted_s)
                cpu.append(running.cpu_ms())
                running.end()
            found = {"start_s": round(statistics.median(took), 3), "cpu_ms": round(statistics.median(cpu))}
        except Failed as why:
            found = {"failed": str(why)}
        finally:
            hop.end()
        print(server, found, sep=", ", file=sys.stderr, flush=True)
        rows.append({"server": server, **found})
    return rows
