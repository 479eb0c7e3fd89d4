"""The part `queue`: the server on a queue of a million messages, each for its next attempt in some days.

`cargo run --release -p store --example fill DIR` makes the queue; delivery, commands and the metrics are then asked what operators ask.
"""

import os
import re
import shutil
import smtplib
import sys
import time
import urllib.request

from load import SHORT
from processes import HOME, TARGET, Failed, Process, folder, free_port, run, wait_for
from servers import BINARY

ENTRIES = int(os.environ.get("BENCH_QUEUED", "1000" if SHORT else "1000000"))
FILL = TARGET / BINARY.parent.name / "examples/fill"
#: How long a command may take that goes through the whole queue.
COMMAND_S = 120


class Queue(Process):
    """Waxwing on a data directory that is there, with a domain of its own, a mailbox and metrics."""

    def __init__(self, home):
        self.port, self.metrics, self.config, self.mail = free_port(), free_port(), home / "waxwing.toml", home / "mail"
        self.config.write_text(
            f'hostname = "mx.example.org"\ndata-dir = "{home / "data"}"\n'
            f'[[listener]]\nname = "mx"\nbind = ["127.0.0.1:{self.port}"]\n'
            f'[[domain]]\nname = "example.org"\ndeliver = {{ maildir = "{self.mail}/{{local}}" }}\n'
            f'[metrics]\nbind = "127.0.0.1:{self.metrics}"\n[dns]\nservers = ["127.0.0.1:9"]\n'
        )
        self.log = home / "log"
        with open(self.log, "w") as log:
            super().__init__([BINARY, "serve", "--config", self.config], stdout=log, stderr=log)
        self.wait_for_greeting(180)

    def command(self, *words):
        return run([BINARY, *words, "--config", self.config], COMMAND_S)

    def deliver(self):
        with smtplib.SMTP("127.0.0.1", self.port, timeout=30) as client:
            client.sendmail("ann@example.com", ["bob@example.org"], "Subject: first\r\n\r\nhello\r\n")
        new = self.mail / "bob/new"
        wait_for("the mailbox", lambda: new.is_dir() and any(new.iterdir()))

    def scrape(self):
        urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=30).read()


def disk_mb(folder):
    return sum(file.stat().st_blocks for file in folder.rglob("*") if file.is_file()) // 2048


def queue():
    rows = []

    def says(what, value, unit):
        print(what, value, unit, sep=", ", file=sys.stderr, flush=True)
        rows.append({"what": what, "value": value, "unit": unit})

    def timed(what, work):
        began = time.monotonic()
        answer = work()
        says(what, round(time.monotonic() - began, 3), "s")
        return answer

    home = folder("queue")
    try:
        if not FILL.exists():
            raise Failed(f"{FILL} is not there: cargo build --release -p store --example fill")
        filled = run([FILL, home / "data", str(ENTRIES)], 240)
        says("committed by the store alone", float(re.match(r"committed: ([\d.]+) s", filled)[1]), "s")
        says("on the disk", disk_mb(home / "data"), "MB")
        server = Queue(home)
        try:
            says("start until connections are accepted", round(server.greeted_s, 3), "s")
            says("memory then, PSS", round(server.pss_mb()), "MB")
            timed("a new message, from MAIL to its mailbox", server.deliver)
            timed("`queue list --limit 20`", lambda: server.command("queue", "list", "--limit", "20"))
            timed("`queue counts`", lambda: server.command("queue", "counts", "--limit", "3"))
            nobody = ["queue", "list", "--domain", "nobody.example"]
            timed("`queue list --domain`, of a domain without mail", lambda: server.command(*nobody))
            late = ["queue", "list", "--domain", "d9999.example", "--limit", "1"]
            timed("`queue list --domain --limit 1`, of one whose first message is far behind", lambda: server.command(*late))
            timed("`status`", lambda: server.command("status"))
            timed("`/metrics`", server.scrape)
            timed("`queue hold --domain`, which looks through all", lambda: server.command("queue", "hold", "--domain", "d5.example"))
            says("memory in the end, PSS", round(server.pss_mb()), "MB")
        finally:
            began = time.monotonic()
            server.end()
            says("stop", round(time.monotonic() - began, 3), "s")
    except Failed as why:
        print(why, file=sys.stderr)
        rows.append({"what": "the rest", "failed": str(why)})
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return rows
