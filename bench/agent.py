# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent with very many certificates: `make bench-agent`, as root.

Orders: the same names from the same Pebble, in rounds: Sidestep takes a block of them in one run
beside nginx, which keeps port 443; lego, which wants the port for itself, and uacme with ualpn, which
holds it, one after the other, as their documents say.  Store: a memory of a million certificates, none of which is due.
Down: many due certificates at a CA that nobody can connect to.
Names: a list of a million, read for the first time, and by SIGHUP with one line changed.  Words behind the program's name
choose parts of it.  Writes agent.json to build/bench; bench/README.md explains the keys.
"""

import contextlib
import json
import os
import pathlib
import re
import resource
import signal
import socket
import sqlite3
import sys
import threading
import time

import entry
import spread
from lab import authority, hosts, production, sidestep

ROUNDS = 5
ATTEMPTS = 10  # of rounds: Pebble 2.10 locks itself up now and then under many requests
SIDESTEP_BLOCK = 200  # orders in a round
LEGO_BLOCK = UACME_BLOCK = 4
UACME_TRIES = 20
REQUEST_S = 5  # after so long without an answer Pebble has locked itself up
STORED = 1_000_000
DOWN = 100_000  # due certificates at a CA that is down
DOWN_CA = "https://127.0.0.1:1/dir"
DOWN_MINUTES = 5
LIFE_S = 90 * 86400
TICK_S = 60  # how often `sidestep run` looks at least
PATIENCE_S = 300
PULSE_MS = 5
MIB = 1 << 20
LEGO = hosts.PEERS / "lego"
UACME_HOOK = pathlib.Path("/usr/share/uacme/ualpn.sh")
SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"


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
        # The accounts, which first orders make.
        self.run_sidestep(1)
        self.run_lego(1)
        self.uacme("-y", "new")

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


    def uacme(self, *words):
        """Run it.  It trusts the system's roots only: in a mount namespace of its own, Pebble's."""
        self.lab.server.run(
            *("unshare", "--mount", "sh", "-c", 'mount --bind "$1" "$2" && shift 2 && exec "$@"'),
            *("sh", self.pebble.cacert, SYSTEM_ROOTS),
            *("uacme", "-c", self.lab.directory / "uacme", "-a", self.pebble.url, *words),
        )

    def run_uacme(self, count):
        """ualpn stands before production, its socket where no other's is; the hook is the package's."""
        socket = self.lab.directory / "ualpn.sock"
        hook = self.lab.directory / "ualpn.sh"
        hook.write_text(UACME_HOOK.read_text().replace("| ualpn)", f"| ualpn -s {socket})"))
        hook.chmod(0o755)
        ualpn = self.lab.server.start(
            "ualpn", *("ualpn", "-vv", "-n", "1", "-s", socket, "-S", "666", "-P", "0"),
            *("-b", f"{self.lab.server.ipv4}@443", "-c", "127.0.0.1@9"),
        )
        ualpn.wait_until(lambda: self.lab.server.listens(443), "its port")
        tries = [self.try_uacme(hook) for _ in range(count)]
        ualpn.stop()
        return tuple(sum(figures) for figures in zip(*tries))

    def try_uacme(self, hook):
        """One certificate.  uacme 1.7 gives up where Pebble names a challenge of a newer kind before
        tls-alpn-01, which is at random: such tries are not counted."""
        for _ in range(UACME_TRIES):
            (name,) = self.names(1)
            began_s, before_s = time.monotonic(), children_cpu_s()
            try:
                self.uacme("-h", hook, "issue", name)
            except AssertionError as error:
                if "failed to parse challenge" not in str(error):
                    raise
            else:
                return time.monotonic() - began_s, children_cpu_s() - before_s
        raise RuntimeError(f"uacme got no certificate in {UACME_TRIES} tries")


def measure_round():
    """What the three say; None when Pebble has locked itself up."""
    lab = hosts.Lab()
    try:
        orders = Orders(lab)
        return (
            orders.run_sidestep(SIDESTEP_BLOCK),
            orders.run_lego(LEGO_BLOCK),
            orders.run_uacme(UACME_BLOCK),
        )
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
    ours, legos, uacmes = zip(*rounds)
    members = {"n": ROUNDS * SIDESTEP_BLOCK, "sidestep_s": sum(took for took, _ in ours)}
    members["sidestep_cpu_s"] = sum(cpu for _, cpu in ours)
    members["sidestep_cpu_ms"] = members["sidestep_cpu_s"] * 1000 / members["n"]
    ratios = {}
    for who, theirs, block in (("lego", legos, LEGO_BLOCK), ("uacme", uacmes, UACME_BLOCK)):
        members[f"{who}_n"] = ROUNDS * block
        members[f"{who}_s"] = sum(took for took, _ in theirs)
        members[f"{who}_cpu_s"] = sum(cpu for _, cpu in theirs)
        ratios[f"{who}_over_sidestep"] = spread.describe(
            [
                (took / block) / (own / SIDESTEP_BLOCK)
                for (own, _), (took, _) in zip(ours, theirs)
            ],
            1,
        )
    members["rounds_thrown_away"] = attempts - len(rounds)
    return {key: round(value, 2) for key, value in members.items()} | ratios


# --- a million names ---------------------------------------------------------------------------


def fill(instance, count, ca, due_in_s):
    instance.agent("plan")
    now = int(time.time())
    with memory_of(instance) as database:
        database.executemany(
            "INSERT INTO lineage (name, identifiers, cas, ca, tenant, source, reuse_key, bundle,"
            " server, not_before, not_after, renew_at)"
            " VALUES (?1, ?1, ?2, ?2, '', 'cli', 0, 0, ?2, ?3, ?4, ?5)",
            (
                (f"n{n}.example.org", ca, now, now + LIFE_S, now + due_in_s + n)
                for n in range(count)
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
        fill(instance, STORED, "https://ca.example/dir", LIFE_S // 2)
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


# --- a list of a million names -------------------------------------------------------------------


class Pulse:
    """The daemon's watchdog messages, PULSE_MS apart: a longer pause is a loop that is held up."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": str(PULSE_MS * 2000)}
        self.longest_s = 0
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        before_s = None
        while True:
            if self.socket.recv(256) == b"WATCHDOG=1":
                now_s = time.monotonic()
                self.longest_s = max(self.longest_s, now_s - (before_s or now_s))
                before_s = now_s

    def take_ms(self):
        """The longest pause since the last call, beyond that between two messages."""
        longest_s, self.longest_s = self.longest_s, 0
        return longest_s * 1000 - PULSE_MS


def read_list(daemon, count):
    """Seconds in which the list was read for the `count`th time, from what the daemon says."""
    pattern = re.compile(r"the configuration has (\d+) certificates: .* \((\d+) ms, at most")
    daemon.wait_until(lambda: len(pattern.findall(daemon.output())) == count, "reading the list")
    names, took_ms = pattern.findall(daemon.output())[-1]
    assert int(names) == STORED
    return int(took_ms) / 1000


def measure_names():
    """The members of agent.json's "names": a list for the first time, and with one line changed."""
    lab = hosts.Lab()
    try:
        instance = sidestep.Sidestep(lab).start()
        directory = instance.root / "etc/sidestep"
        directory.mkdir(parents=True)
        # Nobody is there: nothing is ordered meanwhile.
        (directory / "sidestep.conf").write_text("[sidestep]\nca = https://127.0.0.1:9/dir\n")
        lines = [f"n{n:07}.example.org\n" for n in range(STORED)]
        (directory / "domains.txt").write_text("".join(lines))
        pulse = Pulse(lab.directory / "notify")
        daemon = instance.host.start(
            "run", instance.programs / "sidestep", "run", "--root", instance.root,
            env={**os.environ, **pulse.environment},
        )
        figures = {"n": STORED, "first_s": read_list(daemon, 1)}
        held_ms = [pulse.take_ms()]
        lines[STORED // 2] = "another.example.org\n"
        (directory / "domains.txt").write_text("".join(lines))
        # This program has held its own listener up meanwhile.
        time.sleep(1)
        pulse.take_ms()
        os.kill(daemon.pid, signal.SIGHUP)
        figures["changed_s"] = read_list(daemon, 2)
        held_ms.append(pulse.take_ms())
    finally:
        problems = lab.close()
    if problems:
        raise RuntimeError("; ".join(problems))
    return figures | {
        "first_loop_hold_ms": round(held_ms[0], 1),
        "changed_loop_hold_ms": round(held_ms[1], 1),
        "loop_hold_ms": round(max(held_ms), 1),
    }


def measure_down():
    """The members of agent.json's "down": all are due, and the CA refuses connections."""
    lab = hosts.Lab()
    try:
        instance = sidestep.Sidestep(lab).start()
        fill(instance, DOWN, DOWN_CA, -DOWN)
        daemon = instance.host.start(
            "run", instance.programs / "sidestep", "run", "--root", instance.root
        )
        daemon.wait_until(lambda: "cannot connect" in daemon.output(), "a failed connection")
        # From here on: the first minute has had the orders that began before the CA was known to be down.
        time.sleep(TICK_S)
        before_us = cpu_us(daemon.pid)
        time.sleep(DOWN_MINUTES * TICK_S)
        used_us = cpu_us(daemon.pid) - before_us
        probes = daemon.output().count("asking https")
    finally:
        problems = lab.close()
    if problems:
        raise RuntimeError("; ".join(problems))
    return {
        "due": DOWN,
        "cpu_ms_per_minute": round(used_us / 1000 / DOWN_MINUTES, 2),
        "probes": probes,
    }


def main():
    parts = {
        "orders": measure_orders, "store": measure_store, "names": measure_names,
        "down": measure_down,
    }
    chosen = sys.argv[1:] or list(parts)
    result = {part: parts[part]() for part in chosen}
    path = hosts.BUILD / "bench/agent.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))
    print(f"written to {os.path.relpath(path)}")


if __name__ == "__main__":
    entry.run(main)
