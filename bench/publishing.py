# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs to arm a name: time, memory, and the delay until it can be answered."""

import json
import statistics

import spread
from lab import hosts, sidestep

NAMES = 100_000
ANSWERED = 5_000
ALL_NAMES = 1_000_000
MIB = 1 << 20
PATIENCE_S = 300
BLOCK = 512  # of st_blocks


class Memory:
    """What an instance's table and index take."""

    def __init__(self, instance):
        self.table = instance.root / "run/sidestep/challenges"
        self.index = instance.root / "run/sidestep/bpf/challenges"

    def bytes(self):
        shown = hosts.run("bpftool", "--json", "map", "show", "pinned", self.index).stdout
        return self.table.stat().st_blocks * BLOCK + int(json.loads(shown)["bytes_memlock"])


def measure_once(lab, number):
    """One fresh instance: names a second, bytes a name, and the delays in µs."""
    instance = sidestep.Sidestep(lab, name=f"publish-{number}").start()
    try:
        memory = Memory(instance)
        before = memory.bytes()
        took_s = float(
            hosts.run(hosts.BUILD / "bench/arm", instance.root, NAMES, timeout=PATIENCE_S).stdout
        )
        used = memory.bytes() - before
        output = hosts.run(
            hosts.BUILD / "bench/answerable", instance.root, ANSWERED, timeout=PATIENCE_S
        ).stdout
    finally:
        instance.responder.stop()
        instance.run_responder("--unload")
    return NAMES / took_s, used / NAMES, [float(line) for line in output.split()]


def private_bytes(pid):
    """Memory of a process that no other shares: neither the table's nor the program's."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        (line,) = (line for line in file if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024


def measure_full(lab):
    """As many names as there may be: what table, index and responder take together."""
    instance = sidestep.Sidestep(lab, name="publish-all").start()
    try:
        hosts.run(hosts.BUILD / "bench/arm", instance.root, ALL_NAMES, timeout=PATIENCE_S)
        used = Memory(instance).bytes() + private_bytes(instance.responder.pid)
    finally:
        instance.responder.stop()
        instance.run_responder("--unload")
    return {"names": ALL_NAMES, "mib": round(used / MIB)}


def measure(rounds):
    """The members of results.json's "publish"."""
    lab = hosts.Lab()
    try:
        full = measure_full(lab)
        results = [measure_once(lab, number) for number in range(rounds)]
    finally:
        problems = lab.close()
    if problems:
        raise RuntimeError("; ".join(problems))
    rates, sizes, delays = zip(*results)
    p99 = [statistics.quantiles(series, n=100)[98] for series in delays]
    return {
        "names": NAMES,
        "per_s": spread.describe(rates, 0),
        "bytes_per_name": spread.describe(sizes, 0),
        "answerable_p99_us": spread.describe(p99, 1),
        "full": full,
    }
