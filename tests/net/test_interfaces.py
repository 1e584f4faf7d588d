# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces that come, go and are renamed while the responder runs."""

import attached
import certificates
import clients
import hosts
import sidestep

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


def test_comes_is_renamed_and_goes(lab, nginx, instance, way):
    instance.start("--way", way).publish(NAME)
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
