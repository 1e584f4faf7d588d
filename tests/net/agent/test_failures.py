# SPDX-License-Identifier: GPL-3.0-or-later
"""When the agent cannot: it says why and what next, and leaves nothing armed or half-written."""

import os

import pytest

from lab import authority, certificates, clients, sidestep

NAME = "www.example.org"


def check_failure(instance, run, *words, status=1):
    """It failed with these words, a next step, nothing armed, and no certificate on disk."""
    assert run.returncode == status, run.stdout + run.stderr
    for word in words:
        assert word in run.stderr
    if status == 1:
        assert "next: " in run.stderr
    assert "anitizer" not in run.stderr
    if instance.responder and instance.responder.is_running():
        assert not instance.pending()
    if instance.state.exists():
        parts = [name for name in instance.files() if name.startswith(("live/", "archive/"))]
        assert not parts


@pytest.fixture
def ready(lab, dns, nginx, instance):
    """All is well, up to the CA."""
    dns.set(NAME, lab.server.ipv4)
    return instance.start()


def test_wrong_server_path(ready, pebble):
    pebble.url += "ectory"
    check_failure(ready, ready.issue(pebble, NAME), pebble.url)


def test_server_is_no_acme_server(lab, ready, pebble, nginx):
    """It is nginx, which answers anything with a page."""
    pebble.url = f"https://{lab.server.ipv4}/directory"
    pebble.cacert = nginx.identity.cert_file
    check_failure(ready, ready.issue(pebble, NAME), pebble.url, "directory")


def test_server_is_down(lab, ready, pebble):
    pebble.process.stop()
    check_failure(ready, ready.issue(pebble, NAME), str(lab.validator.ipv4))


def test_server_without_tls(ready, pebble):
    pebble.url = pebble.url.replace("https://", "http://")
    check_failure(ready, ready.issue(pebble, NAME), "https://", status=2)


def test_unknown_server_certificate(lab, ready, pebble):
    """Trusted is the certificate of someone else."""
    pebble.cacert = certificates.SelfSigned(lab.directory / "other", "other").cert_file
    check_failure(ready, ready.issue(pebble, NAME), "certificate", "--cacert")


def test_expired_server_certificate(lab, dns, ready):
    identity = certificates.SelfSigned(lab.directory / "old", lab.validator.ipv4, expired=True)
    old = authority.Pebble(lab, identity=identity)
    check_failure(ready, ready.issue(old, NAME), "expired")


def test_server_of_another_name(lab, dns, ready):
    identity = certificates.SelfSigned(lab.directory / "alien", "ca.example.org")
    alien = authority.Pebble(lab, identity=identity)
    check_failure(ready, ready.issue(alien, NAME), "certificate")


def test_missing_cacert_file(lab, ready, pebble):
    pebble.cacert = lab.directory / "nosuch.pem"
    check_failure(ready, ready.issue(pebble, NAME), "nosuch.pem")


def test_cacert_is_no_certificate(lab, ready, pebble):
    pebble.cacert = lab.directory / "text.pem"
    pebble.cacert.write_text("no certificate\n")
    check_failure(ready, ready.issue(pebble, NAME), "text.pem")


def test_without_agreement(ready, pebble):
    run = ready.agent(
        *("certonly", "--server", pebble.url, "--cacert", pebble.cacert, "-d", NAME)
    )
    # Pebble has terms of service.
    check_failure(ready, run, "--agree-tos")


def test_no_responder(lab, dns, pebble, nginx, instance):
    dns.set(NAME, lab.server.ipv4)
    check_failure(instance, instance.issue(pebble, NAME), "no sidestep-responder is running")
    assert "POST" not in pebble.process.output()


def test_responder_has_ended(ready, pebble):
    ready.responder.stop()
    check_failure(ready, ready.issue(pebble, NAME), "no sidestep-responder is running")
    assert "POST" not in pebble.process.output()


def test_missing_table(ready, pebble):
    (ready.root / "run/sidestep/challenges").unlink()
    check_failure(ready, ready.issue(pebble, NAME), "challenge table", "challenges")
    assert "POST" not in pebble.process.output()


def test_damaged_table(ready, pebble):
    (ready.root / "run/sidestep/challenges").write_bytes(b"no table" * 512)
    run = ready.issue(pebble, NAME)
    assert run.returncode == 1
    assert "challenge table" in run.stderr and "next: " in run.stderr
    assert "POST" not in pebble.process.output()


def test_ordinary_user(ready, pebble):
    """Neither root nor in the responder's group."""
    run = ready.issue(pebble, NAME, user=sidestep.STRANGER)
    check_failure(ready, run, "permission", "group")
    assert "POST" not in pebble.process.output()


def test_ordinary_user_cannot_publish(lab, nginx, ready):
    run = ready.agent(
        *("publish", NAME, "--key-authorization", sidestep.KEY_AUTHORIZATION),
        user=sidestep.STRANGER,
    )
    check_failure(ready, run, "permission", "group")


def test_unwritable_directory(ready, pebble):
    """In the group, but the state directory is root's."""
    ready.state.mkdir(parents=True)
    run = ready.issue(pebble, NAME, user=sidestep.STRANGER, group=sidestep.GROUP)
    check_failure(ready, run, str(ready.state))
    assert "order" not in pebble.process.output().lower().split("listening")[-1]
    assert not ready.files()


def test_file_in_the_way(ready, pebble):
    """Where the certificate would go is a file: found out before the CA is asked for anything."""
    ready.state.mkdir(parents=True)
    (ready.state / "archive").write_text("in the way\n")
    run = ready.issue(pebble, NAME)
    assert run.returncode == 1
    assert str(ready.state) in run.stderr and "a file is where a directory is needed" in run.stderr
    assert not ready.pending()
    assert "POST /order-plz" not in pebble.process.output()
    assert (ready.state / "archive").read_text() == "in the way\n"


# --- what the CA finds ------------------------------------------------------------------------


def test_name_unknown_to_dns(ready, pebble):
    run = ready.issue(pebble, "unknown.example.org")
    check_failure(ready, run, "unknown.example.org", "the CA says: ")


def test_name_of_another_host(lab, dns, ready, pebble):
    """Nothing listens there."""
    dns.set("elsewhere.example.org", lab.validator.ipv4)
    run = ready.issue(pebble, "elsewhere.example.org")
    check_failure(ready, run, "elsewhere.example.org", "the CA says: ", "A and AAAA records")


def test_one_bad_name_among_good_ones(ready, pebble):
    run = ready.issue(pebble, NAME, "unknown.example.org")
    check_failure(ready, run, "unknown.example.org", "1 of 2 names")


def test_another_server_answers(lab, dns, pebble, speaking, instance):
    """The interface that the CA comes by is not watched: production answers acme-tls/1."""
    dns.set(NAME, lab.server.ipv4)
    instance.start("--interface", "lo")
    check_failure(instance, instance.issue(pebble, NAME), "the CA says: ")


def test_present_certificate_stays(lab, ready, pebble, dns):
    """A failed renewal leaves everything as it was."""
    run = ready.issue(pebble, NAME)
    assert run.returncode == 0, run.stderr
    before = {name: contents(ready.state / name) for name in ready.files()}
    ready.responder.stop()
    # Port 443 is nginx's alone now: first no responder, then one that is not asked.
    run = ready.issue(pebble, NAME, options=["--force-renewal"])
    assert run.returncode == 1
    ready.start("--interface", "lo")
    run = ready.issue(pebble, NAME, options=["--force-renewal"])
    assert run.returncode == 1, run.stdout
    assert "the CA says: " in run.stderr
    assert {name: contents(ready.state / name) for name in ready.files()} == before
    answer = clients.get(lab.validator, lab.server.ipv4, NAME)
    assert answer.body


def contents(path):
    if path.is_symlink():
        return os.readlink(path)
    return path.read_bytes() if path.is_file() else None


@pytest.fixture
def unreachable(lab):
    """Nobody gets an answer from port 443, so that a validation takes its time."""
    lab.server.run("nft", "add table inet test")
    lab.server.run("nft", "add chain inet test input { type filter hook input priority 0; }")
    lab.server.run("nft", "add rule inet test input tcp dport 443 drop")


def test_interrupted(ready, pebble, unreachable):
    """SIGTERM while the CA validates: disarmed at once, exit status 1."""
    agent = ready.start_issue(pebble, NAME)
    agent.wait_until(lambda: ready.pending() == [NAME], "arming the name")
    agent.popen.terminate()
    assert agent.wait() == 1
    assert not ready.pending()
    check_no_certificate(ready)


def test_killed(lab, ready, pebble, unreachable):
    """SIGKILL while the CA validates: nothing half-written, and the next run succeeds."""
    agent = ready.start_issue(pebble, NAME)
    agent.wait_until(lambda: ready.pending() == [NAME], "arming the name")
    agent.kill()
    check_no_certificate(ready)
    lab.server.run("nft", "delete", "table", "inet", "test")
    run = ready.issue(pebble, NAME)
    assert run.returncode == 0, run.stderr
    ready.check_certificate(NAME, [NAME])
    assert not ready.pending()


def check_no_certificate(instance):
    assert not (instance.live(NAME) / "cert.pem").exists()


# --- wrong usage --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    (
        ((), ("verb", "help")),
        (("nosuch",), ("nosuch",)),
        (("certonly", "--agree-tos"), ("-d",)),
        (("certonly", "-d", "*.example.org"), ("wildcard", "dns-01")),
        (("certonly", "-d", "xn--zz--.example.org"), ("hyphens",)),
        (("certonly", "-d", "a_b.example.org"), ("a_b.example.org",)),
        (("certonly", "-d", NAME, "--cert-name", "../x"), ("--cert-name",)),
        (("certonly", "-d", NAME, "--no-such-option"), ("--no-such-option",)),
        (("publish", NAME), ("--digest",)),
        (("publish", NAME, "--digest", "00"), ("--digest",)),
        (("publish", NAME, "--digest", "0" * 64, "--ttl", "0"), ("--ttl",)),
        (("withdraw",), ("NAME",)),
        (("renew", "extra"), ("extra",)),
        (("status", "a_b.example.org"), ("a_b.example.org",)),
        (("revoke",), ("NAME",)),
        (("certonly", "-d", NAME, "--eab-kid", "x"), ("--eab-hmac-key-file",)),
    ),
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_usage(lab, instance, arguments, words):
    run = instance.host.run(
        instance.programs / "sidestep", *arguments, "--root", instance.root, check=False
    )
    assert run.returncode == 2, run.stdout + run.stderr
    for word in words:
        assert word.lower() in run.stderr.lower()
    assert not list(instance.root.rglob("*"))


def test_status_without_responder(instance):
    run = instance.agent("status")
    assert run.returncode == 1
    assert "no sidestep-responder is running" in run.stderr


def test_withdraw_unknown_name(ready):
    run = ready.agent("withdraw", NAME)
    assert run.returncode == 1
    assert "is not armed" in run.stderr


def test_name_of_another_user(ready):
    """Each name has one owner."""
    ready.publish(NAME)
    run = ready.agent(
        *("publish", NAME, "--key-authorization", "other.thumbprint"),
        user=sidestep.STRANGER,
        group=sidestep.GROUP,
    )
    assert run.returncode == 1
    assert "another user" in run.stderr
    assert ready.pending() == [NAME]
