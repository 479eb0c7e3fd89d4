"""The servers and next hops that are measured, each in a folder of its own below TARGET/bench, ended by its own id."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = Path(sys.argv[1]).resolve()
HOME = TARGET / "bench"
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
DEADLINE_S = 300


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, ask):
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.01)
    sys.exit(f"not within {DEADLINE_S} s: {what}")


def greets(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as s:
            return s.recv(4) == b"220 "
    except OSError:
        return False


def stats():
    """Of each process its parent, and its times and those of its children that have ended."""
    stats = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            stats[int(entry.name)] = (int(fields[1]), [int(f) for f in fields[11:15]])
    return stats


def family(root, of=None):
    """A process and its descendants."""
    of, found, grown = of or stats(), {root}, True
    while grown:
        grown = {pid for pid, (parent, _) in of.items() if parent in found} - found
        found |= grown
    return found & of.keys()


def cpu_ms(root):
    """User and system time of a process and its descendants, those that have ended included."""
    of = stats()
    return sum(sum(of[pid][1]) for pid in family(root, of)) * TICK_MS


def pss_mb(root):
    """Proportional set size of a process and its descendants: what memory they really take up."""
    total = 0
    for pid in family(root):
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(re.search(r"^Pss:\s+(\d+)", rollup, re.M).group(1))
    return total / 1000


class Process:
    """A server in the foreground, ended by its own id."""

    def __init__(self, arguments, **options):
        self.child = subprocess.Popen(arguments, **options)

    def end(self):
        self.child.send_signal(signal.SIGTERM)
        self.child.wait()


class Sink(Process):
    """smtp-sink; it counts what arrives. Its counts are read as they come: a full pipe would hold it up."""

    def __init__(self):
        self.port = free_port()
        user = ["-u", "nobody"] if os.getuid() == 0 else []
        arguments = ["smtp-sink", *user, "-c", f"127.0.0.1:{self.port}", "1000"]
        super().__init__(arguments, stdout=subprocess.PIPE)
        self.count = 0
        threading.Thread(target=self.read, daemon=True).start()
        wait_for("smtp-sink", lambda: greets(self.port))

    def read(self):
        text = b""
        while more := self.child.stdout.read1(65536):
            text = text[-200:] + more
            counts = re.findall(rb"mesg=(\d+)", text)
            self.count = int(counts[-1]) if counts else self.count

    def received(self):
        return self.count


class Silent:
    """A next hop that takes connections and never greets: what is for it stays in the queue."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self.port = self.socket.getsockname()[1]

    def end(self):
        self.socket.close()


def folder(name):
    path = HOME / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


class Postfix(Process):
    def __init__(self, next_hop, extra=""):
        home, self.port = folder("postfix"), free_port()
        for below in ("etc", "spool", "lib"):
            (home / below).mkdir()
        for name in ("main.cf", "master.cf"):
            text = (HERE.parent / "postfix" / name).read_text()
            for key, value in (("folder", home), ("port", next_hop), ("address", f"127.0.0.1:{self.port}")):
                text = text.replace("{%s}" % key, str(value))
            if name == "main.cf":
                text += extra
            (home / "etc" / name).write_text(text)
        # Its own user has to reach the spool through every folder above it.
        for above in [home, *home.parents]:
            if above.stat().st_mode & 0o1 == 0:
                sys.exit(f"{above} is closed to the user postfix; set CARGO_TARGET_DIR to a folder that is not")
        shutil.chown(home / "lib", "postfix")
        subprocess.run(["postfix", "-c", home / "etc", "check"], check=True)
        super().__init__(["/usr/lib/postfix/sbin/master", "-c", home / "etc", "-d"], stderr=subprocess.DEVNULL)
        wait_for("Postfix", lambda: greets(self.port))


class Waxwing(Process):
    def __init__(self, next_hop, plugin=None, listener="", extra=""):
        home, self.port = folder("waxwing"), free_port()
        (home / "plugins").mkdir()
        if plugin:
            found = [p for p in (TARGET / "plugins", TARGET / "plugins/hostile") if (p / f"{plugin}.wasm").exists()]
            shutil.copy(found[0] / f"{plugin}.wasm", home / "plugins")
        (home / "waxwing.toml").write_text(f"""
hostname = "waxwing.example"
data-dir = "data"
[[listener]]
name = "mx"
bind = ["127.0.0.1:{self.port}"]
{listener}
[relay]
networks = ["127.0.0.0/8"]
[outbound]
smarthost = "127.0.0.1:{next_hop}"
[plugins]
dir = "plugins"
{extra}
""")
        log = open(home / "log", "w")
        binary = TARGET / "release/waxwing"
        super().__init__([binary, "serve", "--config", "waxwing.toml"], cwd=home, stdout=log, stderr=log)
        wait_for("Waxwing", lambda: greets(self.port))
