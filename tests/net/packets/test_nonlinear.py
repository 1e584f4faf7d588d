# SPDX-License-Identifier: GPL-3.0-or-later
"""Segments whose headers the driver left outside of the linear part of the kernel's buffer."""

import pytest

from lab import clients, hosts, raw_tcp

NAME = "www.example.org"
# With its headers more than a page, below which the kernel keeps a packet socket's whole frame
# linear; without them what the repair takeover takes in at once.
SEGMENT_SIZE = 4090
JUMBO_MTU = 9000


@pytest.mark.parametrize("family", raw_tcp.FAMILIES)
def test_headers_are_read(lab, armed, family):
    for host in lab.hosts:
        host.run("ip", "link", "set", "eth0", "mtu", JUMBO_MTU)
    client = raw_tcp.PacketClient(lab, family)
    connection = client.connect()
    connection.on_open = lambda: None  # its first segment is the first data

    def happens(condition):
        def ask():
            client.receive()
            return condition()

        return ask

    hosts.wait_for(happens(lambda: connection.is_open), "the SYN-ACK")
    # A ClientHello, and more behind it to fill the segment.
    data = clients.client_hello(NAME).ljust(SEGMENT_SIZE, b"\0")
    connection.stream = data
    connection.send(0, data)
    hosts.wait_for(lambda: armed.counters()["steered"] == 1, "the connection to be steered")
    hosts.wait_for(happens(lambda: connection.acknowledged == len(data)), "an acknowledgment")
    client.close()
