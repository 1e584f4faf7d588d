# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab itself: without Sidestep everything reaches production, by every client."""

import pytest

from lab import clients, production


@pytest.mark.parametrize("family", ("ipv4", "ipv6"))
@pytest.mark.quick
def test_production_alone(lab, any_production, family):
    address = getattr(lab.server, family)
    answer = clients.get(lab.validator, address, "www.example.org")
    assert answer.body == production.BODY
    assert answer.certificate == any_production.certificate


@pytest.mark.parametrize("client", (clients.openssl, clients.gnutls, clients.curl))
def test_clients(lab, nginx, client):
    for address in (lab.server.ipv4, lab.server.ipv6):
        assert client(lab.validator, address, "www.example.org").certificate == nginx.certificate


def test_authorities_start(any_authority):
    output = any_authority.host.run(
        "curl", "-sSf", "--cacert", any_authority.cacert, any_authority.url
    )
    assert '"newOrder"' in output.stdout
    assert "BEGIN CERTIFICATE" in any_authority.roots()
