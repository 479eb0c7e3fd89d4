"""Messages a second, and CPU a message: 20 sessions of smtp-source, messages of 5 KB.

`accept` ends when the last message was answered with 250: Postfix puts it on hold, Waxwing keeps it for a next hop that never
greets. `relay` ends when smtp-sink has the last message.
"""

import os
import subprocess
import sys
import time

from servers import Postfix, Silent, Sink, Waxwing, cpu_ms, wait_for

MESSAGES = int(os.environ.get("BENCH_MESSAGES", "10000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "2"))
SESSIONS, OCTETS = 20, 5120


def source(port, per_connection):
    arguments = ["smtp-source", *(["-d"] if per_connection == "many" else []), "-s", str(SESSIONS), "-l", str(OCTETS)]
    arguments += ["-m", str(MESSAGES), "-f", "ann@example.com", "-t", "carl@example.net", f"127.0.0.1:{port}"]
    subprocess.run(arguments, check=True)


def measure(server, work, per_connection):
    """Messages a second, and CPU milliseconds a message."""
    hop = Sink() if work == "relay" else Silent()
    name, _, plugin = server.partition(" + ")
    hold = "smtpd_client_restrictions = check_client_access static:HOLD\n" if work == "accept" else ""
    running = Postfix(hop.port, hold) if name == "Postfix" else Waxwing(hop.port, plugin)
    try:
        cpu, began = cpu_ms(running.child.pid), time.monotonic()
        source(running.port, per_connection)
        if work == "relay":
            wait_for("the last message", lambda: hop.received() >= MESSAGES)
        took, cpu = time.monotonic() - began, cpu_ms(running.child.pid) - cpu
    finally:
        running.end()
        hop.end()
    return MESSAGES / took, cpu / MESSAGES


def ceiling(per_connection):
    sink = Sink()
    try:
        began = time.monotonic()
        source(sink.port, per_connection)
        return MESSAGES / (time.monotonic() - began)
    finally:
        sink.end()


def table():
    """The lines of a table, the better of all rounds in each."""
    servers = ["Postfix", "Waxwing", "Waxwing + tag-headers", "Waxwing + verdict"]
    works = [(work, per) for work in ("accept", "relay") for per in ("many", "one")]
    best = {}
    for round_ in range(ROUNDS):
        for work, per in works:
            for server in servers:
                rate, cpu = measure(server, work, per)
                before = best.get((work, per, server), (0, float("inf")))
                best[work, per, server] = (max(rate, before[0]), min(cpu, before[1]))
                print(f"round {round_ + 1}: {server}, {work}, {per} a connection: {rate:.0f}/s, {cpu:.3f} ms", file=sys.stderr)
    lines = [
        f"{MESSAGES} messages of {OCTETS} octets over {SESSIONS} sessions, the better of {ROUNDS} rounds. smtp-source alone, against "
        f"smtp-sink: {ceiling('many'):.0f}/s with many messages a connection, {ceiling('one'):.0f}/s with one.",
        "",
        "| work | server | messages/s | CPU ms a message | rate to Postfix | CPU to Postfix |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for work, per in works:
        rate0, cpu0 = best[work, per, "Postfix"]
        for server in servers:
            rate, cpu = best[work, per, server]
            lines.append(
                f"| {work}, {per} a connection | {server} | {rate:.0f} | {cpu:.3f} | {rate / rate0:.1f} × | {cpu / cpu0:.2f} × |"
            )
    return lines
