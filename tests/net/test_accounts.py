# SPDX-License-Identifier: GPL-3.0-or-later
"""External account binding; revoking and deleting certificates."""

import authority
import certificates
import pytest

NAME = "www.example.org"
OTHER = "shop.example.org"
KEY_ID = "kid-1"
# From Pebble's documentation of its configuration.
MAC_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
BINDING = {
    "externalAccountBindingRequired": True,
    "externalAccountMACKeys": {KEY_ID: MAC_KEY},
}


@pytest.fixture
def ready(lab, dns, nginx, instance):
    for name in (NAME, OTHER):
        dns.set(name, lab.server.ipv4)
    return instance.start()


def revocation(pebble, number):
    """What Pebble's management interface says of a serial number: its status."""
    output = pebble.host.run(
        *("curl", "-sS", "--cacert", pebble.cacert),
        f"https://{pebble.host.ipv4}:15000/cert-status-by-serial/{number:x}",
    )
    return output.stdout


# --- external account binding ------------------------------------------------------------------


@pytest.fixture
def binding_pebble(lab, dns):
    return authority.Pebble(lab, settings=BINDING)


def key_file(lab, text):
    path = lab.directory / "mac-key"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_binding(lab, ready, binding_pebble):
    options = ("--eab-kid", KEY_ID, "--eab-hmac-key-file", key_file(lab, f"{MAC_KEY}\n"))
    run = ready.issue(binding_pebble, NAME, options=options)
    assert run.returncode == 0, run.stderr
    # The account is there now, and needs no binding again.
    run = ready.issue(binding_pebble, OTHER)
    assert run.returncode == 0, run.stderr


def test_binding_is_asked_for(ready, binding_pebble):
    run = ready.issue(binding_pebble, NAME)
    assert run.returncode == 1
    assert "external account binding" in run.stderr and "--eab-kid" in run.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    (
        (MAC_KEY[::-1], "the CA says: "),
        ("not base64url!", "holds no MAC key"),
        ("", "holds no MAC key"),
    ),
)
def test_wrong_binding(lab, ready, binding_pebble, text, words):
    options = ("--eab-kid", KEY_ID, "--eab-hmac-key-file", key_file(lab, text))
    run = ready.issue(binding_pebble, NAME, options=options)
    assert run.returncode == 1
    assert words in run.stderr and "next: " in run.stderr


def test_secret_on_the_command_line(ready, binding_pebble):
    options = ("--eab-kid", KEY_ID, "--eab-hmac-key", MAC_KEY)
    run = ready.issue(binding_pebble, NAME, options=options)
    assert run.returncode == 2
    assert "--eab-hmac-key-file" in run.stderr
    assert MAC_KEY not in run.stdout + run.stderr


# --- revoking and deleting -----------------------------------------------------------------------


def issued(instance, pebble, name):
    run = instance.issue(pebble, name)
    assert run.returncode == 0, run.stderr
    return certificates.load(instance.live(name) / "cert.pem")[0].serial_number


def revoke(instance, pebble, name, *options):
    return instance.agent("revoke", name, "--cacert", pebble.cacert, *options)


def test_revoke(ready, pebble):
    number = issued(ready, pebble, NAME)
    other = issued(ready, pebble, OTHER)
    run = revoke(ready, pebble, NAME, "--reason", "keyCompromise")
    assert run.returncode == 0, run.stderr
    assert '"Status": "Revoked"' in revocation(pebble, number)
    assert '"Status": "Valid"' in revocation(pebble, other)
    # It is kept, but not renewed until somebody asks for it.
    assert ready.live(NAME).exists()
    plan = [entry["name"] for entry in ready.succeed("plan")["plan"]]
    assert plan == [OTHER]
    run = revoke(ready, pebble, NAME)
    assert run.returncode == 1
    assert "revoked already" in run.stderr
    run = ready.issue(pebble, NAME, options=("--force-renewal",))
    assert run.returncode == 0, run.stderr
    plan = [entry["name"] for entry in ready.succeed("plan")["plan"]]
    assert sorted(plan) == [OTHER, NAME]


def test_revoke_what_is_not_there(ready, pebble):
    run = revoke(ready, pebble, NAME)
    assert run.returncode == 1
    assert f"there is no certificate called {NAME}" in run.stderr
    issued(ready, pebble, NAME)
    run = revoke(ready, pebble, NAME, "--reason", "boredom")
    assert run.returncode == 2
    assert "there is no revocation reason 'boredom'" in run.stderr


def test_delete(ready, pebble):
    issued(ready, pebble, NAME)
    ready.issue(pebble, NAME, options=("--force-renewal",))
    issued(ready, pebble, OTHER)
    run = ready.agent("delete", NAME)
    assert run.returncode == 0, run.stderr
    left = [path for path in ready.files() if NAME in path]
    assert not left
    ready.check_certificate(OTHER, [OTHER])
    assert [entry["name"] for entry in ready.succeed("plan")["plan"]] == [OTHER]
    run = ready.agent("delete", NAME)
    assert run.returncode == 1
    assert f"there is no certificate called {NAME}" in run.stderr
    issued(ready, pebble, NAME)
