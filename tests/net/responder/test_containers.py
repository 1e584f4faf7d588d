# SPDX-License-Identifier: GPL-3.0-or-later
"""--netns names a container's namespace, and the container ends or restarts."""

import time

import pytest

from lab import attached, certificates, clients, containers, hosts, production, sidestep

NAME = "www.example.org"
ADDRESSES = ("192.0.2.50", "2001:db8::50")
PAGES = 20
ENDED = 3  # exit status: the namespace has ended


def start_container(lab, name):
    """A container with a web server, whose neighbours know of its new hardware address."""
    container = lab.adopt(containers.Container(lab, name, *ADDRESSES))
    server = production.Nginx(lab, host=container)
    lab.validator.run("ip", "neigh", "flush", "dev", "eth0")
    return container, server


def check_challenge(lab, container):
    for address in (container.ipv4, container.ipv6):
        answer = clients.validate(lab.validator, address, NAME)
        certificates.check_challenge(answer.certificate, NAME, sidestep.DIGEST)


def answers(lab):
    """Whether anyone has the container's address."""
    lab.validator.run("ip", "neigh", "flush", "dev", "eth0")
    ping = lab.validator.run("ping", "-c1", "-W1", ADDRESSES[0], check=False)
    return ping.returncode == 0


def check_pages(lab, container, server):
    for address in (container.ipv4, container.ipv6):
        for _ in range(PAGES):
            assert clients.get(lab.validator, address, NAME).certificate == server.certificate


@pytest.mark.row("P1", "S5")
def test_restarts(lab, instance, takeover):
    """We let go of what is dead, and say what to do; the restarted one serves all its pages."""
    container, server = start_container(lab, "first")
    instance.start("--takeover", takeover, "--netns", container.path).publish(NAME)
    check_challenge(lab, container)
    check_pages(lab, container, server)

    container.end()
    assert instance.responder.wait() == ENDED
    output = instance.responder.output()
    assert "has ended" in output and container.path in output and "--netns" in output
    assert instance.agent("status").returncode == 1
    hosts.wait_for(lambda: not answers(lab), "the dead container's address to be free")

    container, server = start_container(lab, "second")
    check_pages(lab, container, server)
    instance.start("--takeover", takeover, "--netns", container.path)
    assert instance.pending() == [NAME]
    check_challenge(lab, container)
    check_pages(lab, container, server)


@pytest.mark.row("P1")
def test_standalone(lab, instance):
    """Where the responder is the only server, it leaves with the container all the same."""
    container = lab.adopt(containers.Container(lab, "first", *ADDRESSES))
    instance.start("--standalone", "--netns", container.path).publish(NAME)
    check_challenge(lab, container)
    container.end()
    assert instance.responder.wait() == ENDED
    hosts.wait_for(lambda: not answers(lab), "the dead container's address to be free")


@pytest.mark.row("S5")
def test_name_is_gone(lab, nginx, instance):
    """A namespace without its name lives on as long as production listens in it."""
    instance.host = lab.add_host("away", "192.0.2.9", "2001:db8::9")
    path = lab.directory / "namespace"
    path.touch()
    hosts.run("mount", "--bind", lab.server.path, path)
    instance.start("--netns", path).publish(NAME)
    hosts.run("umount", path)
    hosts.wait_for(lambda: "no longer be found" in instance.responder.output(), "a warning")
    for address in (lab.server.ipv4, lab.server.ipv6):
        answer = clients.validate(lab.validator, address, NAME)
        certificates.check_challenge(answer.certificate, NAME, sidestep.DIGEST)
    assert attached.attachments(lab.server)

    nginx.process.stop()
    assert instance.responder.wait() == ENDED
    assert not attached.attachments(lab.server)
    assert instance.run_responder("--unload").returncode == 0
    assert not [mount for mount in lab.mounts() if "bpf" in mount]


@pytest.mark.row("S5")
def test_production_restarts(lab, nginx, instance):
    """With its name a namespace stays, whether a server listens in it or not."""
    instance.start("--netns", lab.server.namespace).publish(NAME)
    nginx.process.stop()
    time.sleep(1)  # five looks at the namespace
    assert instance.responder.is_running()
    production.Nginx(lab)
    answer = clients.validate(lab.validator, lab.server.ipv4, NAME)
    certificates.check_challenge(answer.certificate, NAME, sidestep.DIGEST)
