# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything at once, for a minute.

New connections and a bulk transfer at production without pause, names armed and
disarmed at random, validations of those that are armed; and all the while the
responder is killed and started again, and the programs are upgraded.
"""

import contextlib
import hashlib
import random
import re
import ssl
import threading
import time

import pytest

from lab import certificates, clients, load_client, production, sidestep

SEED = 8737
KILLS, UPGRADES_A_KILL = 10, 2
DURATION_S = 60
PATIENCE_S = 300
BULK_SIZE = 64 << 20


class Worker(threading.Thread):
    """Does one thing again and again until finish(), which says what went wrong."""

    def __init__(self, work):
        super().__init__()
        self.work = work
        self.ending = threading.Event()
        self.error = None
        self.rounds = 0
        self.start()

    def run(self):
        try:
            while not self.ending.is_set():
                self.work()
                self.rounds += 1
        except BaseException as error:  # pylint: disable=broad-except
            self.error = error

    def finish(self):
        self.ending.set()
        self.join()
        if self.error:
            raise self.error
        return self.rounds


class Challenges:
    """Names that come and go, and validators that ask for those that are there."""

    def __init__(self, lab, instance):
        self.lab = lab
        self.instance = instance
        self.random = random.Random(SEED)
        self.lock = threading.Lock()
        self.names = [f"name{number}.example.org" for number in range(100)]
        self.armed = set()
        self.asked = set()  # by a validator, at this moment: not to be disarmed
        self.outages = []  # [beginning, end]; the end of one that lasts is far away
        self.failures = []
        self.succeeded = self.excused = 0

    def change(self):
        """Arm or disarm one."""
        with self.lock:
            name = self.random.choice(self.names)
            is_armed = name in self.armed
            if name in self.asked:
                return
            self.armed.discard(name)
        if is_armed:
            self.instance.withdraw(name)
            return
        begun = time.monotonic()
        try:
            self.instance.publish(name)
        except AssertionError:
            if not self.was_out(begun):
                raise
            return
        with self.lock:
            self.armed.add(name)

    def ask(self):
        """Validate one, at either address."""
        with self.lock:
            free = sorted(self.armed - self.asked)
            name = self.random.choice(free) if free else None
            address = self.random.choice((self.lab.server.ipv4, self.lab.server.ipv6))
            self.asked.add(name)
        if name:
            self.validate(name, address)
        with self.lock:
            self.asked.discard(name)

    def validate(self, name, address):
        begun = time.monotonic()
        failure = None
        try:
            answer = clients.validate(self.lab.validator, address, name)
            certificates.check_challenge(answer.certificate, name, sidestep.DIGEST)
        except (OSError, ssl.SSLError, AssertionError) as error:
            failure = error
        excused = self.was_out(begun)
        with self.lock:
            if not failure:
                self.succeeded += 1
            elif excused:
                self.excused += 1
            else:
                self.failures.append(f"{name} at {address}: {failure!r}")

    def was_out(self, begun):
        """Whether there was an outage at any moment since `begun`."""
        with self.lock:
            return any(end >= begun for _, end in self.outages)

    @contextlib.contextmanager
    def outage(self):
        """While nobody can answer."""
        moment = [time.monotonic(), float("inf")]
        with self.lock:
            self.outages.append(moment)
        yield
        moment[1] = time.monotonic()


class Bulk:
    """One large file after another, every byte of them counted into a digest."""

    def __init__(self, lab, server):
        self.lab = lab
        body = random.Random(SEED).randbytes(BULK_SIZE)
        self.digest = hashlib.sha256(body).digest()
        (server.directory / "bulk").write_bytes(body)

    def fetch(self):
        answer = clients.get(
            self.lab.validator, self.lab.server.ipv6, "www.example.org", path="/bulk"
        )
        assert hashlib.sha256(answer.body).digest() == self.digest


class Wrk:
    """The distribution's load client: more connections than the one that checks every byte."""

    def __init__(self, lab):
        self.process = lab.validator.start(
            *("wrk", "wrk", "-t1", "-c4", "-d", PATIENCE_S, "-H", "Connection: close"),
            f"https://{lab.server.ipv4}/",
        )

    def finish(self):
        """End it: how many there were, of which none may have failed."""
        self.process.popen.send_signal(2)
        assert self.process.wait() == 0
        output = self.process.output()
        assert "errors" not in output and "Non-2xx" not in output, output
        return int(re.search(r"(\d+) requests in", output).group(1))


def disturb(instance, challenges, options, pause_s):
    """One round: upgrades, a kill, a restart."""
    for _ in range(UPGRADES_A_KILL):
        time.sleep(pause_s)
        run = instance.run_responder("--upgrade")
        assert run.returncode == 0, run.stderr
    time.sleep(pause_s)
    with challenges.outage():
        instance.responder.kill()
        instance.start(*options)


@pytest.mark.parametrize(
    ("takeover", "engine"), (("assign", "io_uring"), ("repair", "epoll")), indirect=("engine",)
)
@pytest.mark.slow
def test_storm(lab, instance, takeover, remark):
    """As on a new kernel and as on an old one."""
    options = ("--takeover", takeover)
    server = production.Nginx(lab)
    bulk = Bulk(lab, server)
    instance.start(*options)
    challenges = Challenges(lab, instance)
    checked, counted = load_client.Load(lab, server), Wrk(lab)
    workers = [Worker(challenges.change), Worker(challenges.ask), Worker(challenges.ask)]
    transfer = Worker(bulk.fetch)
    try:
        begun = time.monotonic()
        for _ in range(KILLS):
            disturb(instance, challenges, options, DURATION_S / KILLS / (UPGRADES_A_KILL + 1))
    finally:
        for worker in (*workers, transfer):
            worker.ending.set()
    elapsed = time.monotonic() - begun
    for worker in workers:
        worker.finish()
    transfers = transfer.finish()
    connections = checked.finish() + counted.finish()
    remark(
        f"{connections / elapsed:.0f} connections/s and {transfers} transfers of 64 MiB in "
        f"{elapsed:.0f} s; {challenges.succeeded} challenges, {challenges.excused} at kill moments"
    )
    assert not challenges.failures, challenges.failures[:5]
    assert challenges.succeeded > 100
    assert connections > 1000
    assert transfers
