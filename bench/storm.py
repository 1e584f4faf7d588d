# SPDX-License-Identifier: GPL-3.0-or-later
"""What a storm of strangers does to those who have business here.

Strangers (strangers.c) come to port 443 with acme-tls/1 ClientHellos, say no more and stay for
a second; meanwhile validators come for a pending name and clients for production's page.  In
turn: no storm; a storm for a name that is not pending, which is production's to bear as it is
without Sidestep; and a storm for a name that is pending, which the responder sheds.
"""

import json
import random
import subprocess
import time

import front_load

import handshakes
import spread
from lab import clients, hosts, production, sidestep

RATE = 10_000
VALIDATORS_PER_S = 20
STRANGERS = [f"192.0.2.{number}" for number in range(100, 116)]
VALIDATOR = "192.0.2.1"
NAMES = {"none": None, "not_pending": "stranger.example.org", "pending": "www.example.org"}
STAY_S = 1
SETTLE_S = 2  # longer than strangers stay
OPEN = 10_000
OPEN_RATE, OPEN_S = 2500, 5  # more than OPEN, all before the first deadline
MIB = 1 << 20


def start_strangers(lab, name, rate, seconds, stay_s, sources=()):
    """The process; nobody without a name."""
    if not name:
        return None
    command = lab.validator.enter(
        *("taskset", "-c", handshakes.CLIENT_CPU, hosts.BUILD / "bench/strangers"),
        *(lab.server.ipv4, "443", rate, seconds, stay_s, *sources),
    )
    words = lab.directory / "hello"
    words.write_bytes(clients.client_hello(name))
    with words.open("rb") as hello:
        return subprocess.Popen(
            [str(word) for word in command], stdin=hello, stdout=subprocess.PIPE
        )


def counts_of(strangers):
    return json.loads(strangers.communicate(timeout=front_load.PATIENCE_S)[0])


def peak_bytes(pid):
    """The most memory that the process ever had."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        (line,) = (line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


class Bench:
    def __init__(self):
        self.lab = hosts.Lab()
        self.nginx = production.Nginx(self.lab)
        for address in STRANGERS:
            self.lab.validator.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
        self.instance = sidestep.Sidestep(self.lab).start()
        self.instance.publish(NAMES["pending"], ttl_s=86400)

    def start_validators(self, seconds):
        return self.lab.validator.start(
            "validators",
            *(hosts.BUILD / "sidestep-bench", "--json", "--quiet", "--name", NAMES["pending"]),
            *("--key-authorization", sidestep.KEY_AUTHORIZATION, "--rate", VALIDATORS_PER_S),
            *("--duration", seconds, "--source", VALIDATOR, f"{self.lab.server.ipv4}:443"),
        )

    def run_block(self, name, seconds):
        validators = self.start_validators(seconds)
        strangers = start_strangers(self.lab, name, RATE, seconds, STAY_S, STRANGERS)
        output = self.lab.validator.run(
            *("wrk", "--latency", "--timeout=10s", f"-d{seconds}s", "-t1", "-c4"),
            f"https://{self.lab.server.ipv4}/",
            timeout=seconds + front_load.PATIENCE_S,
        ).stdout
        peak = peak_bytes(self.instance.responder.pid)
        validators.wait()
        seen = json.loads(validators.output())
        validators.log.unlink()
        block = front_load.read_wrk(output, "requests_per_s") | {
            "validators": seen["validated"] + sum(seen["failures"].values()),
            "validated": seen["validated"],
            "responder_mib": peak / MIB,
        }
        if strangers:
            block["strangers"] = counts_of(strangers)
        time.sleep(SETTLE_S)
        return block

    def close(self):
        problems = self.lab.close()
        if problems:
            raise RuntimeError("; ".join(problems))


def describe(blocks, seconds):
    member = {
        "requests_per_s": spread.describe([block["rate"] for block in blocks], 1),
        "p99_ms": spread.describe([block["p99_ms"] for block in blocks], 3),
        "failed": sum(block["failed"] for block in blocks),
        "validators": sum(block["validators"] for block in blocks),
        "validated": sum(block["validated"] for block in blocks),
        "responder_mib": round(max(block["responder_mib"] for block in blocks), 1),
    }
    came = [block["strangers"] for block in blocks if "strangers" in block]
    if came:
        for key in ("offered", "connected", "answered", "closed"):
            rates = [strangers[key] / seconds for strangers in came]
            member[f"{key}_per_s"] = spread.describe(rates, 0)
    return member


def measure_open():
    """The responder with OPEN handshakes half done: the most memory that it had."""
    lab = hosts.Lab()
    try:
        instance = sidestep.Sidestep(lab).start(
            "--standalone", "--connections", "16384", "--connections-per-source", "16384"
        )
        instance.publish(NAMES["pending"])
        before = peak_bytes(instance.responder.pid)
        counts = counts_of(
            start_strangers(lab, NAMES["pending"], OPEN_RATE, OPEN_S, 2 * OPEN_S)
        )
        used = peak_bytes(instance.responder.pid)
    finally:
        problems = lab.close()
    if problems:
        raise RuntimeError("; ".join(problems))
    count = counts["answered"] - counts["closed"]
    if count < OPEN:
        raise RuntimeError(f"only {count} handshakes were open at once: {counts}")
    return {"count": count, "before_mib": round(before / MIB, 1), "mib": round(used / MIB, 1)}


def measure(rounds, seconds):
    """The members of results.json's "storm"."""
    order = random.Random(1)
    bench = Bench()
    try:
        blocks = {kind: [] for kind in NAMES}
        for _ in range(rounds):
            for kind in order.sample(sorted(NAMES), len(NAMES)):
                blocks[kind].append(bench.run_block(NAMES[kind], seconds))
    finally:
        bench.close()
    members = {kind: describe(series, seconds) for kind, series in blocks.items()}
    return members | {"open_handshakes": measure_open()}
