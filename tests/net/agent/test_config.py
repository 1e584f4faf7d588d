# SPDX-License-Identifier: GPL-3.0-or-later
"""sidestep.conf, conf.d/ and domains.txt: what the agent does without options, and after SIGHUP."""

import signal

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
    said = instance.succeed("renew", "--dry-run")
    assert [result["name"] for result in said["results"]] == [FIRST]
    assert said["results"][0]["renewed"]
    assert pebble.orders() == orders + 2
    assert snapshot(instance) == before
    assert not mark.exists()
    left = [path.name for path in (instance.state / "dry-run").iterdir()]
    assert sorted(left) == ["accounts", "archive", "live"]
    assert not list((instance.state / "dry-run/live").iterdir())
    unknown = instance.agent("certonly", "-d", "nowhere.example.org", "--dry-run")
    assert unknown.returncode == 1 and snapshot(instance) == before
