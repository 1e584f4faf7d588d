# SPDX-License-Identifier: GPL-3.0-or-later
"""What a validator's handshake costs the one who answers it.

Each answerer has one worker on one core.  It is measured under two loads:
- low: the validators (sidestep-bench) have the other core, and cost more than the answerer, so
  that the answerer sleeps between handshakes and pays for waking up;
- saturated: the validators share the answerer's core and have priority over it.  They run until
  each of them waits for the answerer, so that it always finds work and never sleeps.  The
  processor time of one handshake is then what its capacity is planned by.
A round gives every answerer one block of time under each load, in random order, so that what
else the machine does falls on all of them.
"""

import concurrent.futures
import ipaddress
import json
import pathlib
import random
import re
import resource
import socket
import time

import fronts
import spread
import task_clock
from lab import clients, hosts, production, sidestep

SERVER_CPU, CLIENT_CPU = "0", "1"
# How a load's clients run, and how many there are at once.
LOADS = {
    "low": (("taskset", "-c", CLIENT_CPU), 16),
    "saturated": (("chrt", "--fifo", "10", "taskset", "-c", SERVER_CPU), 64),
}
FLOORS = ("crypto_floor_us", "tcp_floor_us")  # what no answerer can go below
CPU_KEYS = {"low": "cpu_us", "saturated": "saturated_cpu_us"}
PLAIN_CLIENTS = 8  # at once, where a client makes one handshake after the other
OPEN_CONNECTIONS = 500  # for the memory of an open handshake
PATIENCE_S = 60
SETTLE_S = 0.5
PAGE = 4096


class Responder:
    """Ours: alone on its host, or beside nginx, which has the port."""

    answers_acme = True

    @property
    def holds_connections(self):
        """Beside production half a ClientHello is not yet ours."""
        return "--standalone" in self.options

    def __init__(self, lab, host, name, *options):
        self.name = name
        self.address = host.ipv4
        self.options = options
        self.instance = sidestep.Sidestep(lab, host, name)

    def start(self):
        self.instance.start("--threads", "1", *self.options)
        self.instance.publish(fronts.NAME, ttl_s=86400)
        return self

    def pids(self):
        return {self.instance.responder.pid}


class TcpFloor(fronts.Front):
    """Says what `answerer` said in one handshake, without TLS: what is left is the kernel's part."""

    name = "tcp_floor"
    program = hosts.BUILD / "bench/tcp_floor"

    def __init__(self, lab, address, answerer):
        super().__init__(lab, address)
        self.recording = self.directory / "recording"
        lab.validator.run(self.program, "record", answerer.address, "443", self.recording)

    def command(self):
        return (self.program, "serve", self.address, "443", self.recording)


def add_wire(lab, host, validator_address):
    """Another wire from the validator host, to a host that has none yet."""
    name = f"eth-{host.name}"
    hosts.run(
        *("ip", "link", "add", name, "netns", lab.validator.namespace, "type", "veth"),
        *("peer", "name", "eth0", "netns", host.namespace),
    )
    for end, interface, address in (
        (lab.validator, name, f"{validator_address}/32 peer {host.ipv4}"),
        (host, "eth0", f"{host.ipv4}/32 peer {validator_address}"),
    ):
        end.run("ip", "address", "add", *address.split(), "dev", interface)
        end.run("ethtool", "-K", interface, "tso", "off", "gso", "off", "gro", "off")
        end.run("ip", "link", "set", interface, "up")


def make_answerers(lab):
    """All of them, running; the contenders on addresses of their own of the server host."""
    alone = lab.add_host("alone", "198.51.100.2", "2001:db8:2::2")
    add_wire(lab, alone, "198.51.100.1")
    alone_epoll = lab.add_host("alone2", "203.0.113.2", "2001:db8:3::2")
    add_wire(lab, alone_epoll, "203.0.113.1")
    production.Nginx(lab, addresses=(lab.server.ipv4,))
    # Validators close first, and their ports must be free again at once.
    lab.validator.run("sysctl", "-qw", "net.ipv4.tcp_tw_reuse=1")
    lab.validator.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65535")
    answerers = [
        Responder(lab, alone, "sidestep", "--standalone", "--engine", "io_uring"),
        Responder(lab, alone_epoll, "sidestep_epoll", "--standalone", "--engine", "epoll"),
        # The others have addresses of the same host: theirs it must leave alone.
        Responder(lab, lab.server, "sidestep_steered", "--address", lab.server.ipv4),
    ]
    contenders = (fronts.NginxStream, fronts.Ualpn, fronts.Caddy, fronts.OpensslServer)
    addresses = [ipaddress.ip_address(f"192.0.2.{10 + n}") for n in range(len(contenders) + 1)]
    for address in addresses:
        lab.server.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
    for contender, address in zip(contenders, addresses):
        answerers.append(contender(lab, address, sidestep.DIGEST))
    for answerer in answerers:
        answerer.start()
    answerers.append(TcpFloor(lab, addresses[-1], answerers[0]).start())
    for answerer in answerers:
        for pid in answerer.pids():
            hosts.run("taskset", "--all-tasks", "-cp", SERVER_CPU, pid)
    return answerers


def resident_bytes(pids):
    return sum(
        int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE for pid in pids
    )


def validate(lab, address, load, seconds):
    """Let the validators come; what sidestep-bench says of it.

    A certificate that the strictest validator would refuse (ualpn's has an extension too
    many) was a handshake all the same.
    """
    prefix, validators = LOADS[load]
    run = lab.validator.run(
        *(*prefix, hosts.BUILD / "sidestep-bench", "--json", "--quiet"),
        *("--name", fronts.NAME, "--key-authorization", sidestep.KEY_AUTHORIZATION),
        *("--concurrency", validators, "--duration", seconds, "--max-rate", 1_000_000),
        *("--hello", "small", f"{address}:443"),
        check=False,
        timeout=seconds + PATIENCE_S,
    )
    result = json.loads(run.stdout or "{}")
    refused = [key for key in result.get("failures", ()) if key.startswith("certificate_")]
    result["handshakes"] = result.get("validated", 0) + sum(
        result["failures"].pop(key) for key in refused
    )
    if not result["handshakes"] or result["failures"]:
        raise RuntimeError(f"{address} did not answer every validator: {run.stdout}{run.stderr}")
    return result


def shake_hands(lab, address, load, seconds):
    """Plain handshakes, each client one after the other: how many there were."""
    prefix, _ = LOADS[load]
    clients_at_once = PLAIN_CLIENTS if load == "saturated" else 1
    command = (*prefix, "openssl", "s_time", "-new", "-time", seconds, "-connect", f"{address}:443")
    with concurrent.futures.ThreadPoolExecutor(clients_at_once) as pool:
        runs = [
            pool.submit(lab.validator.run, *command, timeout=seconds + PATIENCE_S)
            for _ in range(clients_at_once)
        ]
    outputs = (run.result().stdout for run in runs)
    return sum(
        int(re.search(r"(\d+) connections in \d+ real seconds", output).group(1))
        for output in outputs
    )


def converse(lab, address, load, seconds):
    """Conversations with the TCP floor's server: how many there were."""
    prefix, validators = LOADS[load]
    return int(
        lab.validator.run(
            *(*prefix, TcpFloor.program, "load", address, "443"),
            *(validators, seconds),
            timeout=seconds + PATIENCE_S,
        ).stdout
    )


def measure_block(lab, answerer, load, seconds):
    with task_clock.TaskClock(answerer.pids()) as clock:
        if answerer.name == TcpFloor.name:
            result = {"handshakes": converse(lab, answerer.address, load, seconds)}
        elif not answerer.answers_acme:
            result = {"handshakes": shake_hands(lab, answerer.address, load, seconds)}
        else:
            result = validate(lab, answerer.address, load, seconds)
        block = {CPU_KEYS[load]: clock.ns() / result["handshakes"] / 1000}
    if load == "saturated" or "elapsed_s" not in result:
        return block
    block["per_s"] = result["handshakes"] / result["elapsed_s"]
    # Latencies are of what was validated.
    return block | ({"p99_ms": result["latency_us"]["p99"] / 1000} if result["validated"] else {})


def open_handshakes(lab, address, count):
    """Connections that have had the server's flight, and say no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * count)), hard))
    hello = clients.client_hello(fronts.NAME)
    connections = []
    with lab.validator.entered():
        for _ in range(count):
            connections.append(socket.create_connection((str(address), 443), PATIENCE_S))
            connections[-1].sendall(hello)
    for connection in connections:
        if not connection.recv(1):
            raise RuntimeError(f"{address} closed a handshake that was open")
    time.sleep(SETTLE_S)
    return connections


def measure_memory(lab, answerer):
    """Resident bytes for each handshake that waits for the client's last flight."""
    before = resident_bytes(answerer.pids())
    connections = open_handshakes(lab, answerer.address, OPEN_CONNECTIONS)
    used = resident_bytes(answerer.pids()) - before
    for connection in connections:
        connection.close()
    return round(used / OPEN_CONNECTIONS)


def crypto_floor_us(rounds):
    """What wolfCrypt's primitives alone take for one handshake."""
    program = ("taskset", "-c", SERVER_CPU, hosts.BUILD / "bench/floor")
    return [float(hosts.run(*program).stdout.split()[-1]) for _ in range(rounds)]


def describe_answerer(series, floors, tcp_floors, nginx):
    """One answerer's members, of its blocks and those of the same rounds that they are held to."""
    member = {
        key: spread.describe([block[key] for block in series], 2)
        for key in series[0]
    }
    ratios = {
        "cpu_over_floor": [block["cpu_us"] / floor for block, floor in zip(series, floors)],
        "cpu_over_nginx": [block["cpu_us"] / of["cpu_us"] for block, of in zip(series, nginx)],
        "saturated_over_nginx": [
            block["saturated_cpu_us"] / of["saturated_cpu_us"] for block, of in zip(series, nginx)
        ],
        "saturated_over_floors": [
            block["saturated_cpu_us"] / (floor + tcp_floor)
            for block, floor, tcp_floor in zip(series, floors, tcp_floors)
        ],
    }
    return member | {key: spread.describe(values, 3) for key, values in ratios.items()}


def measure(rounds, seconds):
    """The members of results.json's "handshake"."""
    order = random.Random(1)
    lab = hosts.Lab()
    try:
        answerers = make_answerers(lab)
        blocks = {answerer.name: [] for answerer in answerers}
        floors = []
        for _ in range(rounds):
            floors += crypto_floor_us(1)
            for answerer in order.sample(answerers, len(answerers)):
                block = {}
                for load in order.sample(list(LOADS), len(LOADS)):
                    block |= measure_block(lab, answerer, load, seconds)
                blocks[answerer.name].append(block)
        memory = {
            answerer.name: measure_memory(lab, answerer)
            for answerer in answerers
            if answerer.name != TcpFloor.name
            and answerer.answers_acme
            and answerer.holds_connections
        }
    finally:
        problems = lab.close()
    if problems:
        raise RuntimeError("; ".join(problems))
    tcp_floors = [block["saturated_cpu_us"] for block in blocks.pop(TcpFloor.name)]
    members = {
        "crypto_floor_us": spread.describe(floors, 2),
        "tcp_floor_us": spread.describe(tcp_floors, 2),
    }
    for name, series in blocks.items():
        members[name] = describe_answerer(series, floors, tcp_floors, blocks["nginx"])
        if name in memory:
            members[name]["bytes_per_open_handshake"] = memory[name]
    return members
