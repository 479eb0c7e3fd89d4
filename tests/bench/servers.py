"""The servers that are measured, each with what it needs to accept and to relay mail of the loopback.

All say 250 only when the message is on the disk: Postfix syncs one file a message before, Exim three (with its log), Haraka one, Waxwing one for all messages
that arrive together. Next hops are given by port; `hold` keeps accepted mail in the queue, where a next hop that never greets does not.
"""

import os
import shutil
import subprocess
from pathlib import Path

from processes import HERE, HOME, TARGET, Failed, Process, folder, free_port, open_to_others, run, wait_for

USER, PASSWORD = "alice@example.org", "correct horse"
EXIM = TARGET / "interop/servers/usr/sbin/exim4"
HARAKA = TARGET / "bench-tools/node_modules/Haraka"
BINARY = TARGET / os.environ.get("BENCH_PROFILE", "release") / "waxwing"


def certificate():
    """A certificate of RSA 2048 and its key, made once in a run."""
    made, key = HOME / "tls.pem", HOME / "tls.key"
    if not made.exists():
        run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mx.example.org"]
            + ["-addext", "subjectAltName=DNS:mx.example.org", "-keyout", key, "-out", made]
        )
        key.chmod(0o644)
    return made, key


def fill(template, to, values):
    text = template.read_text()
    for key, value in values.items():
        text = text.replace("{%s}" % key, str(value))
    to.write_text(text)


class Waxwing(Process):
    """`plugins` are files, by the names that they get in its folder."""

    def __init__(self, next_hop, hold=False, plugins=(), reuse=False, sessions=None, tls=False, auth=False):
        home, self.port = folder("waxwing"), free_port()
        (home / "plugins").mkdir()
        for name, file in dict(plugins).items():
            shutil.copy(file, home / "plugins" / f"{name}.wasm")
        parts = [
            f'hostname = "waxwing.example"\ndata-dir = "data"\n[[listener]]\nname = "mx"\nbind = ["127.0.0.1:{self.port}"]',
            'tls = "starttls"' if tls else "",
            '[relay]\nnetworks = ["127.0.0.0/8"]',
            f'[outbound]\nsmarthost = "127.0.0.1:{next_hop}"\n[dns]\nservers = ["127.0.0.1:9"]',
            '[plugins]\ndir = "plugins"\n[plugins.limits]\ncpu-for-init = "60s"\nwall-for-init = "120s"',
            *(f'[plugins.{name}]\nisolation = "reuse"' for name in dict(plugins) if reuse),
        ]
        if tls:
            made, key = certificate()
            parts.append(f'[tls]\ncertificate = "{made}"\nkey = "{key}"')
        most = max(sessions or 0, 20_000)
        parts.append(f"[limits]\nsessions = {most}\nsessions-per-address = {most}")
        if auth:
            record = run([BINARY, "passwd"], input=PASSWORD + "\n").strip()
            parts.append(f"[[user]]\nname = \"{USER}\"\npassword-hash = ['{record}']")
        (home / "waxwing.toml").write_text("\n".join(parts) + "\n")
        self.log = home / "log"
        with open(self.log, "w") as log:
            super().__init__([BINARY, "serve", "--config", "waxwing.toml"], cwd=home, stdout=log, stderr=log)
        self.wait_for_greeting(180)
        if self.log.read_text().count(": plugin loaded ") < len(dict(plugins)):
            self.end()
            raise Failed("a plugin was not loaded: " + self.log.read_text().splitlines()[-1])


class Postfix(Process):
    def __init__(self, next_hop, hold=False, milter=None, sessions=None, tls=False, auth=False):
        home, self.port = folder("postfix"), free_port()
        for below in ("etc", "spool", "lib"):
            (home / below).mkdir()
        values = {"folder": home, "port": next_hop, "address": f"127.0.0.1:{self.port}"}
        for name in ("main.cf", "master.cf"):
            fill(HERE.parent / "postfix" / name, home / "etc" / name, values)
        extra = ["smtpd_client_connection_rate_limit = 0", "smtpd_timeout = 300s"]
        if hold:
            extra.append("smtpd_client_restrictions = check_client_access static:HOLD")
        if milter:
            extra += [f"smtpd_milters = unix:{milter}", "milter_default_action = tempfail"]
        if sessions:
            extra.append(f"default_process_limit = {sessions + 100}")
        if tls:
            made, key = certificate()
            extra += [f"smtpd_tls_cert_file = {made}", f"smtpd_tls_key_file = {key}", "smtpd_tls_security_level = may"]
        with open(home / "etc/main.cf", "a") as main:
            main.write("\n".join(extra) + "\n")
        open_to_others(home)
        shutil.chown(home / "lib", "postfix")
        run(["postfix", "-c", home / "etc", "check"])
        command = ["/usr/lib/postfix/sbin/master", "-c", home / "etc", "-d"]
        super().__init__(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait_for_greeting()


class Milter(Process):
    """A filter in C that hears four stages of each message over a Unix socket and changes nothing."""

    def __init__(self):
        home = folder("milter")
        program, self.socket = HOME / "noop-milter", home / "socket"
        run(["cc", "-O2", "-o", program, HERE / "milter.c", "-lmilter", "-lpthread"])
        super().__init__([program, self.socket], stderr=subprocess.DEVNULL)
        wait_for("the milter", self.socket.exists)
        self.socket.chmod(0o777)


class Exim(Process):
    def __init__(self, next_hop, hold=False, sessions=None, tls=False, auth=False):
        home, self.port = folder("exim"), free_port()
        for below in ("spool", "log"):
            (home / below).mkdir()
        values = {"folder": home, "port": self.port, "next_port": next_hop, "program": EXIM, "transport": ""}
        file = home / "exim.conf"
        fill(HERE.parent / "exim/exim.conf", file, values)
        # Without limits of its own: as many sessions and messages as come.
        extra = ["smtp_accept_max = 0", "smtp_accept_queue_per_connection = 0", "smtp_connect_backlog = 1000"]
        if hold:
            extra.append("queue_only = true")
        text = file.read_text()
        if tls:
            made, key = (shutil.copy(made, home) for made in certificate())
            extra += [f"tls_certificate = {made}", f"tls_privatekey = {key}"]
            text = text.replace("tls_advertise_hosts =\n", "tls_advertise_hosts = *\n")
        if auth:
            condition = "${if and {{eq{$auth2}{%s}}{eq{$auth3}{%s}}}}" % (USER, PASSWORD)
            text += "\nbegin authenticators\nplain:\n  driver = plaintext\n  public_name = PLAIN\n  server_prompts = :\n"
            text += f"  server_condition = {condition}\n  server_set_id = $auth2\n"
        file.write_text("\n".join(extra) + "\n" + text)
        open_to_others(home)
        run(["chown", "-R", "Debian-exim:Debian-exim", home])
        # Exim takes its configuration from nobody but root.
        shutil.chown(file, "root", "root")
        with open(HOME / "exim.log", "w") as log:
            super().__init__([EXIM, "-C", file, "-bdf"], stdout=log, stderr=log)
        self.wait_for_greeting()


class Haraka(Process):
    """Two worker processes; its plugin `bench` makes each client one that may relay and names the next hop."""

    def __init__(self, next_hop, hold=False, plugin=False, sessions=None, tls=False, auth=False):
        home, self.port = folder("haraka"), free_port()
        shutil.copytree(HERE / "haraka", home, dirs_exist_ok=True)
        # As `haraka -i` does: the configuration that it comes with, and ours over it.
        config = home / "config"
        shutil.copytree(HARAKA / "config", config)
        plugins = ["bench"] + ["noop"] * plugin + ["tls"] * tls + ["auth/flat_file"] * auth
        # Its `auth` is offered under TLS alone, or on the loopback.
        for name, lines in {
            "smtp.ini": [f"listen=127.0.0.1:{self.port}", "nodes=2"],
            "plugins": plugins,
            "me": ["haraka.example"],
            "bench.ini": [f"port={next_hop}"],
            "tls.ini": ["key=tls.key", "cert=tls.pem"],
            "auth_flat_file.ini": ["[core]", "methods=PLAIN", "[users]", f"{USER}={PASSWORD}"],
        }.items():
            (config / name).write_text("\n".join(lines) + "\n")
        if tls:
            for made in certificate():
                shutil.copy(made, config)
        with open(home / "log", "w") as log:
            super().__init__(["node", HARAKA / "bin/haraka", "-c", home], stdout=log, stderr=log)
        self.wait_for_greeting()


SERVERS = {"Waxwing": Waxwing, "Postfix": Postfix, "Exim": Exim, "Haraka": Haraka}


def version(name):
    """What is installed of a server; nothing when it is not there."""
    try:
        if name == "Waxwing":
            return run([BINARY, "--version"]).split()[-1]
        if name == "Postfix":
            return run(["postconf", "-h", "mail_version"]).strip()
        if name == "Exim":
            return run([EXIM, "-C", "/dev/null", "-bV"]).split()[2]
        return run(["node", "-p", f"require('{HARAKA}/package.json').version"]).strip() if HARAKA.exists() else None
    except (Failed, OSError):
        return None


def present():
    """The servers that can be measured here, and their versions."""
    chosen = os.environ.get("BENCH_SERVERS", " ".join(SERVERS)).split()
    found = {name: version(name) for name in chosen}
    return {name: version for name, version in found.items() if version}
