# SPDX-License-Identifier: GPL-3.0-or-later
"""What reaches the responder, and what reaches production."""

import re
import ssl

import pytest

from lab import certificates, clients, hosts, production, sidestep

NAME = "www.example.org"
OTHER = "other.example.org"
FAMILIES = ("ipv4", "ipv6")
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
REAL_CLIENTS = (clients.openssl, clients.gnutls, clients.curl)
ACME_OPTIONS = {
    clients.openssl: ("-alpn", "acme-tls/1"),
    clients.gnutls: ("--alpn", "acme-tls/1"),
}


def check_production(lab, server, family="ipv4", name=NAME):
    answer = clients.get(lab.validator, getattr(lab.server, family), name)
    assert answer.body == production.BODY
    assert answer.certificate == server.certificate


def check_challenge(lab, family="ipv4", name=NAME, **options):
    answer = clients.validate(lab.validator, getattr(lab.server, family), name, **options)
    assert answer.protocol == clients.ACME
    certificates.check_challenge(answer.certificate, name, sidestep.DIGEST)


@pytest.mark.each_engine
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("version", VERSIONS, ids=("tls12", "tls13"))
@pytest.mark.quick
def test_armed_name_is_answered(lab, nginx, armed, family, version):
    before = armed.counters()["steered"]
    check_challenge(lab, family, version=version)
    check_production(lab, nginx, family)
    assert armed.counters()["steered"] == before + 1


@pytest.mark.parametrize("family", FAMILIES)
def test_every_production_server(lab, any_production, instance, takeover, family):
    instance.start("--takeover", takeover).publish(NAME)
    check_challenge(lab, family)
    check_production(lab, any_production, family)
    instance.withdraw(NAME)
    check_production(lab, any_production, family)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("client", ACME_OPTIONS)
def test_real_client_sees_the_challenge(lab, armed, client, family):
    address = getattr(lab.server, family)
    answer = client(lab.validator, address, NAME, *ACME_OPTIONS[client])
    certificates.check_challenge(answer.certificate, NAME, sidestep.DIGEST)


def test_openssl_prints_two_extensions(lab, armed):
    shown = clients.openssl(lab.validator, lab.server.ipv4, NAME, "-alpn", "acme-tls/1")
    text = lab.validator.run(
        *("openssl", "x509", "-inform", "DER", "-noout", "-text"),
        input=shown.certificate,
        text=False,
    ).stdout.decode()
    # OpenSSL's name of the second one, or its number where it knows none.
    assert re.findall(r"^ {12}(\S.*): ?(critical)?$", text, re.MULTILINE) in (
        [("X509v3 Subject Alternative Name", ""), ("1.3.6.1.5.5.7.1.31", "critical")],
        [("X509v3 Subject Alternative Name", ""), ("acmeIdentifier", "critical")],
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("client", REAL_CLIENTS)
def test_real_client_reaches_production_while_armed(lab, nginx, armed, client, family):
    address = getattr(lab.server, family)
    assert client(lab.validator, address, NAME).certificate == nginx.certificate


# --- acme-tls/1 that is not for us ------------------------------------------------------------


def check_passed(lab, server, client, *options, name=NAME):
    answer = client(lab.validator, lab.server.ipv4, name, *options)
    assert answer.certificate == server.certificate


@pytest.mark.parametrize("alpn", ("http/1.1", "acme-tls/1,http/1.1", "http/1.1,acme-tls/1"))
def test_not_acme_alone_is_production(lab, speaking, instance, alpn):
    """acme-tls/1 among other protocols is no validation: RFC 8737 section 3."""
    instance.start().publish(NAME)
    check_passed(lab, speaking, clients.openssl, "-alpn", alpn)
    assert instance.counters()["passed_other"] == 1


@pytest.mark.parametrize("client", ACME_OPTIONS)
def test_acme_for_another_name_is_production(lab, speaking, instance, client):
    instance.start().publish(NAME)
    check_passed(lab, speaking, client, *ACME_OPTIONS[client], name=OTHER)
    assert instance.counters()["passed_not_pending"] == 1


def test_acme_without_any_name_is_production(lab, speaking, instance):
    instance.start().publish(NAME)
    check_passed(lab, speaking, clients.openssl, "-noservername", "-alpn", "acme-tls/1", name=None)


def test_withdrawn_name_is_production(lab, speaking, instance):
    instance.start().publish(NAME)
    check_challenge(lab)
    instance.withdraw(NAME)
    check_passed(lab, speaking, clients.openssl, "-alpn", "acme-tls/1")


def test_expired_name_is_production(lab, speaking, instance):
    instance.start().publish(NAME, ttl_s=1)
    hosts.wait_for(lambda: not instance.pending(), "the name to expire")
    check_passed(lab, speaking, clients.openssl, "-alpn", "acme-tls/1")


def test_nothing_pending_passes_unseen(lab, speaking, instance):
    instance.start()
    before = instance.counters()
    check_production(lab, speaking)
    check_passed(lab, speaking, clients.openssl, "-alpn", "acme-tls/1")
    assert instance.counters() == before


def test_named_interface_only(lab, speaking, instance):
    instance.start("--interface", "lo").publish(NAME)
    check_passed(lab, speaking, clients.openssl, "-alpn", "acme-tls/1")
    answer = clients.validate(lab.server, "127.0.0.1", NAME)
    certificates.check_challenge(answer.certificate, NAME, sidestep.DIGEST)


# --- how a challenge may come ------------------------------------------------------------------


@pytest.mark.parametrize("name", ("WWW.Example.ORG", "www.example.org."))
def test_name_in_any_spelling(lab, armed, name):
    answer = clients.openssl(lab.validator, lab.server.ipv4, name, "-alpn", "acme-tls/1")
    certificates.check_challenge(answer.certificate, NAME, sidestep.DIGEST)


def test_many_names(lab, nginx, instance):
    names = [f"name-{i}.example.org" for i in range(20)]
    instance.start()
    for name in names:
        instance.publish(name)
    assert sorted(instance.pending()) == sorted(names)
    for name in names:
        check_challenge(lab, name=name)
    check_production(lab, nginx)


def test_address_identifiers(lab, nginx, instance):
    """RFC 8738 section 6: the server name is the address's name for reverse lookup."""
    instance.start()
    for address in (lab.server.ipv4, lab.server.ipv6):
        instance.publish(str(address))
        answer = clients.validate(lab.validator, address, address.reverse_pointer)
        certificates.check_challenge(answer.certificate, address, sidestep.DIGEST)


def test_joined_segments(lab, nginx, armed):
    """With offloads the two segments of a long hello arrive as one."""
    for host in lab.hosts:
        lab.set_offloads(host, "on")
    check_challenge(lab)
    check_production(lab, nginx)


@pytest.mark.parametrize("family", FAMILIES)
def test_loopback(lab, nginx, armed, family):
    """A CA on the same host, by its own address and by the loopback one."""
    loopback = {"ipv4": "127.0.0.1", "ipv6": "::1"}[family]
    for address in (loopback, getattr(lab.server, family)):
        answer = clients.validate(lab.server, address, NAME)
        certificates.check_challenge(answer.certificate, NAME, sidestep.DIGEST)
        answer = clients.get(lab.server, address, NAME)
        assert answer.certificate == nginx.certificate


def test_clsact(lab, nginx, instance, takeover):
    """As on kernels without TCX."""
    instance.start("--takeover", takeover, "--attach", "clsact").publish(NAME)
    check_challenge(lab)
    check_production(lab, nginx)
