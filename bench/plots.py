# SPDX-License-Identifier: GPL-3.0-or-later
"""The bars of `make bench`, drawn by gnuplot."""

import handshakes
from lab import hosts

HEAD = """
set terminal svg size 900,420 dynamic background rgb 'white' font 'sans-serif,13'
set output '{output}'
set title '{title}'
set style data histogram
set style histogram errorbars gap 1 lw 1
set style fill solid 0.8 border -1
set boxwidth 0.8
set yrange [0:*]
set grid y
set xtics rotate by -20 noenhanced
set key {key}
"""


def bars(series):
    """Median and quartiles, for histogram errorbars."""
    return f"{series['median']} {series['lower_quartile']} {series['upper_quartile']}"


def run(directory, name, script, lines):
    data = directory / f"{name}.dat"
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    hosts.run("gnuplot", input=script)


def draw_handshakes(handshake, directory):
    rows = {name: of for name, of in handshake.items() if name not in handshakes.FLOORS}
    floor = sum(handshake[key]["median"] for key in handshakes.FLOORS)
    script = HEAD.format(
        output=directory / "handshake.svg",
        title="server processor time a handshake, saturated, µs; the line: both floors",
        key="off",
    )
    script += f"""
plot '{directory}/handshake.dat' using 2:3:4:xtic(1) linecolor rgb '#3366aa', \\
	{floor} with lines linewidth 2 linecolor rgb '#aa3333'
"""
    run(directory, "handshake", script, [f"{name} {bars(of['saturated_cpu_us'])}" for name, of in rows.items()])


def draw_production(production, directory):
    rows = {name: front for name, front in production.items() if isinstance(front, dict)}
    keys = ("ratio_new_connections", "ratio_requests", "ratio_bulk_mb")
    script = HEAD.format(
        output=directory / "production.svg",
        title="production by each front, of what it does directly",
        key="outside right noenhanced",
    )
    plots = ", \\\n\t".join(
        f"'{directory}/production.dat' using {2 + 3 * i}:{3 + 3 * i}:{4 + 3 * i}:xtic(1) title '{key}'"
        for i, key in enumerate(keys)
    )
    script += f"plot {plots}\n"
    lines = [f"{name} {' '.join(bars(front[key]) for key in keys)}" for name, front in rows.items()]
    run(directory, "production", script, lines)


def draw(result, directory):
    draw_handshakes(result["handshake"], directory)
    draw_production(result["production"], directory)
