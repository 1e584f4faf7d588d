# SPDX-License-Identifier: GPL-3.0-or-later
"""What production delivers when acme-tls/1 is to be told apart in front of it.

One nginx serves on the server host; each front to it has an address of its own, and wrk comes by
one of them after the other, in random order, for one block of time each:

  direct           nothing in the way
  steering_idle    Sidestep, nothing armed
  steering_armed   Sidestep, many names armed
  nginx_preread, haproxy_tcp, ualpn_proxy, sslh
                   a proxy that listens on the port and passes all on (fronts.py)
"""

import ipaddress
import random
import re

import fronts

import ratios
import spread
import task_clock
from lab import hosts

BACKEND_PORT = 8443
PATIENCE_S = 60
UNITS = {"us": 1e-3, "ms": 1, "s": 1e3}  # of wrk's latencies, in ms

# What wrk does, and how its result is called.
LOADS = {
    "new_connections_per_s": (("-t1", "-c16", "-H", "Connection: close"), ""),
    "requests_per_s": (("-t1", "-c16"), ""),
    "bulk_mb_per_s": (("-t1", "-c4"), "bulk"),
}

class Nginx(ratios.Nginx):
    """Production: where clients come to, and where proxies do."""

    def endpoints(self):
        return [f"{self.addresses[0]}:443", f"{self.addresses[0]}:{BACKEND_PORT}"]

class Front:
    """An address by which production is reached, and who takes part in that."""

    def __init__(self, name, address, state="none", front=None):
        self.name = name
        self.address = address
        self.state = state  # of ratios.Bench.switch()
        self.front = front

    def pids(self):
        return self.front.pids() if self.front else set()

class Bench(ratios.Bench):
    """The same lab, with the proxies beside nginx."""

    def make_production(self, lab):
        return Nginx(lab, addresses=(lab.server.ipv4,))

    def make_fronts(self):
        own = self.lab.server.ipv4
        made = [
            Front("direct", own),
            Front("steering_idle", own, "idle"),
            Front("steering_armed", own, "armed"),
        ]
        for number, proxy in enumerate(fronts.PROXIES, start=20):
            address = ipaddress.ip_address(f"192.0.2.{number}")
            self.lab.server.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
            front = proxy(self.lab, address, (own, BACKEND_PORT), ("127.0.0.1", 9))
            made.append(Front(front.name, address, front=front.start()))
        return made

    def run_block(self, front, key, seconds):
        """One load by one front: its rate, its p99, and the processor time of one unit."""
        arguments, path = LOADS[key]
        self.switch(front.state)
        pids = set(self.lab.server.processes()) & (self.nginx_pids() | front.pids())
        with task_clock.TaskClock(pids) as clock:
            output = self.lab.validator.run(
                *("wrk", "--latency", "--timeout=10s", f"-d{seconds}s", *arguments),
                f"https://{front.address}/{path}",
                timeout=seconds + PATIENCE_S,
            ).stdout
            took_ns = clock.ns()
        self.switch("none")
        block = read_wrk(output, key) | {"cpu_ns": took_ns}
        if block["failed"] and not front.front:
            raise RuntimeError(f"production failed under load:\n{output}")
        return block

    def nginx_pids(self):
        found = {self.nginx.process.pid}
        parents = fronts.parents_of(self.lab.server.processes())
        return found | {pid for pid, parent in parents.items() if parent in found}

def read_wrk(output, key):
    requests = int(re.search(r"(\d+) requests in", output).group(1))
    errors = re.search(r"Socket errors:(.*)", output)
    failed = sum(map(int, re.findall(r"\d+", errors.group(1)))) if errors else 0
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", output).group(1))
    if key == "bulk_mb_per_s":
        rate *= ratios.FILE_SIZE / 1e6
    number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", output).groups()
    p99_ms = float(number) * UNITS[unit]
    return {"rate": rate, "count": requests, "failed": failed, "p99_ms": p99_ms}

def describe(blocks):
    """The members of results.json's "production", of blocks[front][load] = [block, ...]."""
    members = {}
    for name, of_front in blocks.items():
        member = members[name] = {}
        for key, series in of_front.items():
            member[key] = spread.describe([block["rate"] for block in series], 1)
            thing = key.removesuffix("_per_s")
            ratio = [
                block["rate"] / direct["rate"] for block, direct in zip(series, blocks["direct"][key])
            ]
            member[f"ratio_{thing}"] = spread.describe(ratio, 3)
            cpu_us = [block["cpu_ns"] / block["count"] / 1000 for block in series]
            member[f"cpu_us_{thing}"] = spread.describe(cpu_us, 1)
        p99 = [block["p99_ms"] for block in of_front["requests_per_s"]]
        member["failed"] = sum(block["failed"] for series in of_front.values() for block in series)
        member["p99_ms"] = spread.describe(p99, 3)
    return members

def measure(rounds, seconds):
    """The members of results.json's "production"."""
    order = random.Random(1)
    lab = hosts.Lab()
    try:
        bench = Bench(lab)
        reached = bench.make_fronts()
        blocks = {front.name: {key: [] for key in LOADS} for front in reached}
        for _ in range(rounds):
            for key in LOADS:
                for front in order.sample(reached, len(reached)):
                    blocks[front.name][key].append(bench.run_block(front, key, seconds))
        bench.check()
    finally:
        problems = lab.close()
    if problems:
        raise RuntimeError("; ".join(problems))
    return describe(blocks) | {"armed_names": ratios.NAMES}
