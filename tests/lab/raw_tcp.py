# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP client that decides on each segment itself: over a packet socket, by scapy.

It answers as a client's stack would: it acknowledges what it gets in order, and sends again
what is not acknowledged.  Its frames have just the Ethernet header in the linear part of the
kernel's buffer, where they are long enough for that.
"""

import random
import socket
import struct
import time

import scapy.all as scapy

ETH_P_ALL = 3
SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23
VNET_HDR = bytes(10)  # struct virtio_net_hdr: all zero asks for the shortest linear part
ETHERNET_SIZE, IPV6_SIZE = 14, 40
FIRST_PORT = 20000
MSS = 1400
RETRANSMIT_S = 0.3  # doubled each time
FIN, SYN, RST, ACK = 1, 2, 4, 16
FAMILIES = ("ipv4", "ipv6")
# Hosts that nobody has: the stack at home does not answer for them.
CLIENTS = {"ipv4": "192.0.2.77", "ipv6": "2001:db8::77"}


def mac(host, device="eth0"):
    words = host.run("ip", "-o", "link", "show", "dev", device).stdout.split()
    return words[words.index("link/ether") + 1]


class PacketClient:
    """One address on the validator's side of the wire; its socket is `fileno()`."""

    def __init__(self, lab, family):
        self.family = family
        self.connections = {}
        self.next_port = FIRST_PORT
        address = CLIENTS[family]
        macs = [mac(host) for host in (lab.validator, lab.server)]
        lab.server.run("ip", "neighbour", "replace", address, "dev", "eth0", "lladdr", macs[0])
        with lab.validator.entered():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.bind(("eth0", 0))
        self.socket.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.setblocking(False)
        self.ethernet = scapy.Ether(src=macs[0], dst=macs[1])
        network = {"ipv4": scapy.IP, "ipv6": scapy.IPv6}[family]
        self.network = network(src=address, dst=str(getattr(lab.server, family)))

    def fileno(self):
        return self.socket.fileno()

    def close(self):
        self.socket.close()

    def connect(self, port=443, **syn):
        """Send a SYN; the connection answers the SYN-ACK once it comes."""
        connection = Connection(self, self.next_port, port)
        self.connections[self.next_port] = connection
        self.next_port += 1
        connection.transmit(connection.segment(0, flags="S", **syn))
        return connection

    def transmit(self, frame, vnet_header=VNET_HDR):
        """A frame, from its Ethernet header on."""
        self.socket.send(vnet_header + bytes(frame))

    def receive(self):
        """Take all that has come."""
        while True:
            try:
                frame = self.socket.recv(65536)[len(VNET_HDR) + ETHERNET_SIZE :]
            except BlockingIOError:
                return
            tcp = self.tcp_of(frame)
            connection = self.connections.get(int.from_bytes(tcp[2:4], "big"))
            if connection:
                connection.take(tcp)

    def tcp_of(self, packet):
        """The TCP segment of a packet of this client's family; else nothing."""
        version = packet[0] >> 4
        if (version, self.family) == (4, "ipv4") and packet[9] == socket.IPPROTO_TCP:
            return packet[(packet[0] & 15) << 2 : int.from_bytes(packet[2:4], "big")]
        if (version, self.family) == (6, "ipv6") and packet[6] == socket.IPPROTO_TCP:
            return packet[IPV6_SIZE : IPV6_SIZE + int.from_bytes(packet[4:6], "big")]
        return b""

    def tick(self):
        for connection in list(self.connections.values()):
            connection.tick()


class Connection:
    """One connection of it.  Offsets count the bytes of the stream that the client sends."""

    def __init__(self, client, source, target):
        self.client = client
        self.ports = (source, target)
        self.isn = random.getrandbits(32)
        self.next_seq = None  # what the server is to send next; None before its SYN-ACK
        self.synack_options = b""
        self.stream = b""  # sent in all: what is sent again when it gets lost
        self.acknowledged = 0
        self.received = b""
        self.is_reset = self.is_closed = False
        self.lost_synacks = 0  # so many do not arrive
        self.on_open = None  # called once at the SYN-ACK; without it a bare ACK is sent
        self.retransmit_at = float("inf")
        self.retransmit_s = RETRANSMIT_S

    @property
    def is_open(self):
        return self.next_seq is not None

    def segment(self, offset, payload=b"", flags="PA", **tcp):
        """A segment to be bent, for transmit()."""
        begin = 0 if "S" in flags else 1
        header = scapy.TCP(
            sport=self.ports[0],
            dport=self.ports[1],
            flags=flags,
            seq=(self.isn + begin + offset) % 2**32,
            ack=self.next_seq or 0,
            window=65535,
            **tcp,
        )
        return self.client.ethernet / self.client.network.copy() / header / payload

    def transmit(self, frame):
        self.client.transmit(frame)

    def acknowledge(self):
        self.transmit(self.segment(self.sent, flags="A"))

    @property
    def sent(self):
        return min(self.acknowledged, len(self.stream))

    def send(self, offset, payload, **tcp):
        self.transmit(self.segment(offset, payload, **tcp))

    def expect(self, stream):
        """All of this is to arrive; from now on what is missing is sent again."""
        self.stream = stream
        self.retransmit_at = time.monotonic() + self.retransmit_s

    def end(self):
        """Reset it, and know it no more."""
        self.transmit(self.segment(self.acknowledged, flags="RA"))
        del self.client.connections[self.ports[0]]

    def take(self, tcp):
        """One of the server's segments."""
        _, _, seq, ack = struct.unpack_from(">HHII", tcp)
        header_size, flags = tcp[12] >> 4 << 2, tcp[13]
        payload = tcp[header_size:]
        if flags & RST:
            self.is_reset = True
            return
        if flags & SYN:
            self.open(seq, tcp[20:header_size])
            return
        if not self.is_open:
            return
        acknowledged = (ack - self.isn - 1) % 2**32
        if self.acknowledged < acknowledged <= len(self.stream):
            self.acknowledged = acknowledged
            self.retransmit_s = RETRANSMIT_S
            self.retransmit_at = time.monotonic() + RETRANSMIT_S
        skip = (self.next_seq - seq) % 2**32
        if payload and skip < len(payload):
            self.received += payload[skip:]
            self.next_seq = (self.next_seq + len(payload) - skip) % 2**32
        if flags & FIN and (seq + len(payload)) % 2**32 == self.next_seq:
            self.is_closed = True
        if payload:
            self.acknowledge()

    def open(self, seq, options):
        if self.lost_synacks:
            self.lost_synacks -= 1
            return
        first = not self.is_open
        if first:
            self.next_seq = (seq + 1) % 2**32
            self.synack_options = options
        if first and self.on_open:
            self.on_open()
        else:
            self.acknowledge()

    def tick(self):
        """Send again what was not acknowledged in time."""
        now = time.monotonic()
        if now < self.retransmit_at or self.acknowledged >= len(self.stream) or self.is_reset:
            return
        self.retransmit_s *= 2
        self.retransmit_at = now + self.retransmit_s
        self.send(self.acknowledged, self.stream[self.acknowledged : self.acknowledged + MSS])
