# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces that come, go and are renamed while the responder runs."""

import fcntl
import os
import select
import struct
import threading

import pytest

from lab import attached, certificates, clients, hosts, sidestep

NAME = "www.example.org"


def add_wire(lab):
    """A second wire between both hosts, on a network of its own; returns the server's address."""
    hosts.run(
        *("ip", "link", "add", "late0", "netns", lab.validator.namespace, "type", "veth"),
        *("peer", "name", "late0", "netns", lab.server.namespace),
    )
    for host, address in ((lab.validator, "198.51.100.1"), (lab.server, "198.51.100.2")):
        host.run("ip", "address", "add", f"{address}/24", "dev", "late0")
        host.run("ip", "link", "set", "late0", "up")
    return "198.51.100.2"


def wait_until_protected(instance, *names):
    def is_so():
        return sorted(instance.status()["responder"]["interfaces"]) == sorted(names)

    hosts.wait_for(is_so, f"just these interfaces to be protected: {names}")


def check_challenge(lab, address):
    answer = clients.validate(lab.validator, address, NAME)
    certificates.check_challenge(answer.certificate, NAME, sidestep.DIGEST)


def test_comes_is_renamed_and_goes(lab, nginx, instance, takeover):
    instance.start("--takeover", takeover).publish(NAME)
    wait_until_protected(instance, "lo", "eth0")

    address = add_wire(lab)
    wait_until_protected(instance, "lo", "eth0", "late0")
    check_challenge(lab, address)

    lab.server.run("ip", "link", "set", "late0", "down")
    lab.server.run("ip", "link", "set", "late0", "name", "wan0")
    lab.server.run("ip", "link", "set", "wan0", "up")
    wait_until_protected(instance, "lo", "eth0", "wan0")
    check_challenge(lab, address)
    assert clients.get(lab.validator, address, NAME).certificate == nginx.certificate

    lab.server.run("ip", "link", "delete", "wan0")
    wait_until_protected(instance, "lo", "eth0")
    check_challenge(lab, lab.server.ipv4)


def test_only_the_named(lab, nginx, instance):
    """--interface names one that goes and comes again; others are left alone."""
    address = add_wire(lab)
    instance.start("--interface", "late0").publish(NAME)
    wait_until_protected(instance, "late0")
    assert "tcx eth0" not in attached.attachments(lab.server)
    check_challenge(lab, address)

    lab.server.run("ip", "link", "delete", "late0")
    wait_until_protected(instance)
    address = add_wire(lab)
    wait_until_protected(instance, "late0")
    assert "tcx eth0" not in attached.attachments(lab.server)
    check_challenge(lab, address)


def test_end_detaches_what_came(lab, nginx, instance):
    instance.start()
    add_wire(lab)
    wait_until_protected(instance, "lo", "eth0", "late0")
    assert "tcx late0" in attached.attachments(lab.server)
    assert instance.responder.stop() == 0
    assert not attached.attachments(lab.server)


@pytest.mark.parametrize("attach", ("tcx", "clsact"))
def test_moves_to_another_host(lab, nginx, instance, attach):
    """What is attached stays here: in a container's namespace nobody would detach it."""
    instance.start("--attach", attach)
    add_wire(lab)
    wait_until_protected(instance, "lo", "eth0", "late0")
    elsewhere = lab.add_host("elsewhere", "192.0.2.9", "2001:db8::9")
    lab.server.run("ip", "link", "set", "late0", "netns", elsewhere.namespace)
    wait_until_protected(instance, "lo", "eth0")
    assert not attached.attachments(elsewhere)


class Tunnel:
    """A wire of bare IP packets between both hosts: two tun devices, and a thread that carries."""

    TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h

    def __init__(self, lab):
        self.ends = [self.open_end(host) for host in (lab.validator, lab.server)]
        for host, number in ((lab.validator, 1), (lab.server, 2)):
            host.run("ip", "address", "add", f"198.51.100.{number}/24", "dev", "tun0")
            host.run("ip", "address", "add", f"2001:db8:1::{number}/64", "dev", "tun0", "nodad")
            host.run("ip", "link", "set", "tun0", "up")
        self.wake, self.end = os.pipe()
        self.thread = threading.Thread(target=self.carry)
        self.thread.start()

    def open_end(self, host):
        with host.entered():
            end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            request = struct.pack("16sH22x", b"tun0", self.IFF_TUN | self.IFF_NO_PI)
            fcntl.ioctl(end, self.TUNSETIFF, request)
        return end

    def carry(self):
        peers = dict(zip(self.ends, reversed(self.ends)))
        while True:
            readable, _, _ = select.select([*self.ends, self.wake], [], [])
            if self.wake in readable:
                return
            for end in readable:
                os.write(peers[end], os.read(end, 65536))

    def close(self):
        os.close(self.end)
        self.thread.join()
        for descriptor in (*self.ends, self.wake):
            os.close(descriptor)


@pytest.fixture
def tunnel(lab):
    made = Tunnel(lab)
    yield made
    made.close()


def test_without_link_layer(lab, nginx, tunnel, instance, takeover):
    """Packets that begin with their IP header, as in WireGuard and other tunnels."""
    instance.start("--takeover", takeover).publish(NAME)
    wait_until_protected(instance, "lo", "eth0", "tun0")
    for address in ("198.51.100.2", "2001:db8:1::2"):
        check_challenge(lab, address)
        assert clients.get(lab.validator, address, NAME).certificate == nginx.certificate
    assert instance.counters()["steered"] == 2
