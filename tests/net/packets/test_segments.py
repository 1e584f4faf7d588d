# SPDX-License-Identifier: GPL-3.0-or-later
"""ClientHellos in segments such as only bad networks and bad clients send them.

A challenge goes to the responder or to production, another hello to production; whoever
gets it gets its exact bytes, from the first to the last, and nobody else gets one of them.
"""

import itertools
import random

import pytest

import compose
from lab import clients, echo_server, hosts, raw_tcp
from lab.raw_trials import UNWATCHED, Bench, Trial, pieces

NAME = "www.example.org"
SEED = 8737
BIT_FLIPS = 200
GREASE = (0x0A0A, 0xBABA)  # RFC 8701


def challenge():
    return clients.client_hello(NAME)


def other():
    return clients.client_hello(NAME, ("h2", "http/1.1"))


HELLOS = {"challenge": challenge, "other": other}


@pytest.fixture
def bench(lab, instance, takeover):
    made = Bench(lab)
    instance.start("--takeover", takeover).publish(NAME)
    yield made
    made.close()


@pytest.fixture
def tls_bench(lab, instance, takeover):
    """Production is as TLS servers are: it answers whole records."""
    made = Bench(lab, speaks_first=False)
    instance.start("--takeover", takeover).publish(NAME)
    yield made
    made.close()


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


@pytest.mark.row("S9")
@pytest.mark.parametrize("hello", HELLOS)
@pytest.mark.parametrize("arrival", ARRIVALS, ids=lambda name: name.replace(" ", "-"))
def test_arrival(tls_bench, hello, arrival):
    """ClientHello: SNI or ALPN across a boundary; overlap, retransmission, reordering, loss."""
    answered = tls_bench.run(trials_of(hello, ARRIVALS[arrival], count=8))
    assert answered == (8 if hello == "challenge" else 0)


class LossyTrial(Trial):
    """One in which the order of everything is given, the bare ACK's too (None)."""

    lost_synacks = 0

    def begin(self, client, port):
        super().begin(client, port)
        self.connection.lost_synacks = self.lost_synacks

    def send(self):
        for piece in self.segments:
            if piece is None:
                self.connection.acknowledge()
            else:
                self.connection.send(*piece)
        self.connection.expect(self.stream)


def fates(sent):
    """All orders of these; each with nothing else wrong, with one lost, with one doubled."""
    for order in itertools.permutations(sent):
        yield order
        for number, piece in enumerate(order):
            yield order[:number] + order[number + 1 :]
            yield (*order, piece)


@pytest.mark.row("S2", "S9")
@pytest.mark.parametrize("hello", HELLOS)
def test_every_order(tls_bench, hello, remark):
    """The ACK and three parts in any order, one lost or doubled: answered, and production's is whole."""
    data = HELLOS[hello]()
    sent = (None, *in_order(data))
    trials = [
        LossyTrial(f"{hello} {number}", data, fate, hello == "challenge")
        for number, fate in enumerate(sorted(set(fates(sent)), key=str))
        for _ in raw_tcp.FAMILIES
    ]
    answered = tls_bench.run(trials)
    remark(f"{answered} of {len(trials)} answered by the responder")
    assert answered == (len(trials) if hello == "challenge" else 0)


@pytest.mark.row("S2")
@pytest.mark.parametrize("lost", (1, 2), ids="{} lost".format)
@pytest.mark.parametrize("hello", HELLOS)
def test_lost_synack(tls_bench, hello, lost):
    """The SYN-ACK does not arrive, and comes again a second later, or three."""
    data = HELLOS[hello]()
    trials = [LossyTrial(hello, data, (None, (0, data)), hello == "challenge") for _ in range(8)]
    for trial in trials:
        trial.lost_synacks = lost
    answered = tls_bench.run(trials)
    assert answered == (8 if hello == "challenge" else 0)


@pytest.mark.row("S2")
@pytest.mark.parametrize("hello", HELLOS)
def test_slow_retransmission(tls_bench, hello, monkeypatch):
    """The hello is lost, and comes again after production has got the silent connection."""
    monkeypatch.setattr(raw_tcp, "RETRANSMIT_S", 2.5)
    data = HELLOS[hello]()
    trials = [LossyTrial(hello, data, (None,), hello == "challenge") for _ in range(8)]
    answered = tls_bench.run(trials)
    assert answered == (8 if hello == "challenge" else 0)
    assert tls_bench.echo.accepted >= 8


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


def test_undecided_is_counted(tls_bench, instance):
    """A counter for what may still become a challenge, and one for what decided too late for that."""
    data = challenge()
    cut = inside(data)[0]
    before = instance.counters()
    tls_bench.run(
        [Trial(f"begins {number}", data, pieces(data, cut), True) for number in range(4)]
    )
    after = instance.counters()
    assert after["watched"] == before["watched"] + 4
    assert after["late"] == before["late"] + 4


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


def test_hellos_of_all_kinds(tls_bench, remark):
    """TLS record fragmentation, hello above 16 KiB, GREASE, any extension order."""
    trials = []
    for protocols, kind, data in hellos_of_all_kinds():
        cuts = range(raw_tcp.MSS, len(data), raw_tcp.MSS)
        is_challenge = clients.ACME in protocols
        for _ in raw_tcp.FAMILIES:
            trials.append(
                Trial(f"{protocols[0]} {kind}", data, pieces(data, *cuts), is_challenge)
            )
    answered = tls_bench.run(trials)
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


def timestamp_of(connection):
    """The server's, of its SYN-ACK."""
    at = connection.synack_options.index(b"\x08\x0a")
    return int.from_bytes(connection.synack_options[at + 2 : at + 6], "big")


@pytest.mark.row("S11")
@pytest.mark.parametrize("accepted", (False, True), ids=("request", "accepted"))
def test_outdated_timestamp(tls_bench, instance, accepted):
    """The stack refuses a hello whose timestamp is older than the SYN's (PAWS), and a RST like it:
    it decides nothing, and the next one is taken at once."""
    hello = challenge()
    connections = [
        client.connect(options=[("MSS", 1400), ("Timestamp", (1_000_000, 0))])
        for client in tls_bench.clients
    ]

    def send(connection, timestamp):
        echo = timestamp_of(connection)
        options = [("NOP", None), ("NOP", None), ("Timestamp", (timestamp, echo))]
        connection.send(0, hello, options=options)

    def send_both(connection):
        send(connection, 500_000)
        send(connection, 1_000_001)

    def wait(condition):
        hosts.wait_for(lambda: tls_bench.turn() or condition(), "the connections")

    if accepted:
        wait(lambda: tls_bench.echo.accepted == len(connections))
        for connection in connections:
            send_both(connection)
    else:
        for connection in connections:
            connection.on_open = lambda connection=connection: send_both(connection)
    wait(lambda: all(one.received for one in connections))
    assert all(echo_server.is_of_responder(one.received) for one in connections)
    counters = instance.counters()
    assert (counters["steered"], counters["dropped"]) == (len(connections), 0)
