# SPDX-License-Identifier: GPL-3.0-or-later
"""What is watched: ports, addresses, and the namespace in which production listens."""

import ipaddress
import ssl

from lab import attached, certificates, clients, production, sidestep

NAME = "www.example.org"
SECOND = ipaddress.ip_address("192.0.2.3")
SECOND6 = ipaddress.ip_address("2001:db8::3")


def is_challenge(lab, address, port=443):
    """Who answers a validator here: Sidestep, or production, which has no such protocol."""
    try:
        answer = clients.validate(lab.validator, address, NAME, port=port)
    except ssl.SSLError:
        return False
    certificates.check_challenge(answer.certificate, NAME, sidestep.DIGEST)
    return True


def check_production(lab, server, *targets):
    for address, port in targets:
        answer = clients.get(lab.validator, address, NAME, port=port)
        assert answer.certificate == server.certificate


def test_several_ports(lab, instance, takeover):
    server = production.Nginx(lab, ports=(443, 8443, 9443))
    instance.start("--takeover", takeover, "--port", "443", "--port", "8443").publish(NAME)
    assert instance.status()["responder"]["ports"] == [443, 8443]
    for address in (lab.server.ipv4, lab.server.ipv6):
        answers = [is_challenge(lab, address, port) for port in (443, 8443, 9443)]
        assert answers == [True, True, False]
        check_production(lab, server, *((address, port) for port in (443, 8443, 9443)))


def test_only_some_addresses(lab, nginx, instance, takeover):
    for address, bits in ((SECOND, 24), (SECOND6, 64)):
        lab.server.run("ip", "address", "add", f"{address}/{bits}", "dev", "eth0", "nodad")
    instance.start("--takeover", takeover, "--address", SECOND, "--address", lab.server.ipv6).publish(NAME)
    assert instance.status()["responder"]["addresses"] == [str(SECOND), str(lab.server.ipv6)]
    assert is_challenge(lab, SECOND)
    assert is_challenge(lab, lab.server.ipv6)
    before = instance.counters()
    assert not is_challenge(lab, lab.server.ipv4)
    assert not is_challenge(lab, SECOND6)
    check_production(lab, nginx, (lab.server.ipv4, 443), (SECOND6, 443))
    assert instance.counters() == before  # not even looked at
    check_production(lab, nginx, (SECOND, 443), (lab.server.ipv6, 443))


def test_other_namespace(lab, nginx, instance, takeover):
    """The responder starts where nothing listens, and steers where production does."""
    elsewhere = lab.add_host("elsewhere", "192.0.2.9", "2001:db8::9")
    instance.host = elsewhere
    instance.start("--takeover", takeover, "--netns", lab.server.namespace).publish(NAME)
    assert instance.status()["responder"]["netns"] == lab.server.namespace
    assert not attached.attachments(elsewhere)
    assert attached.attachments(lab.server)
    for address in (lab.server.ipv4, lab.server.ipv6):
        assert is_challenge(lab, address)
    check_production(lab, nginx, (lab.server.ipv4, 443), (lab.server.ipv6, 443))

    instance.responder.kill()
    run = instance.run_responder("--unload")
    assert run.returncode == 1
    assert "--netns" in run.stderr
    run = instance.run_responder("--unload", "--netns", lab.server.path)
    assert run.returncode == 0, run.stderr
    assert not attached.attachments(lab.server)
