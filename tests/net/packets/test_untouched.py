# SPDX-License-Identifier: GPL-3.0-or-later
"""What production gets is what it would get without us: each segment once, as it was, and at once.

And what only looks like a validation, or comes from a strange one, does no harm.
"""

import json
import re
import struct
import time

import pytest
import scapy.all as scapy

import compose
from lab import clients, hosts, raw_tcp
from lab.raw_trials import PATIENCE_S, Bench, Trial, pieces

NAME = "www.example.org"
# struct virtio_net_hdr, of a segment that receive offload has merged
NEEDS_CSUM, GSO_TCPV4, GSO_TCPV6 = 1, 1, 4
TCP_CHECKSUM_OFFSET = 16
BAD_SEGMENTS = 200


def challenge():
    return clients.client_hello(NAME)


def other():
    return clients.client_hello(NAME, ("h2", "http/1.1"))


@pytest.fixture
def bench(lab, instance, takeover):
    made = Bench(lab, speaks_first=False)
    instance.start("--takeover", takeover).publish(NAME)
    yield made
    made.close()


class Once(Trial):
    """A connection that sends each segment once, so that whatever is kept back is missed."""

    def __init__(self, what, stream, frames):
        super().__init__(what, stream, ())
        self.frames = frames  # makes them, of the connection

    def send(self):
        self.connection.acknowledge()
        for frame, *vnet in self.frames(self.connection):
            self.connection.client.transmit(frame, *vnet)


def once(bench, stream, frames, may_be_answered=False):
    """How many of four such connections were answered by the responder."""
    trials = [Once("once", stream, frames) for _ in range(4)]
    for trial in trials:
        trial.may_be_answered = may_be_answered
    return bench.run(trials)


def plain(data, *cuts):
    def frames(connection):
        return [(connection.segment(offset, part),) for offset, part in pieces(data, *cuts)]

    return frames


def other_hellos():
    """Of production's clients, and how they come in segments."""
    hello = other()
    padding = compose.extension(compose.PADDING, bytes(1500))
    name, alpn = compose.server_name(NAME), compose.alpn("h2", "http/1.1")
    long = compose.in_records(b"\0" * 5 + compose.client_hello(padding, name, alpn), 16384)
    message = compose.client_hello(name, alpn)
    yield "whole", plain(hello), hello
    yield "split", plain(hello, 40), hello
    yield "undecided after its first segment", plain(long, 1400), long
    yield "in three segments", plain(long, 60, 1400), long
    records = compose.in_records(b"\0" * 5 + message, len(message) - 9)
    yield "in two records", plain(records), records


@pytest.mark.row("P4")
def test_nothing_is_kept_back(bench, instance):
    """Without a single retransmission production has all of it."""
    for what, frames, data in other_hellos():
        assert not once(bench, data, frames), what
    assert not instance.counters()["dropped"]


def merged(connection, offset, data, size):
    """Segments of `size` that receive offload has made one: verified, with an unfinished checksum."""
    frame = connection.segment(offset, data)
    is_v4 = connection.client.family == "ipv4"
    header = raw_tcp.ETHERNET_SIZE + (20 if is_v4 else raw_tcp.IPV6_SIZE)
    raw = bytearray(bytes(frame))
    tcp = raw[header:]
    source, target = (scapy.inet_pton(
        scapy.socket.AF_INET if is_v4 else scapy.socket.AF_INET6, address
    ) for address in (frame[1].src, frame[1].dst))
    pseudo = source + target + struct.pack("!II", scapy.socket.IPPROTO_TCP, len(tcp))
    raw[header + TCP_CHECKSUM_OFFSET : header + TCP_CHECKSUM_OFFSET + 2] = struct.pack(
        "!H", ~scapy.checksum(pseudo) & 0xFFFF
    )
    gso = GSO_TCPV4 if is_v4 else GSO_TCPV6
    vnet = struct.pack(
        "=BBHHHH", NEEDS_CSUM, gso, header + 20, size, header, TCP_CHECKSUM_OFFSET
    )
    return bytes(raw), vnet


def long_hello(*protocols):
    """Two segments and a half; what decides comes last."""
    padding = compose.extension(compose.PADDING, bytes(2500))
    name, alpn = compose.server_name(NAME), compose.alpn(*protocols)
    return compose.in_records(b"\0" * 5 + compose.client_hello(padding, name, alpn), 16384)


@pytest.mark.row("P5")
@pytest.mark.parametrize("protocol", ("h2", clients.ACME))
def test_merged_segments(bench, protocol):
    """The first segment comes alone, the others merged."""
    data = long_hello(protocol)

    def frames(connection):
        first = (connection.segment(0, data[:1000]),)
        return [first, merged(connection, 1000, data[1000:], 1000)]

    is_challenge = protocol == clients.ACME
    assert once(bench, data, frames, is_challenge) == (4 if is_challenge else 0)


@pytest.mark.row("P5")
@pytest.mark.parametrize("protocol", ("h2", clients.ACME))
def test_corrupt_segment_before_merged_ones(bench, protocol):
    """It is dropped, and nothing of it gets into what follows."""
    data = long_hello(protocol)

    def frames(connection):
        right = scapy.Ether(bytes(connection.segment(0, data[:1000])))
        wrong = connection.segment(0, data[:400] + b"?" + data[401:1000])
        wrong[scapy.TCP].chksum = right[scapy.TCP].chksum
        connection.expect(data)
        return [(wrong,), merged(connection, 1000, data[1000:], 1000)]

    is_challenge = protocol == clients.ACME
    assert once(bench, data, frames, is_challenge) == (4 if is_challenge else 0)


@pytest.mark.row("P7")
def test_silent_client(bench):
    """Production gets a silent client before its SYN-ACK is sent again."""
    synacks = []

    def count(connection, take):
        def counting(seq, options):
            synacks.append(connection)
            take(seq, options)

        return counting

    connections = [client.connect() for client in bench.clients for _ in range(4)]
    for connection in connections:
        connection.open = count(connection, connection.open)

    def accepted():
        bench.turn()
        return bench.echo.accepted == len(connections)

    hosts.wait_for(accepted, "production to accept")
    assert len(synacks) == len(connections)


@pytest.mark.row("P7")
def test_reset_in_silence(bench, instance):
    """As health checks do: nothing is kept of it, and nobody answers it later."""
    connections = [client.connect() for client in bench.clients for _ in range(4)]

    def reset(connection):
        def resetting():
            connection.acknowledge()
            connection.transmit(connection.segment(0, flags="R"))

        return resetting

    for connection in connections:
        connection.on_open = reset(connection)
    hosts.wait_for(
        lambda: bench.turn() or instance.counters()["bare_ack_held"] == len(connections),
        "all to be held",
    )
    pin = instance.root / "run/sidestep/bpf/held"
    hosts.wait_for(
        lambda: bench.turn()
        or not json.loads(hosts.run("bpftool", "--json", "map", "dump", "pinned", pin).stdout),
        "nothing to be kept",
    )
    assert not any(connection.is_reset for connection in connections)


@pytest.mark.row("S3")
def test_flood_of_corrupt_challenges(bench, instance):
    """None of them gets to user space, or takes a connection from anybody."""
    data = challenge()

    def frames(connection):
        for _ in range(BAD_SEGMENTS):
            wrong = connection.segment(0, data)
            wrong[scapy.TCP].chksum = 0xBAD
            yield (wrong,)

    trials = [Once("flood", data, frames) for _ in range(4)]
    for trial in trials:
        trial.begin(bench.clients[0], 443)
    for _ in range(50):
        bench.turn()
    assert not instance.counters()["steered"]
    # The last copy is right: then each of them is answered.
    for trial in trials:
        trial.may_be_answered = True
        trial.connection.expect(data)
    bench.finish(trials)
    assert all(trial.is_answered for trial in trials)
    assert instance.counters()["steered"] == 4


@pytest.mark.row("S3")
@pytest.mark.parametrize("flags", ("FPA", "UPA"))
@pytest.mark.parametrize("is_late", (False, True), ids=("at_once", "late"))
def test_refused_segments_decide_nothing(bench, instance, flags, is_late):
    """Corrupt, or with a wrong acknowledgment: the challenge that follows is answered."""
    data = challenge()

    class After(Trial):
        def send(self):
            for _ in range(2 if is_late else 1):
                self.connection.acknowledge()
                time.sleep(0.06 if is_late else 0)  # else the second is taken for a double
            corrupt = self.connection.segment(0, data, flags=flags)
            corrupt[scapy.TCP].chksum = 0xBAD
            foreign = self.connection.segment(0, data)
            foreign[scapy.TCP].ack += 1000
            # The stack answers such a one by a RST, before there is a connection.
            for frame in (corrupt, foreign) if is_late else (corrupt,):
                self.connection.transmit(frame)
            self.connection.send(0, data)
            self.connection.expect(data)

    trials = [After(f"after {flags}", data, (), True) for _ in range(4)]
    assert bench.run(trials) == 4
    assert instance.counters()["late"] == (4 if is_late else 0)


@pytest.mark.row("S8")
@pytest.mark.parametrize("mss", (88, 300, 535, 1219))
def test_small_mss(bench, mss):
    """Answered, in segments that are not larger than the client takes."""
    data = challenge()
    largest = {}

    class SmallTrial(Trial):
        def begin(self, client, port):
            self.connection = client.connect(port, options=[("MSS", mss)])
            take = self.connection.take

            def measuring(tcp):
                size = len(tcp) - (tcp[12] >> 4 << 2)
                largest[self] = max(largest.get(self, 0), size)
                take(tcp)

            self.connection.take = measuring
            self.connection.on_open = self.send
            self.deadline = time.monotonic() + PATIENCE_S

    trials = [SmallTrial(f"MSS {mss}", data, [(0, data)], True) for _ in range(4)]
    assert bench.run(trials) == 4
    assert max(largest.values()) <= mss


@pytest.mark.row("W8")
def test_direct_connection(lab, instance, takeover):
    """Whoever connects to the responder's own listeners, from wherever on this host, finds nobody."""
    instance.start("--takeover", takeover).publish(NAME)
    shown = lab.server.run("ss", "-Hltnp").stdout
    own = re.findall(r"(127\.0\.0\.1|\[::1\]):(\d+) .*sidestep-respon", shown)
    assert own
    for address, port in own:
        with pytest.raises(ConnectionRefusedError):
            clients.validate(lab.server, address.strip("[]"), NAME, port=int(port))
