"""The parts that send messages: `accept`, `sizes`, `relay`, `plugins` and `costs`.

Each gives rows for a table. A figure that is not to be had stands in its row as `failed`, with the reason.
"""

import signal
import subprocess
import sys
import time

from load import SHORT, Load, ceiling, measure
from processes import HOME, TARGET, Failed, wait_for
from servers import Milter, present

SESSIONS = (1, 20) if SHORT else (1, 8, 20, 100, 1000)
PER = ("many", "one")
SIZES = (50 << 10,) if SHORT else (50 << 10, 1 << 20)
PLUGINS = TARGET / "plugins"
#: A plugin of each language, as they come with the server: what each does is its own.
LANGUAGES = {
    "C": "helo-policy",
    "JavaScript": "subject-policy",
    "JavaScript, full engine": "link-check",
    "TypeScript": "sender-tls",
    "Python": "header-lint",
    "Go": "impersonation",
}


def row(key, **options):
    """One row: its key, and what was measured or why nothing was."""
    server = key["server"]
    try:
        found = measure(server, **options)
    except Failed as why:
        found = {"failed": str(why)}
    print(*key.values(), found, sep=", ", file=sys.stderr, flush=True)
    return {**key, **found}


def accept():
    rows = [{"server": "smtp-sink", "per": per, "sessions": 20, "rate": ceiling(per)} for per in PER]
    for per in PER:
        for sessions in SESSIONS:
            for server in present():
                key = {"server": server, "per": per, "sessions": sessions}
                rows.append(row(key, per=per, sessions=sessions))
    return rows


def sizes():
    rows = []
    for octets in SIZES:
        for per in PER:
            for server in present():
                rows.append(row({"server": server, "per": per, "octets": octets}, per=per, octets=octets))
    return rows


def relay():
    rows = []
    for per in PER:
        for sessions in (20,) if SHORT or per == "one" else (1, 20, 100):
            for server in present():
                key = {"server": server, "per": per, "sessions": sessions}
                rows.append(row(key, work="relay", per=per, sessions=sessions))
    return rows


def extensions():
    """What each is called, of which server, and the options that add it."""
    quiet, tags = PLUGINS / "hostile/four-hooks.wasm", PLUGINS / "tag-headers.wasm"
    yield "none", "Waxwing", {}
    yield "Rust, four hooks", "Waxwing", {"plugins": {"p1": quiet}}
    yield "Rust, four hooks, five times", "Waxwing", {"plugins": {f"p{n}": quiet for n in range(1, 6)}}
    yield "Rust, four hooks, isolation = reuse", "Waxwing", {"plugins": {"p1": quiet}, "reuse": True}
    yield "Rust, tag-headers", "Waxwing", {"plugins": {"tag-headers": tags}}
    for language, name in () if SHORT else LANGUAGES.items():
        yield f"{language}, {name}", "Waxwing", {"plugins": {name: PLUGINS / f"{name}.wasm"}}
    yield "none", "Postfix", {}
    yield "milter in C, four stages", "Postfix", {"milter": True}
    yield "none", "Haraka", {}
    yield "JavaScript, four hooks", "Haraka", {"plugin": True}


def with_extension(key, server, options):
    """Its rows, from one start: what compiles long does so once."""
    milter = Milter() if options.get("milter") else None
    added = {"milter": milter.socket, "beside": [milter]} if milter else options
    rows = []
    try:
        with Load(server, **added) as load:
            for per in PER[: 1 if SHORT else None]:
                load.per = per
                rows.append({**key, "per": per, **load.measure(more=0 if SHORT else 1)})
    except Failed as why:
        rows += [{**key, "per": per, "failed": str(why)} for per in PER[len(rows) :]]
    finally:
        if milter:
            milter.end()
    for one in rows:
        print(*one.values(), sep=", ", file=sys.stderr, flush=True)
    return rows


def plugins():
    rows, there = [], present()
    for name, server, options in extensions():
        key = {"server": server, "extension": name}
        missing = [file.name for file in dict(options.get("plugins", {})).values() if not file.exists()]
        if missing:
            why = f"{missing[0]} is not there; plugins/build --all makes it"
            rows += [{**key, "per": per, "failed": why} for per in PER]
        elif server in there:
            rows += with_extension(key, server, options)
    return rows


def traced(load, count):
    """System calls a message: how many of each kind, by strace, which is attached once the server is warm."""
    file = HOME / "strace"
    # Processes that only finish what is done are gone by then.
    time.sleep(1)
    pids = [word for pid in load.server.pids() for word in ("-p", str(pid))]
    with open(HOME / "strace.log", "w+") as log:
        tracer = subprocess.Popen(["strace", "-f", "-c", "-U", "calls,name", "-o", file, *pids], stderr=log)

        def heard():
            said = (HOME / "strace.log").read_text()
            # A process may end before it is reached.
            return tracer.poll() is not None or said.count(" attached") + said.count("No such process") >= len(pids) // 2

        try:
            wait_for("strace", heard)
            load.send(count)
        finally:
            if tracer.poll() is None:
                tracer.send_signal(signal.SIGINT)
            tracer.wait(30)
    calls = {}
    for line in file.read_text().splitlines():
        words = line.split()
        if len(words) == 2 and words[0].isdigit() and words[1] != "total":
            calls[words[1]] = round(int(words[0]) / count, 2)
    if not calls:
        raise Failed("strace counted nothing")
    return dict(sorted(calls.items(), key=lambda call: -call[1]))


def costs():
    """System calls and octets written, in runs of their own: a traced server is slow."""
    rows = []
    for work, per in (("accept", "many"), ("accept", "one"), ("relay", "many")):
        for server in present():
            key = {"server": server, "work": work, "per": per}
            try:
                with Load(server, work=work, per=per) as load:
                    load.warm_up()
                    count = 20 if SHORT else 200
                    written = load.round(count)["written"]
                    calls = traced(load, count)
                found = {"calls": round(sum(calls.values()), 1), "written": written, "by_name": dict(list(calls.items())[:12])}
            except Failed as why:
                found = {"failed": str(why)}
            print(*key.values(), found, sep=", ", file=sys.stderr, flush=True)
            rows.append({**key, **found})
    return rows
