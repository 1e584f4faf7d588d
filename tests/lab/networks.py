# SPDX-License-Identifier: GPL-3.0-or-later
"""Labs whose wire loses, delays, reorders, duplicates and corrupts, and the loads that cross it."""

import itertools
import json
import os
import sys

from lab import hosts, production, sidestep

FORWARDER = hosts.BUILD / "tests/lab/forwarder"
HTTPS_LOAD = hosts.SOURCE / "tests/lab/https_load.py"
NAME = "www.example.org"
HELLOS = ("go", "small", "split", "shuffled")
TIMEOUT_S = 10  # as Boulder has for dial and handshake
# Production's clients have addresses of their own, so that the wire numbers their connections apart.
CLIENTS = ("192.0.2.3", "2001:db8::3")
# Receive offload merges what comes within this time: a burst, as on a busy card.
GRO_FLUSH_NS = 100_000
# What plays other machines is not to be slow when this one is loaded.
OF_OTHER_MACHINES = ("chrt", "--fifo", "1")
STARTS = itertools.count(1)  # each load has a log of its own


class Network(hosts.Lab):
    """Two hosts, and between them a wire that tests/lab/forwarder.c plays.

    Its segments are those of a real wire, whatever the hosts leave to their cards: with
    offloads they send long segments without checksums, and merge what they receive."""

    def __init__(self, offloads="off"):
        self.offloads = offloads
        self.wire = None
        self.forwarder = None
        self.starts = 0
        super().__init__()

    def connect(self):
        self.wire = self.add_host("wire")
        # The wire's own stack keeps silent.
        self.wire.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        for host in (self.validator, self.server):
            run = ("ip", "link", "add", host.name, "netns", self.wire.namespace, "type", "veth")
            hosts.run(*run, "peer", "name", "eth0", "netns", host.namespace)
            self.wire.run("ethtool", "-K", host.name, "tso", "off", "gso", "off", "gro", "off")
            self.wire.run("ip", "link", "set", host.name, "up")
            self.set_offloads(host, self.offloads)
            if self.offloads == "on":
                self.defer_gro_flush(host)
            host.run("ip", "address", "add", f"{host.ipv4}/24", "dev", "eth0")
            host.run("ip", "address", "add", f"{host.ipv6}/64", "dev", "eth0", "nodad")
            host.run("ip", "link", "set", "eth0", "up")
        for address, size in zip(CLIENTS, (24, 64)):
            nodad = ("nodad",) if size == 64 else ()
            self.validator.run("ip", "address", "add", f"{address}/{size}", "dev", "eth0", *nodad)
        for host in (self.validator, self.server):
            hosts.wait_for(host.has_wire, "the wire")
        self.impair()

    def defer_gro_flush(self, host):
        """Frames come one by one over a veth pair; on a card they come in bursts."""
        directory = "/sys/class/net/eth0"
        script = (
            f"echo {GRO_FLUSH_NS} >{directory}/gro_flush_timeout; "
            f"echo 2 >{directory}/napi_defer_hard_irqs"
        )
        hosts.run("ip", "netns", "exec", host.namespace, "sh", "-ec", script)

    def impair(self, *options):
        """Let the wire treat segments so, by options of the forwarder; what it did until now."""
        counts = self.stop_wire()
        self.starts += 1
        name = f"wire-{self.starts}"
        # SIDESTEP_TRACES: a directory in which the traces stay.
        directory = os.environ.get("SIDESTEP_TRACES")
        if directory:
            options += ("--trace", f"{directory}/{os.getpid()}-{self.number}-{name}")
        self.forwarder = self.wire.start(
            *(name, *OF_OTHER_MACHINES, FORWARDER, *options, "validator", "server")
        )
        self.forwarder.wait_until(lambda: "ready" in self.forwarder.output(), "being ready")
        return counts

    def stop_wire(self):
        """End the forwarder; its counts, by the host that sent."""
        if not self.forwarder:
            return None
        assert self.forwarder.stop() == 0, self.forwarder.output()
        counts = json.loads(self.forwarder.output().splitlines()[-1])
        self.forwarder = None
        # What the forwarder itself could not carry is no fault that was asked for.
        assert not counts["client"]["overflow"] and not counts["server"]["overflow"], counts
        return counts


# --- loads ---------------------------------------------------------------------------------------


class Validations:
    """Validators that ask for www.example.org, at a fixed rate over both families."""

    def __init__(
        self, lab, count, rate, port=443, hellos=HELLOS, name=NAME, families=(4, 6), host=None
    ):
        self.count = count
        host = host or lab.validator
        addresses = [a for a in (lab.server.ipv4, lab.server.ipv6) if a.version in families]
        sources = [a for a in (host.ipv4, host.ipv6) if a.version in families]
        self.process = host.start(
            f"validations-{next(STARTS)}",
            *OF_OTHER_MACHINES,
            *(hosts.BUILD / "sidestep-bench", "--json", "--quiet", "--timeout", TIMEOUT_S),
            *("--name", name, "--key-authorization", sidestep.KEY_AUTHORIZATION),
            *("--rate", rate, "--count", count),
            *(word for hello in hellos for word in ("--hello", hello)),
            *(word for source in sources for word in ("--source", source)),
            *(f"[{a}]:{port}" if a.version == 6 else f"{a}:{port}" for a in addresses),
        )

    def finish(self):
        """Wait for the end; sidestep-bench's results."""
        assert self.process.wait(self.count + 60) in (0, 1), self.process.output()
        result = json.loads(self.process.output())
        assert result["started"] == self.count
        return result


class Visits:
    """Clients of production, at a fixed rate over both families."""

    def __init__(self, lab, server, count, rate, seed=1, sources=CLIENTS, addresses=()):
        self.count = count
        page = lab.directory / "visits.page"
        page.write_bytes(production.BODY)
        addresses = addresses or (lab.server.ipv4, lab.server.ipv6)
        self.process = lab.validator.start(
            f"visits-{next(STARTS)}",
            *(*OF_OTHER_MACHINES, sys.executable, HTTPS_LOAD, "--name", NAME, "--page", page),
            *("--certificate", server.identity.cert_file, "--timeout", TIMEOUT_S),
            *("--rate", rate, "--count", count, "--seed", seed),
            *(word for address in addresses for word in ("--connect", address)),
            *(word for source in sources for word in ("--source", source)),
        )

    def wait_until_begun(self):
        self.process.wait_until(lambda: "begun" in self.process.output(), "beginning")

    def finish(self):
        """Wait for the end; the results of https_load.py."""
        assert self.process.wait(self.count + 60) == 0, self.process.output()
        result = json.loads(self.process.output().splitlines()[-1])
        assert result["served"] + result["failed"] == self.count
        return result


class Side:
    """One of several networks beside each other: what is answered in it, and what crosses it.

    Nginx always is; Sidestep with options of its own, unless there are none."""

    def __init__(self, network, *options, port=443):
        self.network = network
        self.port = port
        self.nginx = production.Nginx(network)
        self.instance = None
        if options:
            self.instance = sidestep.Sidestep(network)
            self.instance.start(*options).publish(NAME)
        self.loads = {}

    def begin(self, seed, validations=0, visits=0, hellos=HELLOS, duration_s=2):
        """So many of each, within this time."""
        if validations:
            self.loads["validations"] = Validations(
                self.network, validations, validations / duration_s, self.port, hellos
            )
        if visits:
            self.loads["visits"] = Visits(
                self.network, self.nginx, visits, visits / duration_s, seed
            )

    def finish(self):
        """Wait for the end of the loads; their results by name."""
        results = {name: load.finish() for name, load in self.loads.items()}
        self.network.stop_wire()
        return results


def describe(results):
    """Results of a side in a line."""
    parts = []
    for name, result in results.items():
        done = result["served"] if name == "visits" else result["validated"]
        p99_ms = result["p99_ms"] if name == "visits" else result["service_us"]["p99"] / 1000
        count = done + result["failed"]
        parts.append(f"{result['failed']} of {count} {name} failed, p99 {p99_ms or 0:.0f} ms")
    return ", ".join(parts)
