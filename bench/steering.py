# SPDX-License-Identifier: GPL-3.0-or-later
"""What steering costs: `make bench-steering`, as root.

Measures each rule of the classifier (build/bench/classifier), then what production
delivers with it (ratios.py); prints a table and writes build/bench/steering.json, whose
keys bench/README.md explains.
"""

import collections
import json
import os
import platform
import time

import entry
import ratios
import spread
from lab import hosts

CLASSIFIER_ROUNDS = 25
CLASSIFIER_PATIENCE_S = 120

# Rules that are measured on a connection each, whose runs are timed one by one.
ONCE = {
    *("accepted", "bare_ack", "not_tls", "other_hello", "not_pending_hello", "acme_hello"),
    *("undecided_hello", "completed_hello", "cookie_hello"),
}


def run_classifier():
    """Its lines, as a series of ns for each takeover and rule, and the programs of each takeover."""
    series = collections.defaultdict(lambda: collections.defaultdict(list))
    programs = collections.defaultdict(dict)
    command = (hosts.BUILD / "bench/classifier", CLASSIFIER_ROUNDS)
    output = hosts.run(*command, cwd=hosts.SOURCE, timeout=CLASSIFIER_PATIENCE_S).stdout
    for line in output.splitlines():
        takeover, kind, name, *numbers = line.split()
        if kind == "ns":
            series[takeover][name].append(int(numbers[0]))
        else:
            programs[takeover][name] = tuple(map(int, numbers))
    return series, programs


def describe_takeover(series, programs):
    """The members of "classifier" for one takeover."""
    members = {}
    for rule, values in series.items():
        members[f"{rule}_ns"] = spread.describe(values, 1)
        empty = series["empty_once" if rule in ONCE else "empty"]
        if not rule.startswith("empty"):
            over = [value - base for value, base in zip(values, empty)]
            members[f"{rule}_over_empty_ns"] = spread.describe(over, 1)
    members["insns"] = {name: insns for name, (insns, _) in programs.items()}
    members["jited_bytes"] = {name: size for name, (_, size) in programs.items()}
    return members


def measure():
    """The whole of steering.json."""
    started, load_before = time.time(), os.getloadavg()
    series, programs = run_classifier()
    # The assign takeover's rules are the classifier's; the repair takeover's, where they are its own, below.
    classifier = describe_takeover(series["assign"], programs["assign"])
    classifier["repair"] = describe_takeover(series["repair"], programs["repair"])
    return {
        "classifier": classifier,
        "production": ratios.measure(),
        "machine": {
            "kernel": platform.release(),
            "cpus": os.cpu_count(),
            "load_average_before": load_before[0],
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
            "seconds": round(time.time() - started),
        },
    }


# --- the table -----------------------------------------------------------------------------


def range_text(series, digits):
    low, high = (f"{series[key]:.{digits}f}" for key in ("lower_quartile", "upper_quartile"))
    return f"{series['median']:>9.{digits}f}  {f'{low} .. {high}':<20}"


def print_rules(classifier):
    print("\nthe classifier, ns a segment")
    print(f"{'median':>36}  {'quartiles':<20} {'over empty':>10} {'repair takeover':>12}")
    for key, series in classifier.items():
        if not key.endswith("_ns") or key.endswith("_over_empty_ns"):
            continue
        rule = key.removesuffix("_ns")
        over = classifier.get(f"{rule}_over_empty_ns", {}).get("median", "")
        second = classifier["repair"][key]["median"]
        print(f"  {rule:<24} {range_text(series, 0)} {over:>10} {second:>12}")
    for takeover, programs in (("assign", classifier), ("repair", classifier["repair"])):
        for name, insns in programs["insns"].items():
            size = programs["jited_bytes"][name]
            print(f"  {takeover} takeover, {name}: {insns} instructions verified, {size} bytes of code")


def print_ratios(production):
    print(f"\nproduction, {production['armed_names']} names armed, against nothing attached")
    print(f"{'median':>42}  {'quartiles':<20} {'95 % of medians':<16} {'idle':>7} {'control':>8}")
    for load in ratios.LOADS:
        for kind, text in (("ratio", "rate"), ("cpu_ratio", "per cpu time")):
            series = production[f"{load.key}_{kind}"]
            surely = f"{series['median_low']:.3f} .. {series['median_high']:.3f}"
            idle, control = (
                production[f"{load.key}_{state}_{kind}"]["median"] for state in ("idle", "control")
            )
            print(
                f"  {f'{load.key}, {text}':<31}{range_text(series, 3)} {surely:<16}"
                f" {idle:>7.3f} {control:>8.3f}"
            )
    print("\nthe classifier itself, in that traffic   ns a run: idle   armed   share of cpu time")
    for load in ratios.LOADS:
        idle, armed, share = (
            production[f"{load.key}_classifier_{key}"]
            for key in ("idle_run_ns", "armed_run_ns", "share")
        )
        print(f"  {load.key:<46} {idle:>6.0f} {armed:>7.0f} {share:>19.2%}")


def main():
    result = measure()
    path = hosts.BUILD / "bench/steering.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="ascii")
    print_rules(result["classifier"])
    print_ratios(result["production"])
    print(f"\nwritten to {os.path.relpath(path)}")


if __name__ == "__main__":
    entry.run(main, "bench-steering")
