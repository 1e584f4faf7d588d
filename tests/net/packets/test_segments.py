# SPDX-License-Identifier: GPL-3.0-or-later
"""ClientHellos in segments such as only bad networks and bad clients send them.

A challenge goes to the responder or to production, another hello to production; whoever
gets it gets its exact bytes, from the first to the last, and nobody else gets one of them.
"""

import random
import selectors
import time

import pytest

import compose
from lab import clients, echo_server, raw_tcp

NAME = "www.example.org"
UNWATCHED = 8443
PATIENCE_S = 60
SEED = 8737
BIT_FLIPS = 200
GREASE = (0x0A0A, 0xBABA)  # RFC 8701


def challenge():
    return clients.client_hello(NAME)


def other():
    return clients.client_hello(NAME, ("h2", "http/1.1"))


HELLOS = {"challenge": challenge, "other": other}


class Trial:
    """One connection: what is sent first, and all that is to arrive in the end."""

    def __init__(self, what, stream, segments, may_be_answered=False):
        self.what = what
        self.stream = stream
        self.segments = segments  # (offset, bytes) each, in the order of sending
        self.may_be_answered = may_be_answered
        self.connection = None
        self.begun = self.deadline = 0
        self.is_late = False  # it took so long to send that the server's clocks have run out

    def begin(self, client, port):
        self.begun = time.monotonic()
        self.deadline = self.begun + PATIENCE_S
        self.connection = client.connect(port)
        self.connection.on_open = self.send

    def send(self):
        self.connection.acknowledge()
        for offset, data in self.segments:
            self.connection.send(offset, data)
        self.is_late = time.monotonic() - self.begun > clients.LATE_S
        self.connection.expect(self.stream)

    @property
    def is_answered(self):
        """In TLS, or by nothing at all when the hello promises more than comes: at the deadline."""
        received = self.connection.received
        return echo_server.is_of_responder(received) if received else self.connection.is_closed

    def is_over(self):
        received = self.connection.received
        return (
            self.is_answered
            or len(received) >= len(echo_server.MARK) + len(self.stream)
            or self.connection.is_reset
            or time.monotonic() > self.deadline
        )

    def problem(self):
        """None when it went to whom it may go, whole."""
        received = self.connection.received
        if self.is_answered:
            return None if self.may_be_answered else f"{self.what}: answered by the responder"
        if self.connection.is_reset:
            return f"{self.what}: reset after {received[:64]!r}"
        if received != echo_server.MARK + self.stream:
            return f"{self.what}: production returned {len(received)} bytes: {received[:64]!r}"
        return None


class Bench:
    """Production, a client of each family, and trials at once."""

    def __init__(self, lab):
        self.selector = selectors.DefaultSelector()
        self.echo = echo_server.Echo(
            self.selector, echo_server.listeners(lab.server, ports=(443, UNWATCHED))
        )
        self.repeated = 0
        self.clients = [raw_tcp.PacketClient(lab, family) for family in raw_tcp.FAMILIES]
        for client in self.clients:
            self.selector.register(
                client, selectors.EVENT_READ, lambda client, _: client.receive()
            )

    def turn(self, patience_s=0.02):
        echo_server.turn(self.selector, patience_s)
        for client in self.clients:
            client.tick()

    def run(self, trials, port=443):
        """Each over both families in turn; how many were answered by the responder.

        Those that this process, on a busy machine, was late with are made again."""
        waiting = trials
        for _ in range(clients.ATTEMPTS):
            for number, trial in enumerate(waiting):
                trial.begin(self.clients[number % len(self.clients)], port)
                self.turn(0)
                if number % 64 == 63:
                    self.finish(waiting[: number + 1])
            self.finish(waiting)
            waiting = [trial for trial in waiting if trial.is_late]
            self.repeated += len(waiting)
        problems = [problem for trial in trials if (problem := trial.problem())]
        assert not problems, f"{len(problems)} of {len(trials)}:\n" + "\n".join(problems[:10])
        return sum(trial.is_answered for trial in trials)

    def finish(self, trials):
        running = [trial for trial in trials if trial.connection.ports[0] in self.ports()]
        while running:
            self.turn()
            for trial in [trial for trial in running if trial.is_over()]:
                trial.connection.end()
                running.remove(trial)

    def ports(self):
        return {port for client in self.clients for port in client.connections}

    def close(self):
        self.echo.close()
        for client in self.clients:
            self.selector.unregister(client)
            client.close()


@pytest.fixture
def bench(lab, instance, takeover):
    made = Bench(lab)
    instance.start("--takeover", takeover).publish(NAME)
    yield made
    made.close()


def pieces(data, *cuts):
    edges = [0, *cuts, len(data)]
    return [(a, data[a:b]) for a, b in zip(edges, edges[1:])]


def inside(data, name=NAME):
    """Cuts that matter: within the server name, within the protocol's name."""
    at = [data.index(name.encode()) + len(name) // 2]
    protocol = data.find(clients.ACME.encode())
    if protocol < 0:
        protocol = data.index(b"http/1.1")
    return sorted([*at, protocol + 4])


def trials_of(hello, segments_of, count=2):
    """The same for each family."""
    data = HELLOS[hello]()
    return [
        Trial(f"{hello} {number}", data, segments_of(data), hello == "challenge")
        for number in range(count)
    ]


def in_order(data):
    return pieces(data, *inside(data))


ARRIVALS = {
    "boundary in server name and protocol": in_order,
    "duplicated": lambda data: [piece for piece in in_order(data) for _ in range(2)],
    "sent again as one": lambda data: [in_order(data)[0], (0, data)],
    "reordered": lambda data: in_order(data)[::-1],
    "last two reordered": lambda data: [in_order(data)[at] for at in (0, 2, 1)],
    "overlapping": lambda data: [
        (0, data[: inside(data)[1]]), (inside(data)[0], data[inside(data)[0] :])
    ],
    "overlapping backwards": lambda data: [
        (inside(data)[0], data[inside(data)[0] :]), (0, data[: inside(data)[1]])
    ],
    "first lost": lambda data: in_order(data)[1:],
    "second lost": lambda data: [in_order(data)[0], in_order(data)[2]],
    "all lost": lambda data: [],
}


@pytest.mark.parametrize("hello", HELLOS)
@pytest.mark.parametrize("arrival", ARRIVALS, ids=lambda name: name.replace(" ", "-"))
def test_arrival(bench, hello, arrival):
    """ClientHello: SNI or ALPN across a boundary; overlap, retransmission, reordering, loss."""
    answered = bench.run(trials_of(hello, ARRIVALS[arrival], count=8))
    assert hello == "challenge" or not answered


@pytest.mark.parametrize("hello", HELLOS)
def test_one_byte_segments(bench, hello):
    """ClientHello in 1-byte segments."""
    bench.run(trials_of(hello, lambda data: pieces(data, *range(1, len(data)))))


def test_challenge_in_order_is_answered(bench):
    """ClientHello across a boundary: in two segments, in order, a challenge finds the responder."""
    trials = []
    for cut in inside(challenge()):
        trials += trials_of("challenge", lambda data, cut=cut: pieces(data, cut))
    assert bench.run(trials) == len(trials)


@pytest.mark.parametrize("hello", HELLOS)
@pytest.mark.parametrize("first", ("right", "wrong"))
def test_overlap_that_differs(bench, hello, first):
    """Overlap: the bytes that come first count, whoever holds the port, as without Sidestep."""
    data = HELLOS[hello]()
    cut = inside(data)[0]
    bent = bytes(byte ^ 0x55 for byte in data[cut - 8 : cut])
    begin, rest = (0, data[:cut]), (cut - 8, bent + data[cut:])
    if first == "wrong":
        begin, rest = (0, data[: cut - 8] + bent), (cut - 8, data[cut - 8 :])
    # What the stack makes of it where nothing is watched, is what production must get.
    streams = begin[1] + data[cut:]
    for port in (UNWATCHED, 443):
        bench.run(
            [
                Trial(f"{hello} to {port}", streams, [begin, rest], hello == "challenge")
                for _ in range(4)
            ],
            port,
        )


def test_undecided_is_counted(bench, instance):
    """A counter for "could not decide": the beginning comes again before the rest does."""
    data = challenge()
    cut = inside(data)[0]
    before = instance.counters()["passed_undecided"]
    bench.run(
        [
            Trial(f"begins {number}", data, [(0, data[:cut]), (0, data[:cut])], True)
            for number in range(4)
        ]
    )
    counted = instance.counters()["passed_undecided"] - before
    assert 4 <= counted <= 4 + bench.repeated


def hellos_of_all_kinds():
    """Forms of one challenge, and of another hello."""
    generator = random.Random(SEED)
    for protocols in ((clients.ACME,), ("h2", "http/1.1")):
        name, alpn = compose.server_name(NAME), compose.alpn(*protocols)
        grease = [compose.extension(kind, b"\0") for kind in GREASE]
        plain = compose.client_hello(*grease, name, alpn)
        for size in (1, 100, len(plain) - 1):
            yield protocols, f"in records of {size}", compose.in_records(
                b"\0" * 5 + plain, *[size] * (len(plain) // size)
            )
        padding = compose.extension(compose.PADDING, bytes(17000))
        for order in ((name, alpn, padding), (padding, name, alpn), (name, padding, alpn)):
            message = compose.client_hello(*order)
            yield protocols, "above 16 KiB", compose.in_records(b"\0" * 5 + message, 16384)
        for _ in range(12):
            extensions = [*grease, name, alpn, compose.extension(compose.PADDING, bytes(300))]
            generator.shuffle(extensions)
            yield protocols, "shuffled", compose.record(compose.client_hello(*extensions))


def test_hellos_of_all_kinds(bench, remark):
    """TLS record fragmentation, hello above 16 KiB, GREASE, any extension order."""
    trials = []
    for protocols, kind, data in hellos_of_all_kinds():
        cuts = range(raw_tcp.MSS, len(data), raw_tcp.MSS)
        is_challenge = clients.ACME in protocols
        for _ in raw_tcp.FAMILIES:
            trials.append(
                Trial(f"{protocols[0]} {kind}", data, pieces(data, *cuts), is_challenge)
            )
    answered = bench.run(trials)
    challenges = sum(trial.may_be_answered for trial in trials)
    remark(f"{len(trials)} hellos, {answered} of {challenges} challenges answered")
    for trial in trials:
        if trial.may_be_answered and "shuffled" in trial.what:
            assert trial.is_answered, trial.what


def test_what_is_no_tls(bench):
    """Not TLS, HTTP, SSLv2: production's."""
    generator = random.Random(SEED)
    beginnings = [
        b"GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10" + bytes(37),  # SSLv2's ClientHello
        b"\x16",
        b"\0" * 600,
        *(generator.randbytes(size) for size in (1, 5, 43, 517, 1400)),
    ]
    assert bench.run([Trial(repr(data[:8]), data, [(0, data)]) for data in beginnings * 2]) == 0


@pytest.mark.slow
def test_bit_flips(bench, remark):
    """Bit flips: a bent hello is production's, byte for byte, if it is not still a challenge."""
    generator = random.Random(SEED)
    trials = []
    for number in range(BIT_FLIPS):
        data = bytearray(challenge() if number % 4 else other())
        for _ in range(generator.choice((1, 1, 2, 8))):
            data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        data = bytes(data)
        cuts = sorted(generator.sample(range(1, len(data)), number % 2))
        trials.append(Trial(f"flips {number}", data, pieces(data, *cuts), number % 4 > 0))
    remark(f"{bench.run(trials)} of {len(trials)} answered by the responder")
