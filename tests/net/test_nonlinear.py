# SPDX-License-Identifier: GPL-3.0-or-later
"""Segments whose headers the driver left outside of the linear part of the kernel's buffer."""

import socket
import ssl

import clients
import hosts
import pytest
import scapy.all as scapy

NAME = "www.example.org"
ETH_P_ALL = 3
SOL_PACKET, PACKET_VNET_HDR = 263, 15
VNET_HDR_SIZE = 10  # struct virtio_net_hdr: all zero asks for the shortest linear part
# With its headers more than a page, below which the kernel keeps a packet socket's whole frame
# linear; without them what the second way takes in at once.
SEGMENT_SIZE = 4090
JUMBO_MTU = 9000
# Hosts that nobody has: the stack at home does not answer for them.
CLIENTS = {"ipv4": "192.0.2.77", "ipv6": "2001:db8::77"}


def client_hello():
    hello, nothing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = clients.context([clients.ACME]).wrap_bio(nothing, hello, server_hostname=NAME)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return hello.read()


class PacketClient:
    """A TCP client over a packet socket, whose frames have just the Ethernet header linear."""

    def __init__(self, lab, family):
        for host in lab.hosts:
            host.run("ip", "link", "set", "eth0", "mtu", JUMBO_MTU)
        address = CLIENTS[family]
        mac = {host: self.mac(host) for host in lab.hosts}
        lab.server.run(
            *("ip", "neighbour", "add", address, "dev", "eth0", "lladdr", mac[lab.validator])
        )
        with lab.validator.entered():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.bind(("eth0", 0))
        self.socket.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self.socket.settimeout(hosts.PATIENCE_S)
        network = {"ipv4": scapy.IP, "ipv6": scapy.IPv6}[family]
        self.headers = scapy.Ether(src=mac[lab.validator], dst=mac[lab.server]) / network(
            src=address, dst=str(getattr(lab.server, family))
        )

    @staticmethod
    def mac(host):
        words = host.run("ip", "-o", "link", "show", "dev", "eth0").stdout.split()
        return words[words.index("link/ether") + 1]

    def send(self, **tcp):
        payload = tcp.pop("payload", b"")
        segment = self.headers / scapy.TCP(sport=50000, dport=443, **tcp) / payload
        self.socket.send(bytes(VNET_HDR_SIZE) + bytes(segment))

    def receive(self):
        """The server's next segment for this client."""
        while True:
            frame = scapy.Ether(self.socket.recv(65536)[VNET_HDR_SIZE:])
            if scapy.TCP in frame and frame[scapy.TCP].sport == 443:
                return frame[scapy.TCP]


@pytest.mark.parametrize("family", CLIENTS)
def test_headers_are_read(lab, armed, family):
    client = PacketClient(lab, family)
    client.send(flags="S", seq=1000)
    answer = client.receive()
    # A ClientHello, and more behind it to fill the segment.
    data = client_hello().ljust(SEGMENT_SIZE, b"\0")
    client.send(flags="PA", seq=1001, ack=answer.seq + 1, payload=data)
    hosts.wait_for(lambda: armed.counters()["steered"] == 1, "the connection to be steered")
    with client.socket:
        assert client.receive().ack == 1001 + len(data)
