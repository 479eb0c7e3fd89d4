"""Processes that are measured: started in a folder of their own below TARGET/bench, watched by /proc, ended by their own ids.

Every wait has an end, [`DEADLINE_S`] where nothing else is said: what does not come until then is a [`Failed`], which costs one figure and
not the run.
"""

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
HOME = TARGET / ("bench-short" if os.environ.get("BENCH_SHORT") == "1" else "bench")
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
DEADLINE_S = 60
#: How long a server may take to end before it is killed.
END_S = 40


class Failed(Exception):
    """A figure that is not to be had, and why."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, ask, seconds=DEADLINE_S):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.005)
    raise Failed(f"not within {seconds} s: {what}")


def run(command, seconds=DEADLINE_S, **options):
    """What a command that ends by itself says."""
    try:
        done = subprocess.run(command, timeout=seconds, capture_output=True, text=True, **options)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{command[0]} did not end within {seconds} s") from error
    if done.returncode:
        raise Failed(f"{command[0]}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def greets(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as s:
            return s.recv(4).startswith(b"220")
    except OSError:
        return False


def stats():
    """Of each process its parent, its own time, and that of its children that have ended, in ticks."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path("/proc", entry, "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            times = [int(f) for f in fields[11:15]]
            found[int(entry)] = (int(fields[1]), sum(times[:2]), sum(times[2:]))
    return found


def family(root, of=None):
    """A process and its descendants."""
    of, found, grown = of or stats(), {root}, True
    while grown:
        grown = {pid for pid, (parent, *_) in of.items() if parent in found} - found
        found |= grown
    return found & of.keys()


class Process:
    """A program in the foreground under a nanny, which is no part of it."""

    #: Where it writes what went wrong, if anywhere.
    log = None

    def __init__(self, arguments, **options):
        command = [sys.executable, HERE / "nanny.py", *arguments]
        self.began = time.monotonic()
        self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)

    def wait_for_greeting(self, seconds=DEADLINE_S):
        """Until it serves; how long that took is kept. One that never does is ended."""
        try:
            wait_for(f"the greeting of {type(self).__name__}", lambda: greets(self.port) or self.child.poll() is not None, seconds)
            if self.child.poll() is not None:
                said = Path(self.log).read_text().splitlines()[-1:] if self.log else []
                raise Failed(" ".join([f"{type(self).__name__} ended by itself with {self.child.returncode}", *said]))
        except Failed:
            self.end()
            raise
        self.greeted_s = time.monotonic() - self.began

    def pids(self, of=None):
        """All processes that are alive."""
        return family(self.child.pid, of) - {self.child.pid}

    def cpu_ms(self):
        """User and system time, of those that have ended as well."""
        of = stats()
        if self.child.pid not in of:
            raise Failed("the server ended by itself")
        own = sum(sum(of[pid][1:]) for pid in self.pids(of))
        return (own + of[self.child.pid][2]) * TICK_MS

    def written(self):
        """Octets that were written to disks."""
        total = 0
        for pid in family(self.child.pid):
            try:
                text = Path(f"/proc/{pid}/io").read_text()
            except OSError:
                continue
            fields = dict(line.split(": ") for line in text.splitlines())
            total += int(fields["write_bytes"]) - int(fields["cancelled_write_bytes"])
        return total

    def pss_mb(self):
        """Proportional set size: what memory they really take up."""
        total = 0
        for pid in self.pids():
            try:
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += int(re.search(r"^Pss:\s+(\d+)", rollup, re.M).group(1))
        return total / 1000

    def end(self):
        left = self.pids()
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(END_S)
        except subprocess.TimeoutExpired:
            # It is ours, and so are all that came of it.
            for pid in left | family(self.child.pid):
                kill(pid)
            self.child.wait(END_S)


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Sink(Process):
    """smtp-sink; it counts what arrives. Its counts are read as they come: a full pipe would hold it up."""

    def __init__(self):
        self.port = free_port()
        user = ["-u", "nobody"] if os.getuid() == 0 else []
        arguments = ["smtp-sink", *user, "-c", f"127.0.0.1:{self.port}", "1000"]
        super().__init__(arguments, stdout=subprocess.PIPE)
        self.received = 0
        threading.Thread(target=self.read, daemon=True).start()
        self.wait_for_greeting()

    def read(self):
        text = b""
        while more := self.child.stdout.read1(65536):
            text = text[-200:] + more
            counts = re.findall(rb"mesg=(\d+)", text)
            self.received = int(counts[-1]) if counts else self.received


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


def open_to_others(path):
    """A server that gives up root has to reach its folder through every one above it."""
    for above in [path, *path.parents]:
        if above.stat().st_mode & 0o1 == 0:
            raise Failed(f"{above} is closed to other users; set CARGO_TARGET_DIR to a folder that is not")
