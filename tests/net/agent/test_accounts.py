# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts: binding, changing, new keys, several; revoking and deleting certificates."""

import shutil
import signal

import pytest

from lab import authority, certificates, hosts

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
        ("not base64url!", "does not contain a MAC key"),
        ("", "does not contain a MAC key"),
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


# --- an account that is there --------------------------------------------------------------------


def at(pebble, *options):
    return ("--server", pebble.url, "--cacert", pebble.cacert, *options)


def account_files(instance):
    return {path.name: path for path in (instance.state / "accounts").rglob("*.*")}


def test_account_is_shown_and_changed(lab, pebble, instance):
    run = instance.agent("show_account", *at(pebble))
    assert run.returncode == 1
    assert "there is no account in" in run.stderr and "sidestep register" in run.stderr
    made = instance.succeed(
        "register", *at(pebble, "--agree-tos", "--email", "old@example.org")
    )["account"]
    shown = instance.succeed("show_account", *at(pebble))["account"]
    assert (shown["url"], shown["status"]) == (made["url"], "valid")
    assert shown["contact"] == ["mailto:old@example.org"]
    instance.succeed("update_account", *at(pebble, "--email", "new@example.org"))
    shown = instance.succeed("show_account", *at(pebble))["account"]
    assert shown["contact"] == ["mailto:new@example.org"]
    run = instance.agent("update_account", *at(pebble))
    assert run.returncode == 2
    assert "--deactivate" in run.stderr


def test_deactivated_account(pebble, instance):
    """There is no way back, but another account with a key of its own."""
    first = instance.succeed("register", *at(pebble, "--agree-tos"))["account"]
    ended = instance.succeed("update_account", *at(pebble, "--deactivate"))["account"]
    assert ended["status"] == "deactivated"
    second = instance.succeed("register", *at(pebble, "--agree-tos"))["account"]
    assert second["new"] and second["url"] != first["url"]


def test_several_accounts(lab, pebble, ready):
    default = ready.succeed("register", *at(pebble, "--agree-tos"))["account"]
    shop = ready.succeed("register", *at(pebble, "--agree-tos", "--account", "shop"))["account"]
    assert shop["new"] and shop["url"] != default["url"]
    again = ready.succeed("show_account", *at(pebble, "--account", "shop"))["account"]
    assert again["url"] == shop["url"]
    assert ready.succeed("show_account", *at(pebble))["account"]["url"] == default["url"]
    # A certificate's order, and its renewals, are that account's: they need no other.
    ready.succeed("update_account", *at(pebble, "--deactivate"))
    run = ready.issue(pebble, NAME, options=("--account", "shop"))
    assert run.returncode == 0, run.stderr
    run = ready.agent("renew", "--force-renewal", "--cacert", pebble.cacert)
    assert run.returncode == 0, run.stderr
    run = ready.agent("show_account", *at(pebble, "--account", "../other"))
    assert run.returncode == 2


def test_new_account_key(pebble, ready):
    made = ready.succeed("register", *at(pebble, "--agree-tos"))["account"]
    key = account_files(ready)["key.pem"]
    old = key.read_bytes()
    ready.succeed("rollover", *at(pebble))
    assert key.read_bytes() != old
    assert key.stat().st_mode & 0o777 == 0o600
    assert "key.next.pem" not in account_files(ready)
    run = ready.issue(pebble, NAME)
    assert run.returncode == 0, run.stderr
    shown = ready.succeed("show_account", *at(pebble))["account"]
    assert shown["url"] == made["url"]
    # The CA has forgotten the old one.
    key.write_bytes(old)
    assert ready.agent("show_account", *at(pebble)).returncode == 1


@pytest.mark.parametrize("ca_has_heard", (False, True))
def test_new_account_key_after_a_crash(pebble, instance, ca_has_heard):
    """Both keys lie on the disk: the one that the CA knows is found, and nothing is lost."""
    made = instance.succeed("register", *at(pebble, "--agree-tos"))["account"]
    key = account_files(instance)["key.pem"]
    old = key.read_bytes()
    following = key.with_name("key.next.pem")
    if ca_has_heard:
        instance.succeed("rollover", *at(pebble))
        following.write_bytes(key.read_bytes())
        key.write_bytes(old)
    else:
        generate = ("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt")
        hosts.run(*generate, "ec_paramgen_curve:P-256", "-out", following)
    before = following.read_bytes()
    shown = instance.succeed("show_account", *at(pebble))["account"]
    assert shown["url"] == made["url"]
    if ca_has_heard:
        assert key.read_bytes() == before
        assert not following.exists()
    instance.succeed("rollover", *at(pebble))
    assert not following.exists()
    # What was left behind is used, where the CA had not heard of it.
    assert (key.read_bytes() == before) != ca_has_heard
    assert instance.succeed("show_account", *at(pebble))["account"]["url"] == made["url"]


@pytest.mark.row("A8")
@pytest.mark.parametrize("change", ("rollover", "deactivation"))
def test_changed_beside_the_daemon(ready, pebble, change):
    """`sidestep run` uses the account while another process changes its key, or ends it."""
    for name in (NAME, OTHER):
        issued(ready, pebble, name)
    ready.set_due(NAME)
    daemon = ready.host.start(
        "run",
        *(ready.programs / "sidestep", "run", "--root", ready.root, "--agree-tos"),
        *("--cacert", pebble.cacert),
    )
    daemon.wait_until(lambda: f"{NAME}: renewed" in daemon.output(), "a renewal")
    if change == "rollover":
        ready.succeed("rollover", *at(pebble))
    else:
        ready.succeed("update_account", *at(pebble, "--deactivate"))
    ready.set_due(OTHER)
    daemon.popen.send_signal(signal.SIGHUP)
    daemon.wait_until(lambda: f"{OTHER}: renewed" in daemon.output(), "another renewal")
    assert daemon.stop() == 0
    assert "0 failed" in daemon.output()


# --- revoking and deleting -----------------------------------------------------------------------


def issued(instance, pebble, name):
    run = instance.issue(pebble, name)
    assert run.returncode == 0, run.stderr
    return certificates.load(instance.live(name) / "cert.pem")[0].serial_number


def revoke(instance, pebble, name, *options):
    return instance.agent("revoke", name, "--cacert", pebble.cacert, *options)


def states(instance):
    return {entry["name"]: entry["state"] for entry in instance.succeed("plan")["plan"]}


def test_revoke(ready, pebble):
    number = issued(ready, pebble, NAME)
    other = issued(ready, pebble, OTHER)
    run = revoke(ready, pebble, NAME, "--reason", "keyCompromise")
    assert run.returncode == 0, run.stderr
    assert '"Status": "Revoked"' in revocation(pebble, number)
    assert '"Status": "Valid"' in revocation(pebble, other)
    # It is kept, but not renewed until somebody asks for it.
    assert ready.live(NAME).exists()
    assert states(ready) == {NAME: "paused", OTHER: "waiting"}
    run = revoke(ready, pebble, NAME)
    assert run.returncode == 1
    assert "revoked already" in run.stderr
    run = ready.issue(pebble, NAME, options=("--force-renewal",))
    assert run.returncode == 0, run.stderr
    assert states(ready) == {NAME: "waiting", OTHER: "waiting"}


@pytest.mark.row("A36")
@pytest.mark.parametrize("options", ((), ("--key-type", "rsa2048")))
def test_revoke_by_its_own_key(ready, pebble, options):
    """Without the account that got it, as after an import, or with another one."""
    run = ready.issue(pebble, NAME, options=options)
    assert run.returncode == 0, run.stderr
    number = ready.check_certificate(NAME, [NAME])[0].serial_number
    shutil.rmtree(ready.state / "accounts")
    if options:
        ready.succeed("register", *at(pebble, "--agree-tos"))
    run = revoke(ready, pebble, NAME, "--reason", "superseded")
    assert run.returncode == 0, run.stderr
    assert '"Status": "Revoked"' in revocation(pebble, number)
    assert (ready.state / "accounts").exists() == bool(options)


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
