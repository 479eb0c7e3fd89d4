"""smtp-source against a server: how many messages a second, at what CPU, with how many octets on the disk.

A figure begins with a few messages, which also wake the server's processes; their rate says how many come then, so that each round takes
about BENCH_SECONDS whatever the server and the machine. A server that needs longer for the few alone has been measured by them.
"""

import os
import subprocess
import time

from processes import Failed, Silent, Sink, kill, wait_for
from servers import SERVERS

SHORT = os.environ.get("BENCH_SHORT") == "1"
#: How long a round is meant to take, and how many there are; the best of them is kept.
SECONDS = float(os.environ.get("BENCH_SECONDS", "0.2" if SHORT else "1.2"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "1" if SHORT else "2"))
#: When a round has not ended by then it is given up.
ROUND_S = 60
#: Messages in a round at most.
MOST = 50 if SHORT else 60_000


def source(port, count, sessions, octets, per):
    """Sends them, and says how long that took."""
    command = ["smtp-source", *(["-d"] if per == "many" else []), "-s", str(min(sessions, count)), "-l", str(octets)]
    command += ["-m", str(count), "-f", "ann@example.com", "-t", "carl@example.net", f"127.0.0.1:{port}"]
    began = time.monotonic()
    client = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        _, said = client.communicate(timeout=ROUND_S)
    except subprocess.TimeoutExpired as error:
        kill(client.pid)
        client.communicate()
        raise Failed(f"{count} messages did not come through within {ROUND_S} s") from error
    if client.returncode:
        raise Failed(f"smtp-source: {said.strip()[-300:]}")
    return time.monotonic() - began


class Load:
    """A server with a next hop, and messages for it."""

    def __init__(self, server, work="accept", sessions=20, octets=5120, per="many", beside=(), **options):
        self.hop = Sink() if work == "relay" else Silent()
        self.work, self.sessions, self.octets, self.per = work, sessions, octets, per
        #: Processes that are part of the server: a milter.
        self.beside, self.sent, self.server = beside, 0, None
        try:
            self.server = SERVERS[server](self.hop.port, hold=work == "accept", **options)
        except BaseException:
            self.hop.end()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # First the next hop: a server that is told to stop gives connections that wait for a greeting their time.
        self.hop.end()
        self.server.end()

    def cpu_ms(self):
        return sum(process.cpu_ms() for process in (self.server, *self.beside))

    def send(self, count):
        """Until the last is answered, and has arrived where it goes on: seconds."""
        began = time.monotonic()
        source(self.server.port, count, self.sessions, self.octets, self.per)
        self.sent += count
        if self.work == "relay":
            wait_for("the last message", lambda: self.hop.received >= self.sent)
        return time.monotonic() - began

    def round(self, count):
        cpu, written = self.cpu_ms(), self.server.written()
        took = self.send(count)
        return {
            "messages": count,
            "rate": round(count / took, 1),
            "cpu_ms": round((self.cpu_ms() - cpu) / count, 4),
            "written": round((self.server.written() - written) / count),
        }

    def warm_up(self):
        return self.round(min(MOST, max(self.sessions, 20)))

    def measure(self, more=0):
        """The best of some rounds; of more than usual where small differences count."""
        rounds = [self.warm_up()]
        # The few come slower than the many: the last guess is the best one.
        for _ in range(ROUNDS + more):
            if rounds[-1]["messages"] / rounds[-1]["rate"] > SECONDS * 1.5:
                break
            rate = max(one["rate"] for one in rounds)
            rounds.append(self.round(int(max(self.sessions, min(MOST, rate * SECONDS)))))
        rounds = rounds[1:] or rounds
        best = max(rounds, key=lambda one: one["rate"])
        return {**best, "cpu_ms": min(one["cpu_ms"] for one in rounds)}


def measure(server, **options):
    with Load(server, **options) as load:
        return load.measure()


def ceiling(per, octets=5120, sessions=20):
    """What smtp-source reaches against a sink that stores nothing."""
    sink = Sink()
    try:
        few = source(sink.port, 400, sessions, octets, per)
        count = max(100, min(MOST, int(400 / few * SECONDS)))
        return round(count / source(sink.port, count, sessions, octets, per))
    finally:
        sink.end()
