# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets that are not what most packets are: parsed, or passed to production as they came.

The row of faults.md: IP options, IPv6 extension headers, fragments, VLAN, GRO, bad checksum, runt.
"""

import selectors

import pytest
import scapy.all as scapy

from lab import clients, echo_server, hosts, raw_tcp

NAME = "www.example.org"
VLAN = 7
RECORD_ROUTE = scapy.IPOption(b"\x07\x07\x04\0\0\0\0\x00")


class Stage:
    """Production, one client, and what Sidestep counts."""

    def __init__(self, lab, family):
        self.selector = selectors.DefaultSelector()
        self.echo = echo_server.Echo(self.selector, echo_server.listeners(lab.server))
        self.client = raw_tcp.PacketClient(lab, family)
        self.selector.register(
            self.client, selectors.EVENT_READ, lambda client, _: client.receive()
        )

    def wait(self, condition, what):
        def ask():
            echo_server.turn(self.selector, 0.01)
            self.client.tick()
            return condition()

        hosts.wait_for(ask, what)

    def open(self):
        connection = self.client.connect()
        connection.on_open = connection.acknowledge
        self.wait(lambda: connection.is_open, "the SYN-ACK")
        return connection

    def answer(self, connection, stream):
        """Who answers: the responder (True), or production, with exactly the stream (False)."""
        whole = len(echo_server.MARK) + len(stream)
        self.wait(
            lambda: len(connection.received) >= whole
            or connection.is_reset
            or connection.received
            and echo_server.is_of_responder(connection.received),
            "an answer",
        )
        if echo_server.is_of_responder(connection.received):
            return True
        assert connection.received == echo_server.MARK + stream
        return False

    def close(self):
        self.echo.close()
        self.client.close()


@pytest.fixture
def stage(lab, instance, takeover, request):
    made = Stage(lab, getattr(request, "param", "ipv4"))
    instance.start("--takeover", takeover).publish(NAME)
    yield made
    made.close()


HELLOS = {
    "challenge": lambda: clients.client_hello(NAME),
    "other": lambda: clients.client_hello(NAME, ("h2",)),
}
each_hello = pytest.mark.parametrize("hello", HELLOS)
over_ipv4 = pytest.mark.parametrize("stage", ("ipv4",), indirect=True)
over_ipv6 = pytest.mark.parametrize("stage", ("ipv6",), indirect=True)
over_both = pytest.mark.parametrize("stage", raw_tcp.FAMILIES, indirect=True)


def bent(connection, data, bend):
    """A segment with the whole of `data`, of which `bend` makes a list of frames."""
    frame = connection.segment(0, data)
    for bent_frame in bend(frame):
        connection.transmit(bent_frame)
    connection.expect(data)


def with_ip_options(frame):
    frame[scapy.IP].options = [RECORD_ROUTE]
    return [frame]


def in_fragments(frame):
    return [
        scapy.Ether(src=frame.src, dst=frame.dst) / part
        for part in scapy.fragment(scapy.IP(bytes(frame[scapy.IP])), 256)
    ]


def behind(*headers):
    """IPv6 extension headers between the IPv6 header and TCP."""

    def bend(frame):
        packet = frame[scapy.IPv6]
        segment = packet.payload
        packet.remove_payload()
        for header in headers:
            packet = packet / header.copy()
        return [scapy.Ether(src=frame.src, dst=frame.dst) / packet / segment]

    return bend


def in_ipv6_fragments(frame):
    whole = behind(scapy.IPv6ExtHdrFragment(id=8737))(frame)[0]
    return [
        scapy.Ether(src=frame.src, dst=frame.dst) / part
        for part in scapy.fragment6(whole[scapy.IPv6], 400)
    ]


PAD = scapy.PadN(optdata=b"\0" * 4)
EXTENSIONS = {
    "hop-by-hop": (scapy.IPv6ExtHdrHopByHop(options=[PAD]),),
    "destination": (scapy.IPv6ExtHdrDestOpt(options=[PAD]),),
    "both": (scapy.IPv6ExtHdrHopByHop(options=[PAD]), scapy.IPv6ExtHdrDestOpt(options=[PAD])),
}


@over_ipv4
@each_hello
def test_ip_options(stage, hello):
    """IP options: parsed."""
    data = HELLOS[hello]()
    connection = stage.open()
    bent(connection, data, with_ip_options)
    assert stage.answer(connection, data) == (hello == "challenge")


@over_ipv6
@each_hello
@pytest.mark.parametrize("headers", EXTENSIONS)
def test_extension_headers(stage, hello, headers):
    """IPv6 extension headers: parsed."""
    data = HELLOS[hello]()
    connection = stage.open()
    bent(connection, data, behind(*EXTENSIONS[headers]))
    assert stage.answer(connection, data) == (hello == "challenge")


@over_both
@each_hello
def test_fragments(stage, hello):
    """Fragments: passed, so that they are production's."""
    data = HELLOS[hello]()
    connection = stage.open()
    family = stage.client.family
    bent(connection, data, in_fragments if family == "ipv4" else in_ipv6_fragments)
    answered = stage.answer(connection, data)
    assert hello == "challenge" or not answered
    assert stage.echo.accepted + answered == 1


@over_both
@each_hello
@pytest.mark.quick
def test_bad_checksum(stage, hello):
    """Bad checksum: the stack refuses the segment, and the client's next copy counts."""
    data = HELLOS[hello]()
    connection = stage.open()
    wrong = connection.segment(0, data)
    wrong[scapy.TCP].chksum = 0xBAD
    connection.transmit(wrong)
    connection.expect(data)
    assert stage.answer(connection, data) == (hello == "challenge")


@over_both
@each_hello
def test_bad_checksum_of_a_part(stage, hello):
    """Bad checksum of one of two segments: neither corrupts the other."""
    data = HELLOS[hello]()
    cut = data.index(NAME.encode()) + 3
    for wrong in (0, 1):
        connection = stage.open()
        for number, (offset, part) in enumerate(((0, data[:cut]), (cut, data[cut:]))):
            segment = connection.segment(offset, part)
            if number == wrong:
                segment[scapy.TCP].chksum = 0xBAD
            connection.transmit(segment)
        connection.expect(data)
        answered = stage.answer(connection, data)
        assert hello == "challenge" or not answered


@over_both
def test_runts(stage, instance):
    """Runts and lengths that contradict each other: passed, and the connection goes on."""
    data = HELLOS["other"]()
    connection = stage.open()
    whole = bytes(connection.segment(0, data))
    for size in range(raw_tcp.ETHERNET_SIZE, len(whole) - len(data) + 1, 3):
        stage.client.transmit(whole[:size])
    lying = bytearray(whole)
    lying[raw_tcp.ETHERNET_SIZE + (2 if stage.client.family == "ipv4" else 4)] = 0xFF
    stage.client.transmit(bytes(lying))
    connection.send(0, data)
    connection.expect(data)
    assert not stage.answer(connection, data)
    assert instance.counters()["steered"] == 0


def tagged(connection, data, vlan):
    frame = connection.segment(0, data)
    ethernet = scapy.Ether(src=frame.src, dst=frame.dst)
    return ethernet / scapy.Dot1Q(prio=5, vlan=vlan) / frame.payload


@over_both
@each_hello
def test_vlan(stage, instance, hello):
    """VLAN: what is tagged for another network is passed to it; ours goes on without."""
    data = HELLOS[hello]()
    connection = stage.open()
    connection.transmit(tagged(connection, data, VLAN))
    assert instance.counters()["steered"] == 0
    connection.send(0, data)
    connection.expect(data)
    assert stage.answer(connection, data) == (hello == "challenge")


@over_both
@each_hello
def test_priority_tag(stage, hello):
    """VLAN 0 is a priority only: as without a tag."""
    data = HELLOS[hello]()
    connection = stage.open()
    connection.transmit(tagged(connection, data, 0))
    connection.expect(data)
    assert stage.answer(connection, data) == (hello == "challenge")


@pytest.mark.parametrize("family", raw_tcp.FAMILIES)
def test_offloads(lab, nginx, instance, takeover, family):
    """GRO: with every offload on, segments arrive joined, and all go where they must."""
    for host in lab.hosts:
        lab.set_offloads(host, "on")
    instance.start("--takeover", takeover).publish(NAME)
    address = getattr(lab.server, family)
    for _ in range(4):
        assert clients.validate(lab.validator, address, NAME).protocol == clients.ACME
        assert clients.get(lab.validator, address, NAME).certificate == nginx.certificate
    assert instance.counters()["steered"] == 4
