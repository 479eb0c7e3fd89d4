"""From figures to plots: small SVG of lines and bars, which need no library and read well beside text, in light and dark."""

import math
from xml.sax.saxutils import escape

from tables import ORDER, added, servers_of

COLOURS = {"Waxwing": "#d1495b", "Postfix": "#3d7ea6", "Exim": "#66a182", "Haraka": "#b08840"}
WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 80, 20, 60, 56


class Canvas:
    def __init__(self, title, unit, height=HEIGHT):
        self.height, self.parts = height, []
        self.rect(0, 0, WIDTH, height, "#ffffff")
        self.text(LEFT, 24, title, size=16, weight="bold")
        self.text(LEFT, 43, unit, fill="#666666")

    def rect(self, x, y, width, height, fill):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"/>')

    def line(self, points, colour, width=2.5):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>')

    def dot(self, x, y, colour):
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')

    def text(self, x, y, words, size=12, anchor="start", fill="#222222", weight="normal"):
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}" font-weight="{weight}">'
            f"{escape(words)}</text>"
        )

    def legend(self, names):
        x = WIDTH - RIGHT
        for name in reversed(names):
            x -= 9 * len(name) + 28
            self.rect(x, 32, 12, 12, COLOURS[name])
            self.text(x + 17, 43, name)

    def svg(self):
        size = f'width="{WIDTH}" height="{self.height}" viewBox="0 0 {WIDTH} {self.height}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="DejaVu Sans, Helvetica, Arial, sans-serif">'
        return "\n".join([head, *self.parts, "</svg>", ""])


def short(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 10 else f"{value:.3g}"


def scale(values):
    """Powers of ten around all of them: servers differ by orders of magnitude."""
    low, high = min(values), max(values)
    return 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high * 1.001))


def lines(title, unit, series, label):
    """Values of each server over steps that stand at equal distances; the axis of values is logarithmic."""
    canvas = Canvas(title, unit)
    steps = sorted({x for points in series.values() for x, _ in points})
    low, high = scale([y for points in series.values() for _, y in points])
    def at(x, y):
        across = (WIDTH - LEFT - RIGHT - 60) * (steps.index(x) / max(1, len(steps) - 1))
        up = math.log(y / low) / math.log(high / low)
        return LEFT + 30 + across, HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)
    mark = low
    while mark <= high * 1.001:
        y = at(steps[0], mark)[1]
        canvas.line([(LEFT, y), (WIDTH - RIGHT, y)], "#dddddd", 1)
        canvas.text(LEFT - 8, y + 4, short(mark), anchor="end")
        mark *= 10
    for step in steps:
        canvas.text(at(step, low)[0], HEIGHT - BOTTOM + 20, f"{step:,}", anchor="middle")
    canvas.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, label, anchor="middle", fill="#666666")
    taken = []
    for server, points in series.items():
        places = [at(x, y) for x, y in sorted(points)]
        canvas.line(places, COLOURS[server])
        for (x, y), (_, value) in zip(places, sorted(points)):
            canvas.dot(x, y, COLOURS[server])
            # Above the point, or below where another stands: one that has no room is left out, the table has it.
            free = [up for up in (y - 9, y + 17) if all(x != other or abs(up - there) > 10 for other, there in taken)]
            if free:
                taken.append((x, free[0]))
                canvas.text(x, free[0], short(value), size=10, anchor="middle", fill="#555555")
    canvas.legend(list(series))
    return canvas.svg()


def bars(title, unit, values):
    """One bar for each (label, server, value), from the left; the axis begins at nought."""
    row = 26
    canvas = Canvas(title, unit, TOP + 14 + row * len(values) + 16)
    names = 290
    most = max(max(value for *_, value in values), 1e-9)
    for n, (label, server, value) in enumerate(values):
        y = TOP + 10 + n * row
        width = max(1.0, (WIDTH - names - RIGHT - 70) * max(value, 0) / most)
        canvas.text(names - 10, y + 14, label, anchor="end")
        canvas.rect(names, y, width, row - 8, COLOURS[server])
        canvas.text(names + width + 6, y + 14, f"{value:.3f}" if value < 10 else short(value))
    canvas.legend([server for server in ORDER if any(server == one for _, one, _ in values)])
    return canvas.svg()


def over_sessions(rows, value, **keys):
    series = {}
    for server in servers_of(rows):
        chosen = (row for row in rows if row["server"] == server and all(row[key] == v for key, v in keys.items()))
        points = [(row["sessions"], row[value]) for row in chosen if row.get(value, 0) > 0]
        if points:
            series[server] = points
    return series


def accept(rows):
    for per, words in (("many", "many messages a connection"), ("one", "one message a connection")):
        for value, what, unit in (("rate", "Accepted durably", "messages a second"), ("cpu_ms", "CPU to accept", "milliseconds a message")):
            series = over_sessions(rows, value, per=per)
            if series:
                yield f"accept-{per}-{value.split('_')[0]}", lines(f"{what}, {words}", f"{unit}; 5 KB", series, "sessions")


def relay(rows):
    for value, what, unit in (("rate", "Relayed", "messages a second"), ("cpu_ms", "CPU to relay", "milliseconds a message")):
        series = over_sessions(rows, value, per="many")
        if series:
            yield f"relay-{value.split('_')[0]}", lines(f"{what}, until the last has arrived", f"{unit}; 5 KB", series, "sessions")


def sizes(rows):
    values = []
    for octets, size in ((50 << 10, "50 KB"), (1 << 20, "1 MB")):
        for row in rows:
            if row["octets"] == octets and row["per"] == "many" and "rate" in row:
                values.append((f"{row['server']}, {size}", row["server"], row["rate"] * octets / 1e6))
    if values:
        yield "sizes", bars("Accepted durably, larger messages", "megabytes a second; 20 sessions", values)


def plugins(rows):
    values = []
    for row in rows:
        more = added(rows, row)
        if row["per"] == "many" and row["extension"] != "none" and more is not None:
            values.append((row["extension"], row["server"], more))
    if values:
        yield "plugins", bars("What an extension costs", "CPU milliseconds a message, many a connection", values)


def memory(rows):
    series = {}
    for server in servers_of(rows):
        points = [(row["sessions"], row["memory_mb"]) for row in rows if row["server"] == server and row.get("memory_mb", 0) > 0]
        if points:
            series[server] = points
    if series:
        yield "memory", lines("Memory of idle sessions", "megabytes (PSS), all processes", series, "sessions after EHLO")


PLOTS = {"accept": accept, "sizes": sizes, "relay": relay, "plugins": plugins, "memory": memory}


def write(folder, parts):
    folder.mkdir(exist_ok=True)
    for name, part in parts.items():
        for file, svg in PLOTS.get(name, lambda _: ())(part["rows"]):
            (folder / f"{file}.svg").write_text(svg)
