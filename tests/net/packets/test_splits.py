# SPDX-License-Identifier: GPL-3.0-or-later
"""ClientHellos in segments: each goes where it must, production's to the last byte.

Every captured hello is cut at every point, with and without a pause between the segments:
in the repair takeover an even sample, or all with SIDESTEP_ALL_SPLITS=1.  In three segments at
random points.
"""

import errno
import heapq
import itertools
import os
import random
import selectors
import socket
import struct
import time

import pytest

import hello_text
from lab import echo_server

ALL = os.environ.get("SIDESTEP_ALL_SPLITS") == "1"
SAMPLED = 7  # one in so many
THREE_PIECES = 2000
AT_ONCE = 100
PATIENCE_S = 60  # for one connection
PAUSE_S = 0.02
# Longer than the pause on whatever machine.
RTO_MIN = "1s"
SEED = 8737


class Hello:
    """A vector, and whether it is a pending challenge."""

    def __init__(self, path):
        self.name = path.stem
        self.data = hello_text.read(self.name)
        fields = dict(
            line.partition(":")[::2]
            for line in path.read_text(encoding="ascii").splitlines()
            if ":" in line.split("#")[0]
        )
        self.is_acme = fields["verdict"].strip() == "acme"
        self.server_name = fields["server_name"].strip().lower().rstrip(".")
        self.is_pending = False  # until it is armed

    def arm(self, instance):
        """Names of IP addresses are not published as such: theirs is production's, too."""
        if self.is_acme and not self.server_name.endswith(".arpa"):
            instance.publish(self.server_name)
            self.is_pending = True
        # Of one that was cut short everybody would await the rest.
        while missing := echo_server.missing(self.data):
            self.data += bytes(missing)


class Trial:
    """One connection: the pieces of a hello, and what came back."""

    def __init__(self, hello, cuts, pause_s):
        edges = [0, *cuts, len(hello.data)]
        self.hello = hello
        self.cuts = cuts
        self.pieces = [hello.data[a:b] for a, b in zip(edges, edges[1:])]
        self.pause_s = pause_s
        self.socket = None
        self.answer = b""
        self.deadline = 0

    def __str__(self):
        return f"{self.hello.name} cut at {self.cuts}, pause {self.pause_s}"

    def is_over(self):
        if self.hello.is_pending:
            return bool(self.answer)
        return len(self.answer) >= len(echo_server.MARK) + len(self.hello.data)

    def is_right(self):
        """The responder answers in TLS; production says what it is, and returns what it got."""
        if self.hello.is_pending:
            return echo_server.is_of_responder(self.answer)
        return self.answer == echo_server.MARK + self.hello.data


class Splitter:
    """Makes many trials at once, in one thread with production."""

    def __init__(self, instance):
        self.instance = instance
        self.lab = lab = instance.lab
        self.selector = selectors.DefaultSelector()
        self.echo = echo_server.Echo(
            self.selector, echo_server.listeners(lab.server), speaks_first=False
        )
        self.due = []  # (when, number, trial): the next piece of it
        self.running = 0
        self.wrong = []
        addresses = (lab.server.ipv4, lab.server.ipv6)
        for address, network in zip(addresses, ("192.0.2.0/24", "2001:db8::/64")):
            family = f"-{address.version}"
            lab.validator.run(
                "ip", family, "route", "replace", network, "dev", "eth0", "rto_min", RTO_MIN
            )

    def run(self, trials, addresses):
        """Make them all; those that went wrong are in self.wrong."""
        waiting = iter(trials)
        count = 0
        while True:
            while self.running < AT_ONCE and (trial := next(waiting, None)):
                self.begin(trial, addresses[count % len(addresses)])
                count += 1
            if not self.running:
                return count
            self.turn()

    def begin(self, trial, address):
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        with self.lab.validator.entered():
            trial.socket = socket.socket(family, socket.SOCK_STREAM)
        trial.socket.setblocking(False)
        trial.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # No TIME_WAIT: there are more connections than ports.
        trial.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert trial.socket.connect_ex((str(address), 443)) == errno.EINPROGRESS
        trial.deadline = time.monotonic() + PATIENCE_S
        self.selector.register(
            trial.socket, selectors.EVENT_WRITE, lambda *_: self.connected(trial)
        )
        heapq.heappush(self.due, (trial.deadline, id(trial), trial))
        self.running += 1

    def connected(self, trial):
        self.selector.modify(trial.socket, selectors.EVENT_READ, lambda *_: self.read(trial))
        self.send(trial)

    def send(self, trial):
        """The next piece; all of them when there is no pause."""
        while trial.pieces:
            trial.socket.sendall(trial.pieces.pop(0))
            if trial.pieces and trial.pause_s:
                when = time.monotonic() + trial.pause_s
                heapq.heappush(self.due, (when, id(trial), trial))
                return

    def read(self, trial):
        try:
            data = trial.socket.recv(65536)
        except OSError as error:
            self.end(trial, repr(error))
            return
        trial.answer += data
        if trial.is_over() or not data:
            self.end(trial, None if trial.answer and trial.is_right() else repr(trial.answer[:64]))

    def end(self, trial, problem):
        if problem:
            self.wrong.append(f"{trial}: {problem}")
        self.selector.unregister(trial.socket)
        trial.socket.close()
        trial.socket = None
        self.running -= 1

    def turn(self):
        """Handle what has happened, and what is due."""
        echo_server.turn(self.selector, 0.005 if self.due else 1)
        now = time.monotonic()
        while self.due and self.due[0][0] <= now:
            trial = heapq.heappop(self.due)[2]
            if trial.socket is None:
                continue
            if now >= trial.deadline:
                self.end(trial, f"no end in {PATIENCE_S} s, answer {trial.answer[:64]!r}")
            else:
                self.send(trial)


@pytest.fixture(scope="module")
def vectors():
    return [Hello(path) for path in sorted(hello_text.DIRECTORY.glob("*.hello"))]


@pytest.fixture
def hellos(vectors, instance, takeover):
    """All of them, with the responder up and the challenges armed."""
    splitter = Splitter(instance)
    instance.start("--takeover", takeover)
    for hello in vectors:
        hello.arm(instance)
    yield vectors, splitter
    splitter.echo.close()


def every_cut(hellos):
    for hello in hellos:
        for cut in range(1, len(hello.data)):
            yield hello, (cut,)


def three_pieces(hellos, count):
    generator = random.Random(SEED)
    for _ in range(count):
        hello = generator.choice([hello for hello in hellos if len(hello.data) > 2])
        yield hello, tuple(sorted(generator.sample(range(1, len(hello.data)), 2)))


def check(splitter, cuts, pause_s, addresses, remark):
    trials = [Trial(hello, cut, pause_s) for hello, cut in cuts]
    assert splitter.run(trials, addresses) == len(trials)
    pending = sum(trial.hello.is_pending for trial in trials)
    remark(f"{len(trials)} connections, {pending} of them challenges")
    assert not splitter.wrong, f"{len(splitter.wrong)} went wrong:\n" + "\n".join(
        [*splitter.wrong[:10], str(splitter.instance.counters())]
    )
    # Each connection of production's was answered once, and no challenge ever was.
    assert splitter.echo.answered == len(trials) - pending


@pytest.mark.parametrize("pause_s", (0, PAUSE_S))
@pytest.mark.slow
def test_two_segments(lab, hellos, takeover, pause_s, remark):
    """ClientHello, SNI and ALPN across every boundary."""
    vectors, splitter = hellos
    step = 1 if ALL or takeover == "assign" else SAMPLED
    addresses = [lab.server.ipv4, lab.server.ipv6]
    check(splitter, itertools.islice(every_cut(vectors), 0, None, step), pause_s, addresses, remark)


@pytest.mark.parametrize("pause_s", (0, PAUSE_S))
def test_three_segments(lab, hellos, takeover, pause_s, remark):
    vectors, splitter = hellos
    addresses = [lab.server.ipv4, lab.server.ipv6]
    check(splitter, three_pieces(vectors, THREE_PIECES), pause_s, addresses, remark)
