# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent with very many certificates: `make bench-agent`, as root.

Orders: the same names from the same Pebble, in rounds: Sidestep takes a block of them in one run
beside nginx, which keeps port 443; lego, which wants the port for itself, one after the other, as
its documents say.  Store: a memory of a million certificates, none of which is due.
Writes agent.json to build/bench; bench/README.md explains the keys.
"""

import contextlib
import json
import os
import pathlib
import resource
import sqlite3
import sys
import time

import authority
import entry
import hosts
import production
import sidestep
import spread

ROUNDS = 5
ATTEMPTS = 10  # of rounds: Pebble 2.10 locks itself up now and then under many requests
SIDESTEP_BLOCK = 200  # orders in a round
LEGO_BLOCK = 4
REQUEST_S = 5  # after so long without an answer Pebble has locked itself up
STORED = 1_000_000
LIFE_S = 90 * 86400
TICK_S = 60  # how often `sidestep run` looks at least
PATIENCE_S = 300
MIB = 1 << 20
LEGO = hosts.PEERS / "lego"


def children_cpu_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextlib.contextmanager
def memory_of(instance):
    with contextlib.closing(sqlite3.connect(instance.state / "state.db")) as database:
        with database:
            yield database


class LockedUp(Exception):
    """Pebble answers no more."""


class Orders:
    """One lab for both clients; the responder holds no port, so that lego can have it."""

    def __init__(self, lab):
        self.lab = lab
        authority.Dns(lab)
        self.pebble = authority.Pebble(lab, PEBBLE_WFE_NONCEREJECT="0")
        lab.validator.run(
            *("curl", "-sSf", "--data", json.dumps({"ip": str(lab.server.ipv4)})),
            f"http://localhost:{authority.DNS_MANAGEMENT_PORT}/set-default-ipv4",
        )
        self.instance = sidestep.Sidestep(lab).start()
        self.count = 0
        self.run_sidestep(1)  # the account, which lego's first order makes, too
        self.run_lego(1)

    def names(self, count):
        self.count += count
        return [f"n{number}.example.org" for number in range(self.count - count, self.count)]

    def run_sidestep(self, count):
        """Seconds, and seconds of processor time, for so many certificates."""
        names = self.names(count)
        if not (self.instance.state / "state.db").exists():
            self.instance.agent("plan")
        with memory_of(self.instance) as database:
            database.executemany(
                "INSERT INTO lineage (name, identifiers, cas, ca, tenant, source, reuse_key,"
                " bundle) VALUES (?1, ?1, ?2, ?2, '', 'cli', 0, 0)",
                [(name, self.pebble.url) for name in names],
            )
        nginx = production.Nginx(self.lab)
        began_s, before_s = time.monotonic(), children_cpu_s()
        output = self.instance.agent(
            *("renew", "--json", "--agree-tos", "--cacert", self.pebble.cacert),
            *("--timeout", str(REQUEST_S)),
            timeout=PATIENCE_S,
        )
        took = time.monotonic() - began_s, children_cpu_s() - before_s
        nginx.process.stop()
        renewed = json.loads(output.stdout)["renewed"]
        if renewed != count and "no answer in time" in output.stderr:
            raise LockedUp
        if renewed != count:
            raise RuntimeError(f"{renewed} of {count} orders succeeded: {output.stderr[-2000:]}")
        return took

    def run_lego(self, count):
        began_s, before_s = time.monotonic(), children_cpu_s()
        for name in self.names(count):
            self.lab.server.run(
                *(LEGO, "--accept-tos", "--email", "bench@example.org", "--tls"),
                *("--server", self.pebble.url, "--path", self.lab.directory / "lego"),
                *("--domains", name, "run"),
                env={**os.environ, "LEGO_CA_CERTIFICATES": str(self.pebble.cacert)},
            )
        return time.monotonic() - began_s, children_cpu_s() - before_s


def measure_round():
    """What run_sidestep() and run_lego() say; None when Pebble has locked itself up."""
    lab = hosts.Lab()
    try:
        orders = Orders(lab)
        return orders.run_sidestep(SIDESTEP_BLOCK), orders.run_lego(LEGO_BLOCK)
    except LockedUp:
        return None
    finally:
        problems = lab.close()
        if problems:
            print("; ".join(problems), file=sys.stderr)


def measure_orders():
    """The members of agent.json's "orders"."""
    rounds, attempts = [], 0
    while len(rounds) < ROUNDS and attempts < ATTEMPTS:
        attempts += 1
        measured = measure_round()
        rounds += [measured] if measured else []
    if len(rounds) < ROUNDS:
        raise RuntimeError(f"Pebble locked itself up in {attempts - len(rounds)} rounds")
    ours, theirs = zip(*rounds)
    members = {"n": ROUNDS * SIDESTEP_BLOCK, "sidestep_s": sum(took for took, _ in ours)}
    members["sidestep_cpu_s"] = sum(cpu for _, cpu in ours)
    members["lego_n"] = ROUNDS * LEGO_BLOCK
    members["lego_s"] = sum(took for took, _ in theirs)
    members["lego_cpu_s"] = sum(cpu for _, cpu in theirs)
    ratios = [
        (lego / LEGO_BLOCK) / (own / SIDESTEP_BLOCK) for (own, _), (lego, _) in rounds
    ]
    members["rounds_thrown_away"] = attempts - len(rounds)
    return {key: round(value, 2) for key, value in members.items()} | {
        "lego_over_sidestep": spread.describe(ratios, 1)
    }


# --- a million names ---------------------------------------------------------------------------


def fill(instance):
    instance.agent("plan")
    now = int(time.time())
    with memory_of(instance) as database:
        database.executemany(
            "INSERT INTO lineage (name, identifiers, cas, ca, tenant, source, reuse_key, bundle,"
            " server, not_before, not_after, renew_at)"
            " VALUES (?1, ?1, ?2, ?2, '', 'cli', 0, 0, ?2, ?3, ?4, ?5)",
            (
                (f"n{n}.example.org", "https://ca.example/dir", now, now + LIFE_S, now + LIFE_S // 2 + n)
                for n in range(STORED)
            ),
        )


def cpu_us(pid):
    text = pathlib.Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii")
    return int(text.split()[0]) / 1000


def measure_store():
    """The members of agent.json's "store": `sidestep run` with nothing due."""
    lab = hosts.Lab()
    try:
        instance = sidestep.Sidestep(lab).start()
        fill(instance)
        began_s = time.monotonic()
        daemon = instance.host.start(
            "run", instance.programs / "sidestep", "run", "--root", instance.root
        )
        daemon.wait_until(lambda: "ready" in daemon.output(), "being ready")
        took_s = time.monotonic() - began_s
        time.sleep(2)
        before_us = cpu_us(daemon.pid)
        time.sleep(TICK_S + 2)
        tick_us = cpu_us(daemon.pid) - before_us
        with open(f"/proc/{daemon.pid}/status", encoding="ascii") as file:
            (line,) = (line for line in file if line.startswith("VmRSS:"))
        rss = int(line.split()[1]) * 1024
    finally:
        problems = lab.close()
    if problems:
        raise RuntimeError("; ".join(problems))
    return {
        "names": STORED,
        "start_s": round(took_s, 3),
        "rss_mib": round(rss / MIB, 1),
        "tick_us": round(tick_us),
    }


def main():
    result = {"orders": measure_orders(), "store": measure_store()}
    path = hosts.BUILD / "bench/agent.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))
    print(f"written to {os.path.relpath(path)}")


if __name__ == "__main__":
    entry.run(main)
