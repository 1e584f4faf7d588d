# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent against a CA that breaks one thing at a time: see hostile_ca.py."""

import sys

import pytest

from lab import certificates, hosts, sidestep

HERE = hosts.SOURCE / "tests/lab"
PORT = 14000
NAMES = ("a.example.org", "b.example.org")

# The fault, and words that the user must be told.
REFUSED = {
    "directory-not-json": ("not an ACME directory",),
    "directory-array": ("not an ACME directory",),
    "directory-empty": ("not an ACME directory",),
    "directory-deep": ("not an ACME directory",),
    "directory-lacks-order": ("not an ACME directory",),
    "directory-plain-http": ("not an ACME directory",),
    "directory-wrong-type": ("not an ACME directory",),
    "directory-control": ("not an ACME directory",),
    "directory-huge": ("larger than",),
    "directory-headers": ("larger than",),
    "directory-redirect": ("https://elsewhere.example/directory",),
    "directory-404": ("404",),
    "directory-500": ("overloaded", "500"),
    "directory-cut": ("broke off",),
    "directory-short": ("broke off",),
    "eab": ("external account binding",),
    "nonce-none": ("gives no nonce",),
    "nonce-bad": ("gives no nonce",),
    "nonce-503": ("503", "wait until"),
    "account-no-location": ("account's URL",),
    "account-deactivated": ("deactivated",),
    "account-problem": (r"esc \x1b[31m red\x0asidestep: forged",),
    "account-problem-types": ("400",),
    "order-limited": ("limit", "wait until"),
    "order-paused": ("paused", "https://portal.example/unpause"),
    "order-rejected": ("does not issue", *NAMES),
    "order-unknown-account": ("does not know this account", "sidestep register"),
    "order-nonce-storm": ("refused every nonce",),
    "order-cut": ("broke off",),
    "order-503": ("503",),
    "order-lacks-finalize": ("lacks its finalize URL",),
    "order-lacks-status": ("unknown state",),
    "order-no-authz": ("0 authorizations",),
    "order-many-authz": ("2000 authorizations",),
    "order-authz-type": ("0 authorizations",),
    "order-authz-number": ("no https URL",),
    "order-authz-file": ("no https URL",),
    "order-status-odd": (r"odd\x1b",),
    "order-lacks-certificate": ("gives no certificate URL",),
    "order-invalid": ("CAA",),
    "authz-foreign": ("not for a name of this order",),
    "authz-wildcard": ("not for a name of this order",),
    "authz-lacks-identifier": ("not for a name of this order",),
    "authz-no-tls-alpn": ("does not offer the tls-alpn-01",),
    "authz-challenges-type": ("does not offer the tls-alpn-01",),
    "authz-token-missing": ("lacks its token",),
    "authz-token-bad": ("lacks its token",),
    "authz-url-http": ("lacks its token or URL",),
    "authz-status-odd": ("weird",),
    "authz-invalid-mute": ("invalid, and gives no reason",),
    "authz-invalid": ("production server answered", "2 of 2 names"),
    "authz-secondary": ("other places", "GeoIP"),
    "authz-one-invalid": ("does not exist in the DNS", "1 of 2 names"),
    "authz-cut": ("broke off",),
    "authz-down": ("503",),
    "challenge-refused": ("the CA refused",),
    "finalize-refused": ("certificate request",),
    "finalize-not-ready": ("not ready",),
    "finalize-cut": ("broke off",),
    "finalize-invalid": ("CAA",),
    "certificate-other-key": ("another key",),
    "certificate-other-names": ("lacks one of the names",),
    "certificate-expired": ("already expired", "clock"),
    "certificate-404": ("No such certificate",),
    "certificate-garbage": ("cannot be read",),
    "certificate-empty": ("cannot be read",),
    "certificate-with-key": ("cannot be read",),
    "certificate-cut-off": ("cannot be read",),
    "certificate-many": ("cannot be read",),
    "certificate-binary": ("cannot be read",),
}

# What a good client bears.
BORNE = (
    "none",
    "directory-meta-array",
    "account-not-json",
    "authz-slow",
    "authz-flaky",
    "authz-long",
    "challenge-flaky",
    "finalize-lost",
    "issue-slow",
    "certificate-flaky",
    "certificate-crlf",
    "certificate-no-line-feed",
    "certificate-leaf-only",
)


class HostileCa:
    def __init__(self, lab):
        self.host = lab.validator
        self.identity = certificates.SelfSigned(lab.directory / "hostile", self.host.ipv4)
        process = self.host.start(
            "hostile-ca",
            *(sys.executable, HERE / "hostile_ca.py", self.host.ipv4, PORT),
            *(self.identity.cert_file, self.identity.key_file),
        )
        process.wait_until(lambda: self.host.listens(PORT), "its port")
        self.cacert = self.identity.cert_file
        self.url = None

    def with_fault(self, fault):
        self.url = f"https://{self.host.ipv4}:{PORT}/{fault}/directory"
        return self


@pytest.fixture(scope="module")
def place():
    """One lab for all faults: each has a URL, and so an account, of its own."""
    lab = hosts.Lab()
    try:
        yield sidestep.Sidestep(lab).start(), HostileCa(lab)
    finally:
        problems = lab.close()
    assert not problems


def certificate_files(instance):
    if not instance.state.exists():
        return []
    # An order that stays at the CA keeps its key, in staging/.
    names = [name for name in instance.files() if name.startswith(("live/", "archive/"))]
    return [name for name in names if name != "archive/refused" and "/staging" not in name]


@pytest.mark.parametrize("fault", REFUSED)
def test_refused(place, fault):
    instance, ca = place
    before = certificate_files(instance)
    run = instance.issue(ca.with_fault(fault), *NAMES, options=["--cert-name", "refused"])
    assert run.returncode == 1, run.stdout + run.stderr
    for word in (*REFUSED[fault], "next: "):
        assert word in run.stderr
    assert "anitizer" not in run.stderr
    assert not instance.pending()
    assert certificate_files(instance) == before


@pytest.mark.parametrize("fault", BORNE)
def test_borne(place, fault):
    instance, ca = place
    run = instance.issue(ca.with_fault(fault), *NAMES, options=["--cert-name", fault])
    assert run.returncode == 0, run.stdout + run.stderr
    assert "anitizer" not in run.stderr
    assert not instance.pending()
    instance.check_certificate(fault, NAMES)
