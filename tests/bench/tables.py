"""From figures to the tables of docs/benchmarks/README.md: each stands between two comments, and what is outside of them stays."""

import re

ORDER = ("Waxwing", "Postfix", "Exim", "Haraka")
PER = {"many": "many messages a connection", "one": "one message a connection"}
SIZES = {50 << 10: "50 KB", 1 << 20: "1 MB"}


def number(value):
    """With as many digits as say something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cpu(value):
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def cell(row):
    if row is None:
        return ""
    if "failed" in row:
        return "no figure"
    return f"{number(row['rate'])}/s, {cpu(row['cpu_ms'])} ms"


def table(columns, lines, right=1):
    """Markdown; the columns from the `right`th on are numbers."""
    marks = ["---" if n < right else "---:" for n in range(len(columns))]
    return ["| " + " | ".join(line) + " |" for line in (columns, marks, *lines)]


def servers_of(rows):
    return [name for name in ORDER if any(row["server"] == name for row in rows)]


def reasons(rows):
    """What stands below a table in which figures are missing."""
    lines = []
    for row in rows:
        if "failed" in row:
            what = ", ".join(str(value) for key, value in row.items() if key != "failed")
            lines.append(f"No figure for {what}: {row['failed']}.")
    return ["", *lines] if lines else []


def crossed(rows, keys, label):
    """A line for each value of the keys, a column for each server."""
    servers, lines, seen = servers_of(rows), [], []
    for row in rows:
        value = tuple(row[key] for key in keys)
        if row["server"] not in servers or value in seen:
            continue
        seen.append(value)
        of = {other["server"]: other for other in rows if tuple(other[key] for key in keys) == value}
        lines.append([*label(*value), *(cell(of.get(server)) for server in servers)])
    return servers, lines


def accept(rows):
    ceilings = {row["per"]: row["rate"] for row in rows if row["server"] == "smtp-sink"}
    rows = [row for row in rows if row["server"] != "smtp-sink"]
    servers, lines = crossed(rows, ("per", "sessions"), lambda per, sessions: (PER[per], f"{sessions:,}"))
    said = "; ".join(f"{number(rate)}/s with {PER[per]}" for per, rate in ceilings.items())
    return [*table(["5 KB", "sessions", *servers], lines), "", f"smtp-source alone, against smtp-sink: {said}.", *reasons(rows)]


def sizes(rows):
    servers, lines = crossed(rows, ("octets", "per"), lambda octets, per: (SIZES[octets], PER[per]))
    return [*table(["size", "20 sessions", *servers], lines, 2), *reasons(rows)]


def relay(rows):
    servers, lines = crossed(rows, ("per", "sessions"), lambda per, sessions: (PER[per], f"{sessions:,}"))
    return [*table(["5 KB", "sessions", *servers], lines), *reasons(rows)]


def without(rows, row):
    """The same server without an extension."""
    bare = (one for one in rows if one["extension"] == "none" and (one["server"], one["per"]) == (row["server"], row["per"]))
    return next(bare, None)


def added(rows, row):
    """What an extension costs: CPU milliseconds a message."""
    bare = without(rows, row)
    if bare is None or "failed" in row or "failed" in bare:
        return None
    return row["cpu_ms"] - bare["cpu_ms"]


def plugins(rows):
    lines, seen = [], []
    for row in rows:
        key = (row["server"], row["extension"])
        if key in seen:
            continue
        seen.append(key)
        line = list(key)
        for per in PER:
            one = next((r for r in rows if (r["server"], r["extension"], r["per"]) == (*key, per)), None)
            more = added(rows, one) if one else None
            line += [cell(one), "" if more is None or key[1] == "none" else f"{more:+.3f}"]
        lines.append(line)
    columns = ["server", "extension", PER["many"], "CPU added, ms", PER["one"], "CPU added, ms"]
    return [*table(columns, lines, 2), *reasons(rows)]


def sessions(rows):
    from sessions import KINDS

    servers, lines = crossed(rows, ("kind",), lambda kind: (KINDS[kind],))
    return [*table(["session", *servers], lines), *reasons(rows)]


def memory(rows):
    servers = servers_of(rows)
    lines = []
    for count in sorted({row["sessions"] for row in rows}):
        of = {row["server"]: row for row in rows if row["sessions"] == count}
        found = (of.get(server, {}) for server in servers)
        lines.append([f"{count:,}", *(f"{one['memory_mb']:,} MB" if "memory_mb" in one else "" for one in found)])
    rates = [(one["server"], one["rate"]) for one in rows if "rate" in one and one["sessions"] == 1000]
    said = ", ".join(f"{server} {number(rate)}" for server, rate in rates)
    after = ["", f"Set up one after the other by one client, a second: {said}."] if said else []
    return [*table(["idle sessions", *servers], lines, 0), *after, *reasons(rows)]


def start(rows):
    lines = [[row["server"], f"{row['start_s']:.3f} s", f"{row['cpu_ms']} ms"] for row in rows if "failed" not in row]
    return [*table(["server", "to the first greeting", "CPU until then"], lines), *reasons(rows)]


def queue(rows):
    lines = [[row["what"], f"{row['value']:,} {row['unit']}"] for row in rows if "failed" not in row]
    return [*table(["what", "figure"], lines), *(f"\nNo more figures: {row['failed']}." for row in rows if "failed" in row)]


def costs(rows):
    lines = []
    for row in rows:
        if "failed" in row:
            continue
        calls = ", ".join(f"{name} {count}" for name, count in list(row["by_name"].items())[:6])
        octets = f"{row['written'] / 1000:.1f} KB"
        lines.append([f"{row['work']}, {PER[row['per']]}", row["server"], number(row["calls"]), octets, calls])
    columns = ["5 KB, 20 sessions", "server", "system calls", "written", "most of them"]
    return [*table(columns, lines, 2), *reasons(rows)]


def goals(parts):
    """What anchors the design, and what this run measured of it."""
    def of(part, **keys):
        rows = parts.get(part, {}).get("rows", [])
        found = (row for row in rows if all(row.get(key) == value for key, value in keys.items()) and "failed" not in row)
        return next(found, None)

    def more(extension):
        row = of("plugins", server="Waxwing", extension=extension, per="many")
        value = row and added(parts["plugins"]["rows"], row)
        return None if value is None else f"{value:.3f} ms"

    def rate(part, **keys):
        row = of(part, server="Waxwing", **keys)
        return row and cell(row)

    def idle(count):
        row = of("memory", server="Waxwing", sessions=count)
        return row and f"{row['memory_mb']} MB"

    tls, plain = (of("sessions", server="Waxwing", kind=kind) for kind in ("tls", "connect"))
    lines = [
        ("accept, many messages a connection", "12,000/s, 0.08 ms", rate("accept", per="many", sessions=20)),
        ("accept, one message a connection", "5,000/s, 0.18 ms", rate("accept", per="one", sessions=20)),
        ("relay until the last has arrived", "5,000/s, 0.20 ms", rate("relay", per="many", sessions=20)),
        ("accept, 50 KB", "3,000/s, 0.25 ms", rate("sizes", octets=50 << 10, per="many")),
        ("a Rust plugin with four hooks", "0.02 ms", more("Rust, four hooks")),
        ("five of them", "0.1 ms", more("Rust, four hooks, five times")),
        ("1,000 idle sessions", "20 MB", idle(1000)),
        ("5,000 idle sessions", "60 MB", idle(5000)),
        ("STARTTLS, CPU", "0.8 ms", tls and plain and f"{tls['cpu_ms'] - plain['cpu_ms']:.3f} ms"),
    ]
    return table(["work", "goal", "measured"], [[what, goal, found or ""] for what, goal, found in lines], 3)


def machine(parts):
    """Where and on what the figures were made."""
    made = [part for part in parts.values() if part]
    if not made:
        return []
    latest = max(made, key=lambda part: part["made"])
    versions = ", ".join(f"{name} {version}" for name, version in latest["versions"].items())
    loads = ", ".join(f"{name} {part['load']:.1f}" for name, part in parts.items())
    return [
        f"{latest['machine']}. {versions}. Made on {latest['made'][:10]}.",
        "",
        f"Load average when each part began, beside what the parts themselves do: {loads}.",
    ]


TABLES = {
    "accept": accept, "sizes": sizes, "relay": relay, "plugins": plugins, "costs": costs, "sessions": sessions, "memory": memory,
    "start": start, "queue": queue,
}  # fmt: skip


def put(text, name, lines):
    """The page with new lines in the region of this name."""
    region = re.compile(rf"(<!-- make bench: {name} -->\n).*?(<!-- end -->)", re.S)
    if not region.search(text):
        raise SystemExit(f"the page has no region for {name}")
    body = "\n".join(["", *lines, "", ""])
    return region.sub(lambda found: found[1] + body + found[2], text)


def write(page, parts):
    text = page.read_text()
    for name, part in parts.items():
        text = put(text, name, TABLES[name](part["rows"]))
    text = put(text, "goals", goals(parts))
    text = put(text, "machine", machine(parts))
    page.write_text(text)
