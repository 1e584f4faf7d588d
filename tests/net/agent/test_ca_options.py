# SPDX-License-Identifier: GPL-3.0-or-later
"""What a CA offers beside the usual: certificate profiles, other chains, validations that are known."""

import time

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from lab import authority, certificates

NAME = "www.example.org"
OTHER = "shop.example.org"
DAY_S = 86400
PROFILES = {
    "classic": {"description": "90 days", "validityPeriod": 90 * DAY_S},
    "shortlived": {"description": "six days", "validityPeriod": 6 * DAY_S},
}


@pytest.fixture
def choices(lab, dns):
    return authority.Pebble(
        lab, settings={"profiles": PROFILES}, PEBBLE_ALTERNATE_ROOTS="2", PEBBLE_AUTHZREUSE="100"
    )


@pytest.fixture
def ready(lab, dns, nginx, instance):
    for name in (NAME, OTHER):
        dns.set(name, lab.server.ipv4)
    return instance.start()


def life_s(instance, name):
    leaf = certificates.load(instance.live(name) / "cert.pem")[0]
    return (leaf.not_valid_after - leaf.not_valid_before).total_seconds()


def root_name(ca, index):
    output = ca.host.run(
        *("curl", "-sSf", "--cacert", ca.cacert), f"https://{ca.host.ipv4}:15000/roots/{index}"
    )
    root = x509.load_pem_x509_certificate(output.stdout.encode())
    return root.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


def issuer(instance, name):
    last = certificates.load(instance.live(name) / "fullchain.pem")[-1]
    return last.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


def test_profiles(ready, choices):
    """A required profile is ordered or nothing is, a preferred one where it is there."""
    run = ready.issue(choices, NAME, options=("--required-profile", "shortlived"))
    assert run.returncode == 0, run.stderr
    assert abs(life_s(ready, NAME) - 6 * DAY_S) < DAY_S
    # Under ten days: renewed at half of its life.
    (entry,) = ready.succeed("plan")["plan"]
    assert 2.4 * DAY_S < entry["at"] - time.time() < 3.6 * DAY_S
    orders = choices.orders()
    run = ready.issue(choices, OTHER, options=("--required-profile", "forever"))
    assert run.returncode == 1
    assert "no certificate profile 'forever'; it offers: " in run.stderr
    assert "classic" in run.stderr and "shortlived" in run.stderr
    assert choices.orders() == orders and not ready.live(OTHER).exists()
    run = ready.issue(choices, OTHER, options=("--preferred-profile", "forever"))
    assert run.returncode == 0, run.stderr
    # It stays what is wanted of the certificate.
    renewed = ready.agent(
        *("renew", "--force-renewal", "--cert-name", NAME, "--cacert", choices.cacert), timeout=120
    )
    assert renewed.returncode == 0, renewed.stderr
    assert abs(life_s(ready, NAME) - 6 * DAY_S) < DAY_S


def test_chains(ready, choices):
    """The chain of the preferred root, also when it is renewed; else the CA's usual one."""
    usual, other = root_name(choices, 0), root_name(choices, 2)
    assert usual != other
    run = ready.issue(choices, NAME, options=("--preferred-chain", other))
    assert run.returncode == 0, run.stderr
    assert issuer(ready, NAME) == other
    renewed = ready.agent(
        *("renew", "--force-renewal", "--cacert", choices.cacert), timeout=120
    )
    assert renewed.returncode == 0, renewed.stderr
    assert issuer(ready, NAME) == other
    run = ready.issue(choices, OTHER, options=("--preferred-chain", "Nobody's Root"))
    assert run.returncode == 0, run.stderr
    assert "the CA offers no chain whose last certificate is issued by 'Nobody's Root'" in run.stderr
    assert issuer(ready, OTHER) == usual


def test_known_validation(ready, choices):
    """A name whose authorization the CA still has is not validated again."""
    run = ready.issue(choices, NAME)
    assert run.returncode == 0, run.stderr
    steered = ready.counters()["steered"]
    assert steered >= 1
    run = ready.issue(choices, NAME, options=("--force-renewal",))
    assert run.returncode == 0, run.stderr
    assert ready.counters()["steered"] == steered
    ready.check_certificate(NAME, [NAME])
