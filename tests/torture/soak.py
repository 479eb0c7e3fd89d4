#!/usr/bin/env python3
"""Makes a table and a plot of what a soak wrote: soak.py soak.csv soak.svg.

The table goes to the output, in Markdown: memory and file descriptors, least and most, in each quarter of the samples.
"""

import csv
import sys

LEFT, WIDTH, HEIGHT, APART = 60, 640, 130, 174


def table(samples):
    count = len(samples) // 4
    quarters = [samples[nth * count:(nth + 1) * count] for nth in range(4)]

    def row(name, values):
        cells = (f"{min(found)}, {max(found)}" for found in (list(map(values, quarter)) for quarter in quarters))
        return f"| {name}, least and most | {' | '.join(cells)} |"

    return "\n".join([
        "| | first quarter | second | third | last |",
        "|---|---|---|---|---|",
        row("memory, MiB (PSS)", lambda sample: round(sample[1] / 1024)),
        row("file descriptors", lambda sample: sample[2]),
    ])


def panel(nth, name, times, values):
    top, most, last = 24 + nth * APART, max(values), times[-1]
    points = " ".join(
        f"{LEFT + WIDTH * time / last:.1f},{top + HEIGHT - HEIGHT * value / most:.1f}" for time, value in zip(times, values)
    )
    return f"""<text x="{LEFT}" y="{top - 8}">{name}</text>
<text x="{LEFT - 6}" y="{top + 10}" text-anchor="end">{round(most)}</text>
<text x="{LEFT - 6}" y="{top + HEIGHT}" text-anchor="end">0</text>
<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#bbb"/>
<polyline points="{points}" fill="none" stroke="#06c" stroke-width="1.5"/>
<text x="{LEFT + WIDTH}" y="{top + HEIGHT + 16}" text-anchor="end">{round(last / 60)} min</text>
"""


def plot(samples):
    times = [sample[0] for sample in samples]
    panels = (("memory, MiB (PSS)", 1, 1024), ("file descriptors", 2, 1), ("answered 250", 4, 1))
    drawn = (
        panel(nth, name, times, [sample[column] / unit for sample in samples])
        for nth, (name, column, unit) in enumerate(panels)
    )
    size = f'width="{LEFT + WIDTH + 20}" height="{len(panels) * APART + 24}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
{"".join(drawn)}</svg>
"""


def main():
    source, target = sys.argv[1:]
    with open(source, newline="") as file:
        samples = [list(map(int, line)) for line in list(csv.reader(file))[1:]]
    if len(samples) < 4:
        sys.exit(f"{source}: fewer than four samples")
    with open(target, "w") as file:
        file.write(plot(samples))
    print(table(samples))


main()
