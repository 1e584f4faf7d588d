# SPDX-License-Identifier: GPL-3.0-or-later
"""The wire that the other tests of this folder use does what the tests ask for, and nothing else."""

import re
import socket
import subprocess
import sys
import time

import pytest

from lab import clients, hosts, networks, production

VISITS, RATE = 40, 80
ETH_P_ALL, SO_RCVBUFFORCE = 3, 33
SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23
FRAME_MAX = 1514
BULK_SIZE = 4 << 20
TRACE = re.compile(r"\S+ (\S+#\d+) port \d+ ([cs]\d+) \S+ seq \d+ ack \d+ size \d+ ?(.*)")


def visit(network, server, **options):
    """Clients of production, all served; what the wire has counted."""
    result = networks.Visits(network, server, VISITS, RATE, **options).finish()
    assert result["failed"] == 0, result["causes"]
    return result


@pytest.mark.quick
def test_whole(make_network):
    network = make_network()
    server = production.Nginx(network)
    visit(network, server)
    counts = network.stop_wire()
    for host in ("client", "server"):
        assert counts[host].pop("segments") > 5 * VISITS
        assert counts[host].pop("other") < VISITS
        assert not any(counts[host].values())


def fates(network, server, path):
    """What became of each segment of some connections."""
    network.impair("--seed", 7, "--loss", 2, "--duplicate", 10, "--trace", path)
    visit(network, server)
    network.stop_wire()
    lines = [TRACE.fullmatch(line) for line in path.read_text().splitlines()]
    return {match.group(1, 2): match.group(3) for match in lines}


def test_same_seed_same_fates(make_network):
    """Of a connection's segment of the same number, in another network as well."""
    found = []
    for name in ("one", "other"):
        network = make_network(name)
        server = production.Nginx(network)
        found.append(fates(network, server, network.directory / "trace"))
    one, other = found
    common = one.keys() & other.keys()
    assert len(common) > 10 * VISITS
    assert all(one[key] == other[key] for key in common)
    assert {fate for fate in one.values()} >= {"", "lost", "duplicated"}


@pytest.mark.parametrize("which,host", (("c1", "client"), ("s0", "server")))
def test_chosen_segments(make_network, which, host):
    network = make_network()
    server = production.Nginx(network)
    network.impair("--lose", which)
    visit(network, server)
    assert network.stop_wire()[host]["lost"] == VISITS


def test_corruption_is_seen_by_checksums(make_network):
    """By both hosts: IPv4's header checksum, or TCP's."""
    network = make_network()
    server = production.Nginx(network)
    network.impair("--corrupt", 5)
    visit(network, server)
    counts = network.stop_wire()
    for host in (network.validator, network.server):
        words = host.run("nstat", "-asz", "TcpInCsumErrors", "IpInHdrErrors").stdout.split()
        seen = [int(words[words.index(name) + 1]) for name in ("TcpInCsumErrors", "IpInHdrErrors")]
        assert sum(seen) > 0, counts


def test_delay(make_network):
    network = make_network()
    server = production.Nginx(network)
    network.impair("--delay", 60, "--jitter", 10)
    # Connection, handshake and request: three round trips of 100 to 140 ms.
    assert visit(network, server)["p50_ms"] > 300


def test_late_segments_are_overtaken(make_network):
    network = make_network()
    server = production.Nginx(network)
    network.impair("--late", 20)
    visit(network, server)
    assert network.stop_wire()["client"]["late"] > VISITS / 4
    words = network.server.run("nstat", "-asz", "TcpExtTCPOFOQueue").stdout.split()
    assert int(words[words.index("TcpExtTCPOFOQueue") + 1]) > 0


def frame_sizes(host):
    """A socket that sees all that comes to a host, behind its receive offload."""
    with host.entered():
        watcher = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    watcher.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    watcher.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 * BULK_SIZE)
    watcher.bind(("eth0", 0))
    watcher.setblocking(False)
    return watcher


@pytest.mark.parametrize("offloads", ("off", "on"))
def test_offloads(make_network, offloads):
    """With them one host sends long segments, the wire carries short ones, the other merges them."""
    network = make_network(offloads=offloads)
    server = production.Nginx(network)
    (server.directory / "bulk").write_bytes(bytes(BULK_SIZE))
    with frame_sizes(network.validator) as watcher:
        answer = clients.get(network.validator, network.server.ipv4, networks.NAME, path="/bulk")
        assert len(answer.body) == BULK_SIZE
        longest = 0
        while True:
            try:
                longest = max(longest, watcher.recv_into(bytearray(1 << 17)))
            except BlockingIOError:
                break
    assert (longest > FRAME_MAX) == (offloads == "on")
    assert (network.stop_wire()["server"]["cut"] > 0) == (offloads == "on")


def test_ends_with_its_parent(make_network):
    network = make_network()
    network.stop_wire()
    words = [str(networks.FORWARDER), "validator", "server"]
    script = f"import subprocess, time; subprocess.Popen({words}); time.sleep({hosts.PATIENCE_S})"
    with subprocess.Popen(network.wire.enter(sys.executable, "-c", script)) as parent:
        hosts.wait_for(lambda: len(network.wire.processes()) == 2, "the forwarder")
        time.sleep(0.1)  # until it has asked to be told of its parent's end
        parent.kill()
    hosts.wait_for(lambda: not network.wire.processes(), "the forwarder's end")
