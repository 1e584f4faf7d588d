# SPDX-License-Identifier: GPL-3.0-or-later
"""Address translation, connection tracking and firewalls on the host.

With the rules that container engines install every validation is answered and every
client of production is served, with either takeover.
"""

import pytest

from lab import networks, rules

BY_NAME = pytest.mark.parametrize("ruled", rules.ALL, ids=lambda each: each.name)
RATE = 200
COUNT = 400  # validations, over both families
MANY = 2000
VISITS, VISITS_RATE = 100, 50


def check_all(armed, loads, visits):
    """Let the loads end: nothing may have failed."""
    for load in loads:
        result = load.finish()
        assert result["failed"] == 0, f"{result['failures']}, {armed.counters()}"
    result = visits.finish()
    assert result["failed"] == 0, result["causes"]


def visit(lab, server):
    sources = (lab.validator.ipv4, lab.validator.ipv6)
    return networks.Visits(lab, server, VISITS, VISITS_RATE, sources=sources)


@pytest.mark.row("S1")
@BY_NAME
def test_rules(lab, nginx, armed, ruled):
    service = ruled.install(lab)
    loads = [networks.Validations(lab, COUNT, RATE)]
    visits = visit(lab, nginx)
    if service:
        service.check()
    check_all(armed, loads, visits)
    if service:
        service.check()
    assert armed.counters()["steered"] == COUNT


@pytest.mark.row("S1")
@pytest.mark.parametrize("family", (4, 6))
def test_docker_for_long(lab, nginx, armed, family):
    """The free lists of the kernel's slabs fill in time with what other sockets leave."""
    service = rules.DOCKER.install(lab)
    loads = [networks.Validations(lab, MANY, RATE, families=(family,))]
    visits = visit(lab, nginx)
    service.check()
    check_all(armed, loads, visits)
    assert armed.counters()["steered"] == MANY


@pytest.mark.row("S1")
def test_docker_and_cookies(lab, nginx, armed):
    """Every handshake by SYN cookies, and address translation as well."""
    rules.DOCKER.install(lab)
    lab.server.run("sysctl", "-qw", "net.ipv4.tcp_syncookies=2")
    check_all(armed, [networks.Validations(lab, COUNT, RATE)], visit(lab, nginx))
    assert armed.counters()["steered"] == COUNT


@pytest.mark.row("S1")
def test_docker_over_loopback(lab, nginx, armed):
    """The agent asks its own host before it lets the CA ask: over the loopback interface."""
    rules.DOCKER.install(lab)
    loads = [networks.Validations(lab, COUNT // 4, RATE / 4, host=lab.server)]
    check_all(armed, loads, visit(lab, nginx))


def test_strict_connection_tracking(lab, nginx, armed):
    """Connections that tracking has not seen from their SYN on are invalid to it."""
    lab.server.run("sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_loose=0")
    rules.DROP_INVALID.install(lab)
    check_all(armed, [networks.Validations(lab, COUNT, RATE)], visit(lab, nginx))
    assert armed.counters()["steered"] == COUNT
