# SPDX-License-Identifier: GPL-3.0-or-later
"""Sidestep beside what people would use instead: `make bench` or `make bench-quick`, as root.

Measures handshakes (handshakes.py), production (front_load.py, ratios.py) and publishing
(publishing.py) in one run, and writes results.json, RESULTS.md and plots to build/bench; bench/README.md
explains the keys.
"""

import argparse
import json
import os
import platform
import re
import time

import front_load

import entry
import handshakes
import plots
import publishing
import ratios
import storm
from lab import hosts

# Rounds of handshakes, of production, of storms and of publishing, and the seconds of a block;
# and how many seconds each load beside Sidestep lasts.
FULL = {"handshakes": (12, 2), "fronts": (10, 2), "beside": 110, "storm": (5, 5), "publishing": 5}
QUICK = {"handshakes": (3, 1), "fronts": (3, 1), "beside": 10, "storm": (2, 2), "publishing": 2}

VERSIONS = {
    "nginx": ("nginx", "-v"),
    "haproxy": ("haproxy", "-v"),
    "openssl": ("openssl", "version"),
    "ualpn": ("ualpn", "--version"),
    "sslh": ("sslh-select", "-V"),
    "caddy": (hosts.PEERS / "caddy", "version"),
}


def version_of(command):
    run = hosts.run(*command, check=False)
    found = re.search(r"\d+\.\d+[\w.~+-]*", run.stdout + run.stderr)
    return found.group(0) if found else "?"


def cpu_model():
    with open("/proc/cpuinfo", encoding="ascii") as file:
        return re.search(r"model name\s*:\s*(.*)", file.read()).group(1)


def measure(plan):
    """The whole of results.json."""
    started, load_before = time.time(), os.getloadavg()[0]
    result = {
        "handshake": handshakes.measure(*plan["handshakes"]),
        "production": front_load.measure(*plan["fronts"]),
        "beside": ratios.measure(plan["beside"]),
        "storm": storm.measure(*plan["storm"]),
        "publish": publishing.measure(plan["publishing"]),
    }
    result["machine"] = {
        "cpu": cpu_model(),
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "load_average_before": load_before,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started),
        "versions": {name: version_of(command) for name, command in VERSIONS.items()},
    }
    return result


# --- tables --------------------------------------------------------------------------------


def cell(series, digits):
    """A series' median, and its quartiles; nothing for what was not measured."""
    if series is None:
        return ""
    low, high = series["lower_quartile"], series["upper_quartile"]
    return f"{series['median']:.{digits}f} ({low:.{digits}f} .. {high:.{digits}f})"


def table(head, rows):
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def handshake_lines(handshake):
    head = ("who", "saturated cpu µs", "of nginx", "of both floors", "low load cpu µs", "of nginx",
            "handshakes/s", "p99 ms", "bytes open")
    rows = [
        (
            *(name, cell(of_name["saturated_cpu_us"], 0), cell(of_name["saturated_over_nginx"], 2)),
            *(cell(of_name["saturated_over_floors"], 2), cell(of_name["cpu_us"], 0)),
            cell(of_name["cpu_over_nginx"], 2),
            *(cell(of_name.get("per_s"), 0), cell(of_name.get("p99_ms"), 1)),
            str(of_name.get("bytes_per_open_handshake", "")),
        )
        for name, of_name in handshake.items()
        if name not in handshakes.FLOORS
    ]
    yield (
        f"Processor time of a handshake.  The crypto floor: {cell(handshake['crypto_floor_us'], 1)}"
        f" µs; the TCP floor, saturated: {cell(handshake['tcp_floor_us'], 1)} µs.\n"
    )
    yield from table(head, rows)


def production_lines(production):
    head = ("front", "new connections/s", "ratio", "requests/s", "ratio", "bulk MB/s", "ratio",
            "p99 ms", "cpu µs a connection", "failed")
    rows = [
        (
            name,
            *(cell(front["new_connections_per_s"], 0), cell(front["ratio_new_connections"], 3)),
            *(cell(front["requests_per_s"], 0), cell(front["ratio_requests"], 3)),
            *(cell(front["bulk_mb_per_s"], 0), cell(front["ratio_bulk_mb"], 3)),
            *(cell(front["p99_ms"], 2), cell(front["cpu_us_new_connections"], 0), str(front["failed"])),
        )
        for name, front in production.items()
        if isinstance(front, dict)
    ]
    yield f"{production['armed_names']} names armed.\n"
    yield from table(head, rows)


def beside_lines(beside):
    head = ("load", "armed, of direct", "95 %", "idle", "control")
    rows = []
    for load in ratios.LOADS:
        armed = beside[f"{load.key}_cpu_ratio"]
        idle, control = (
            f"{beside[f'{load.key}_{state}_cpu_ratio']['median']:.3f}" for state in ("idle", "control")
        )
        surely = f"{armed['median_low']:.3f} .. {armed['median_high']:.3f}"
        rows.append((load.key, f"{armed['median']:.3f}", surely, idle, control))
    yield f"{beside['armed_names']} names armed; work done for a second of processor time.\n"
    yield from table(head, rows)


STORMS = {
    "none": "no storm",
    "not_pending": "for a name that is not pending: production's",
    "pending": "for a pending name: the responder's",
}


def storm_lines(result):
    head = ("strangers", "offered/s", "connected/s", "validators through", "production requests/s",
            "p99 ms", "failed", "responder MiB")
    rows = [
        (
            *(text, cell(of_kind.get("offered_per_s"), 0), cell(of_kind.get("connected_per_s"), 0)),
            f"{of_kind['validated']} of {of_kind['validators']}",
            *(cell(of_kind["requests_per_s"], 0), cell(of_kind["p99_ms"], 2)),
            *(str(of_kind["failed"]), str(of_kind["responder_mib"])),
        )
        for kind, text in STORMS.items()
        for of_kind in (result[kind],)
    ]
    yield from table(head, rows)
    held = result["open_handshakes"]
    yield (
        f"\nWith {held['count']} handshakes open at once the responder takes {held['mib']} MiB; "
        f"{held['before_mib']} MiB without."
    )


def publish_lines(publish):
    rows = [
        ("names a second, one core", cell(publish["per_s"], 0)),
        ("bytes a name, table and index", cell(publish["bytes_per_name"], 0)),
        ("µs until it can be answered, p99", cell(publish["answerable_p99_us"], 0)),
    ]
    yield from table(("publishing", f"{publish['names']} names"), rows)
    everything = publish["full"]
    yield f"\nWith {everything['names']} names armed all of it takes {everything['mib']} MiB."


def machine_lines(machine):
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    yield (
        f"{machine['started']}, {machine['seconds']} s, Linux {machine['kernel']}, "
        f"{machine['cpus']} × {machine['cpu']}, load {machine['load_average_before']:.2f} before; "
        f"{versions}."
    )
    yield "Medians, with the quartiles of the rounds."


def document(result):
    """RESULTS.md."""
    yield "<!-- SPDX-License-Identifier: GPL-3.0-or-later -->"
    yield "# Results of `make bench`\n"
    yield from machine_lines(result["machine"])
    yield "\n## The validator's handshake, one worker on one core\n"
    yield from handshake_lines(result["handshake"])
    yield "\n![handshakes](handshake.svg)\n\n## Production, by each front\n"
    yield from production_lines(result["production"])
    yield "\n![production](production.svg)\n\n## Production beside Sidestep, by processor time\n"
    yield from beside_lines(result["beside"])
    yield "\n## In a storm\n"
    yield from storm_lines(result["storm"])
    yield "\n## Publishing\n"
    yield from publish_lines(result["publish"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    result = measure(QUICK if parser.parse_args().quick else FULL)
    directory = hosts.BUILD / "bench"
    (directory / "results.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    text = "\n".join(document(result)) + "\n"
    (directory / "RESULTS.md").write_text(text, encoding="utf-8")
    plots.draw(result, directory)
    print(text)
    print(f"written to {os.path.relpath(directory)}: results.json, RESULTS.md, plots")


if __name__ == "__main__":
    entry.run(main)
