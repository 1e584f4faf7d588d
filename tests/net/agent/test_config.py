# SPDX-License-Identifier: GPL-3.0-or-later
"""sidestep.conf, conf.d/ and domains.txt: what the agent does without options, and after SIGHUP."""

import contextlib
import signal
import sqlite3
import sys

import pytest

from lab import certificates
from lab.configuration import Configuration

FIRST, SECOND, THIRD = "first.example.org", "second.example.org", "third.example.org"
MANY = "many.example.org"


@pytest.fixture
def configuration(lab, dns, pebble, nginx, instance):
    instance.start()
    for name in (FIRST, SECOND, THIRD, MANY):
        dns.set(name, lab.server.ipv4)
    return Configuration(instance, pebble)


def curve(instance, name):
    return certificates.load(instance.live(name) / "cert.pem")[0].public_key().curve.name


def test_certonly(configuration, instance):
    """The CA, its root certificate and the key type come from the files; the command line wins."""
    instance.succeed("certonly", "-d", FIRST)
    instance.check_certificate(FIRST, [FIRST])
    assert curve(instance, FIRST) == "secp384r1"
    instance.succeed("certonly", "--server", "test", "-d", SECOND, "--key-type", "p256")
    assert curve(instance, SECOND) == "secp256r1"
    unknown = instance.agent("certonly", "--server", "tset", "-d", FIRST)
    assert unknown.returncode == 2 and "no CA is called 'tset'" in unknown.stderr
    configuration.write("conf.d/zz.conf", "[sidestep]\nemial = me@example.org\n")
    wrong = instance.agent("certonly", "-d", FIRST)
    assert wrong.returncode == 2 and "zz.conf:2: there is no setting 'emial'" in wrong.stderr
    assert "man sidestep.conf" in wrong.stderr


def test_renew(configuration, pebble, instance):
    """What is wanted and not there is got; a list that is wrong stops nothing of it."""
    configuration.write("conf.d/one.conf", f"[certificate one]\nnames = {FIRST}\n  {SECOND}\n")
    configuration.write("domains.txt", f"{THIRD} {MANY} > both\n")
    assert {entry["name"] for entry in instance.succeed("plan")["plan"]} == {"one", "both"}
    said = instance.succeed("renew")
    assert said["renewed"] == 2
    instance.check_certificate("one", [FIRST, SECOND])
    instance.check_certificate("both", [MANY, THIRD])
    assert curve(instance, "both") == "secp384r1"
    configuration.write("domains.txt", f"{THIRD} {MANY} > both\n*.example.org\n")
    # From here on the CA's windows are known.
    assert "cannot validate wildcards" in instance.agent("renew").stderr
    instance.set_due("both")
    orders = pebble.orders()
    wrong = instance.agent("renew")
    assert wrong.returncode == 1
    assert "domains.txt:2: '*.example.org': TLS-ALPN-01 cannot validate wildcards" in wrong.stderr
    assert "both: renewed" in wrong.stdout
    assert pebble.orders() == orders + 1


def test_reload(configuration, instance):
    """SIGHUP: new names are got at once, a mistake changes nothing, and what has gone is retired."""
    configuration.write("domains.txt", f"{FIRST}\n")
    daemon = instance.host.start(
        "run", instance.programs / "sidestep", "run", "--root", instance.root
    )
    daemon.wait_until(lambda: f"{FIRST}: issued" in daemon.output(), "the first certificate")
    configuration.write("domains.txt", f"{FIRST}\n{SECOND}\n")
    daemon.popen.send_signal(signal.SIGHUP)
    daemon.wait_until(lambda: f"{SECOND}: issued" in daemon.output(), "the second certificate")
    right = (configuration.directory / "conf.d/ca.conf").read_text()
    configuration.write("conf.d/ca.conf", "[ca test]\nsrever = x\n")
    daemon.popen.send_signal(signal.SIGHUP)
    daemon.wait_until(lambda: "no setting 'srever'" in daemon.output(), "its complaint")
    assert "the previous configuration stays in use" in daemon.output()
    configuration.write("conf.d/ca.conf", right)
    configuration.write("domains.txt", f"{SECOND}\n")
    instance.set_due(FIRST)
    instance.set_due(SECOND)
    daemon.popen.send_signal(signal.SIGHUP)
    daemon.wait_until(lambda: f"{SECOND}: renewed" in daemon.output(), "a renewal")
    assert "1 certificate is no longer in the configuration" in daemon.output()
    assert daemon.stop() == 0
    assert f"{FIRST}: renewed" not in daemon.output()
    assert "stopped: 3 renewed, 0 failed" in daemon.output()


def snapshot(instance):
    """All that there is, except the dry run's account."""
    return {
        path: path.read_bytes()
        for path in instance.state.rglob("*")
        if path.is_file() and "dry-run" not in path.parts and path.name != "state.db-shm"
    }


@pytest.mark.row("A20")
def test_dry_run(configuration, pebble, instance):
    """Everything as it would be, and nothing of it stays; no hook is run."""
    mark = configuration.directory / "hook-was-run"
    instance.succeed("certonly", "-d", FIRST, "--deploy-hook", f"touch {mark}")
    assert mark.exists()
    mark.unlink()
    configuration.write("sidestep.conf", "[sidestep]\nca = test\nagree-tos = yes\n")
    before, orders = snapshot(instance), pebble.orders()
    run = instance.agent("certonly", "-d", SECOND, "-d", THIRD, "--dry-run")
    assert run.returncode == 0, run.stderr
    assert "The dry run succeeded; this certificate is not kept" in run.stdout
    assert "knows no staging environment of" in run.stderr
    # The configuration as it is now, which no other run has read yet.
    configuration.write("domains.txt", f"{MANY}\n")
    said = instance.succeed("renew", "--dry-run")
    assert said["dry_run"]
    assert sorted(result["name"] for result in said["results"]) == [FIRST, MANY]
    assert all(result["renewed"] for result in said["results"])
    assert pebble.orders() == orders + 3
    text = instance.agent("renew", "--dry-run").stdout
    assert "Dry run: certificates are ordered for trial" in text
    assert "Dry run: 2 would be renewed, 0 failed" in text and "renewed\n" not in text
    assert snapshot(instance) == before
    assert not mark.exists()
    left = [path.name for path in (instance.state / "dry-run").iterdir()]
    # The account at a CA without staging is the real one: no second one is made.
    assert sorted(left) == ["archive", "live"]
    assert not list((instance.state / "dry-run/live").iterdir())
    unknown = instance.agent("certonly", "-d", "nowhere.example.org", "--dry-run")
    assert unknown.returncode == 1 and snapshot(instance) == before


# --- one certificate that somebody asks for ----------------------------------------------------------


def row(instance, name):
    """What the state has of it; None: nothing."""
    with contextlib.closing(sqlite3.connect(instance.state / "state.db")) as memory:
        memory.row_factory = sqlite3.Row
        found = memory.execute("SELECT * FROM lineage WHERE name = ?", (name,)).fetchone()
        return dict(found) if found else None


@pytest.mark.row("A13")
def test_configured_name(lab, configuration, dns, instance):
    """certonly keeps the configuration's settings, says what differs, and never deletes the row."""
    mark = configuration.directory / "hook-was-run"
    configuration.write(
        "conf.d/one.conf",
        f"[certificate one]\nnames = {FIRST}\ntenant = shop\nkey-type = p256\ndeploy-hook = touch {mark}\n",
    )
    instance.succeed("plan")
    dns.manage("clear-a", {"host": f"{FIRST}."})
    failed = instance.agent("certonly", "--cert-name", "one", "-d", FIRST)
    assert failed.returncode == 1
    assert row(instance, "one")["source"] == "config"
    dns.set(FIRST, lab.server.ipv4)
    instance.succeed("certonly", "--cert-name", "one", "-d", FIRST)
    assert curve(instance, "one") == "secp256r1" and mark.exists()
    known = row(instance, "one")
    assert (known["source"], known["tenant"], known["key_type"]) == ("config", "shop", "p256")
    for options, cause in (
        (("-d", FIRST, "--key-type", "p384"), "--key-type is not as it says there"),
        (("-d", FIRST, "--bundle", "--deploy-hook", ""), "--bundle, --deploy-hook are not as"),
        (("-d", FIRST, "-d", SECOND), "the names are not as it says there"),
    ):
        other = instance.agent("certonly", "--cert-name", "one", *options)
        assert other.returncode == 1 and cause in other.stderr
        assert "sidestep.conf" in other.stderr
    refused = instance.agent("reconfigure", "one", "--bundle")
    assert refused.returncode == 1 and "the configuration has the settings of one" in refused.stderr
    assert row(instance, "one") == known
    deleted = instance.agent("delete", "one")
    assert deleted.returncode == 0 and "the configuration still names one" in deleted.stderr


@pytest.mark.row("A34")
def test_reconfigure(configuration, instance):
    """certonly ignores no option of a certificate that stays; reconfigure changes its settings."""
    instance.succeed("certonly", "-d", FIRST, "--deploy-hook", "true")
    before = certificates.load(instance.live(FIRST) / "cert.pem")[0].serial_number
    kept = instance.agent("certonly", "-d", FIRST, "--deploy-hook", "false", "--reuse-key")
    assert kept.returncode == 1
    assert "has other settings: --reuse-key, --deploy-hook" in kept.stderr
    assert "sidestep reconfigure" in kept.stderr
    assert instance.succeed("certonly", "-d", FIRST, "--deploy-hook", "true")["issued"] is False
    said = instance.succeed(
        "reconfigure", FIRST, "--deploy-hook", "./new ; true", "--reuse-key", "--run-deploy-hooks"
    )
    assert said["changed"] == "--reuse-key, --deploy-hook" and said["hooks_due"]
    known = row(instance, FIRST)
    assert known["deploy_hook"].endswith("/new ; true") and known["deploy_hook"].startswith("/")
    assert known["reuse_key"] and known["deployed_generation"] != known["generation"]
    assert certificates.load(instance.live(FIRST) / "cert.pem")[0].serial_number == before
    said = instance.succeed("reconfigure", FIRST, "--deploy-hook", "", "--no-reuse-key")
    known = row(instance, FIRST)
    assert known["deploy_hook"] is None and not known["reuse_key"]
    # What is not given stays, also where a new certificate is got.
    instance.succeed("reconfigure", FIRST, "--preferred-chain", "A Root")
    instance.succeed("certonly", "-d", FIRST, "--force-renewal")
    assert row(instance, FIRST)["preferred_chain"] == "A Root"
    before_s = row(instance, FIRST)["renew_at"]
    instance.succeed("reconfigure", FIRST, "--renew-before", "80d")
    known = row(instance, FIRST)
    assert known["renew_before"] == "80d" and known["renew_at"] < before_s
    # Back to the account without a name, too.
    for account, told in (("other", "other"), ("", None)):
        assert instance.succeed("reconfigure", FIRST, "--account", account)["changed"] == "--account"
        assert row(instance, FIRST)["account"] == told
    empty = instance.agent("certonly", "-d", FIRST, "--account", "")
    assert empty.returncode == 2 and "--account has an empty value" in empty.stderr
    assert instance.agent("reconfigure", FIRST).returncode == 1
    assert instance.agent("reconfigure", "nobody.example.org", "--bundle").returncode == 1


@pytest.mark.row("A33")
@pytest.mark.parametrize("signal_number", (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
def test_ended_wish(configuration, instance, signal_number):
    """A first certonly that is ended wishes for nothing any more."""
    instance.succeed("plan")
    silent = "import socket, time; s = socket.create_server(('127.0.0.1', 9443)); time.sleep(600)"
    instance.host.start("silent", sys.executable, "-c", silent).wait_until(
        lambda: instance.host.listens(9443), "its port"
    )
    process = instance.host.start(
        "certonly",
        instance.programs / "sidestep",
        *("certonly", "--root", instance.root, "--server", "https://127.0.0.1:9443/directory"),
        *("-d", FIRST),
    )
    process.wait_until(lambda: row(instance, FIRST), "the row")
    process.popen.send_signal(signal_number)
    assert process.popen.wait(20) == 1
    assert "interrupted" in process.output()
    assert row(instance, FIRST) is None
