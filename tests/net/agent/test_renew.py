# SPDX-License-Identifier: GPL-3.0-or-later
"""`sidestep renew`, `run` and `plan`: what is due is renewed, and nothing else."""

import base64
import contextlib
import json
import os
import signal
import socket
import sqlite3
import time

import pytest
from cryptography import x509

from lab import authority, certificates, hosts

NAMES = ("www.example.org", "shop.example.org", "mail.example.org")
BAD = "moved-away.example.org"
DAY_S = 86400


def renew(instance, ca, *options, **run_options):
    output = instance.agent(
        *("renew", "--json", "--cacert", ca.cacert, *options),
        **{"timeout": 120, **run_options},
    )
    return output, json.loads(output.stdout)


def serial(instance, name):
    return certificates.load(instance.live(name) / "cert.pem")[0].serial_number


def serials(instance):
    return {name: serial(instance, name) for name in NAMES}


def memory(instance):
    return contextlib.closing(sqlite3.connect(instance.state / "state.db"))


@pytest.fixture
def stocked(lab, dns, pebble, nginx, instance):
    """Three certificates, fresh; each notes its renewals in a file."""
    instance.start()
    for name in NAMES:
        dns.set(name, lab.server.ipv4)
        hook = f"echo $RENEWED_DOMAINS >>{lab.directory}/hooks"
        run = instance.issue(pebble, name, options=("--deploy-hook", hook))
        assert run.returncode == 0, run.stderr
    # The CA's windows are known from here on.
    output, said = renew(instance, pebble)
    assert output.returncode == 0 and said["renewed"] == 0
    (lab.directory / "hooks").unlink()
    return instance


def hooks(lab):
    path = lab.directory / "hooks"
    return sorted(path.read_text().split()) if path.exists() else []


def test_nothing_due(lab, stocked, pebble):
    before, orders = serials(stocked), pebble.orders()
    output, said = renew(stocked, pebble)
    assert output.returncode == 0 and said["ok"] and said["renewed"] == 0
    assert "No certificate is due." in stocked.agent("renew").stdout
    assert serials(stocked) == before
    assert pebble.orders() == orders
    assert not hooks(lab)


@pytest.mark.quick
def test_one_due(lab, stocked, pebble):
    before = serials(stocked)
    stocked.set_due(NAMES[1])
    output, said = renew(stocked, pebble)
    assert output.returncode == 0, output.stderr
    assert [result["name"] for result in said["results"]] == [NAMES[1]]
    after = serials(stocked)
    assert after[NAMES[1]] != before[NAMES[1]]
    assert after | {NAMES[1]: None} == before | {NAMES[1]: None}
    assert hooks(lab) == [NAMES[1]]
    assert not stocked.pending()
    output, said = renew(stocked, pebble)
    assert said["renewed"] == 0


def test_forced(lab, stocked, pebble):
    before = serials(stocked)
    output, said = renew(stocked, pebble, "--force-renewal")
    assert output.returncode == 0, output.stderr
    assert said["renewed"] == len(NAMES)
    after = serials(stocked)
    assert all(after[name] != before[name] for name in NAMES)
    assert hooks(lab) == sorted(NAMES)
    for name in NAMES:
        stocked.check_certificate(name, [name])


def test_issued_within(stocked, pebble):
    """A CA has to revoke what it issued at some time: that is replaced, before all else."""
    before = serials(stocked)
    with memory(stocked) as database, database:
        database.execute(
            "UPDATE lineage SET not_before = not_before - ? WHERE name = ?", (10 * DAY_S, NAMES[1])
        )
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 5 * DAY_S))
    output, said = renew(stocked, pebble, "--force-renewal", "--issued-before", day)
    assert output.returncode == 0, output.stderr
    assert [result["name"] for result in said["results"]] == [NAMES[1]]
    after = serials(stocked)
    assert after[NAMES[1]] != before[NAMES[1]]
    assert after | {NAMES[1]: None} == before | {NAMES[1]: None}
    output, said = renew(stocked, pebble, "--force-renewal", "--issued-before", "yesterday")
    assert output.returncode == 1 and "takes a date, not 'yesterday'" in output.stderr
    output = stocked.agent("renew", "--issued-before", day)
    assert output.returncode == 2 and "go with --force-renewal" in output.stderr


def test_named(stocked, pebble):
    before = serials(stocked)
    output, said = renew(stocked, pebble, "--cert-name", NAMES[0])
    assert output.returncode == 0 and said["renewed"] == 0
    output, said = renew(stocked, pebble, "--cert-name", NAMES[0], "--force-renewal")
    assert output.returncode == 0 and said["renewed"] == 1
    assert serials(stocked)[NAMES[0]] != before[NAMES[0]]
    assert serials(stocked)[NAMES[1]] == before[NAMES[1]]
    output, said = renew(stocked, pebble, "--cert-name", "unknown.example.org")
    assert output.returncode == 1
    assert "there is no certificate called unknown.example.org" in output.stderr


@pytest.mark.slow
def test_one_bad_name(lab, dns, stocked, pebble):
    """One bad name among many: it is backed off alone, and the others are renewed."""
    dns.set(BAD, lab.server.ipv4)
    assert stocked.issue(pebble, BAD).returncode == 0
    renew(stocked, pebble)
    old = serial(stocked, BAD)
    dns.manage("clear-a", {"host": f"{BAD}."})
    dns.set(BAD, lab.validator.ipv4)
    for name in (*NAMES, BAD):
        stocked.set_due(name)
    output, said = renew(stocked, pebble)
    assert output.returncode == 1
    assert (said["renewed"], said["failed"]) == (len(NAMES), 1)
    (failed,) = [result for result in said["results"] if not result["renewed"]]
    assert failed["name"] == BAD
    assert 0 < failed["next_attempt"] - time.time() < 600
    assert "the CA says" in output.stderr and "the next attempt is at" in output.stderr
    # The old one is in use as before, and nothing is due until the pause is over.
    assert serial(stocked, BAD) == old
    orders = pebble.orders()
    output, said = renew(stocked, pebble)
    assert output.returncode == 0 and said["renewed"] == said["failed"] == 0
    assert pebble.orders() == orders
    (entry,) = [entry for entry in stocked.succeed("plan")["plan"] if entry["name"] == BAD]
    assert entry["failures"] == 1 and entry["reason"] == "the last attempt failed"
    attempts = stocked.succeed("plan", BAD)["attempts"]
    assert [bool(attempt["failure"]) for attempt in attempts] == [True, False]
    assert stocked.agent("plan", "nobody").returncode == 1


def test_failed_first_time_is_forgotten(lab, dns, stocked, pebble):
    """A name that never had a certificate is nothing to renew."""
    dns.set(BAD, lab.validator.ipv4)
    assert stocked.issue(pebble, BAD).returncode == 1
    assert BAD not in [entry["name"] for entry in stocked.succeed("plan")["plan"]]


def test_memory_lost(stocked, pebble):
    """The agent rebuilds its database from the certificates on disk."""
    for path in stocked.state.glob("state.db*"):
        path.unlink()
    output, said = renew(stocked, pebble)
    assert output.returncode == 0 and said["renewed"] == 0
    plan = stocked.succeed("plan")["plan"]
    assert sorted(entry["name"] for entry in plan) == sorted(NAMES)
    assert {entry["ca"] for entry in plan} == {pebble.url}
    output, said = renew(stocked, pebble, "--force-renewal")
    assert said["renewed"] == len(NAMES), output.stderr


def test_plan(stocked):
    plan = stocked.succeed("plan")["plan"]
    now = time.time()
    for entry in plan:
        assert now < entry["at"] < entry["not_after"]
        assert entry["reason"] == "the CA's renewal window"
    text = stocked.agent("plan").stdout
    assert all(name in text for name in NAMES)


@pytest.mark.row("A16")
def test_clock_behind(stocked, pebble):
    """A certificate from the future: a warning that names it; the others are renewed."""
    with memory(stocked) as database, database:
        database.execute("UPDATE fact SET value = value + ?", (1000 * DAY_S,))
        database.execute(
            "UPDATE lineage SET not_before = not_before + ? WHERE name = ?",
            (1000 * DAY_S, NAMES[1]),
        )
    stocked.set_due(NAMES[0])
    before = serials(stocked)
    output, said = renew(stocked, pebble)
    assert output.returncode == 0 and said["renewed"] == 1
    assert f"{NAMES[1]} begins later than it is now" in output.stderr
    assert serials(stocked)[NAMES[0]] != before[NAMES[0]]


def test_without_responder(stocked, pebble):
    stocked.responder.stop()
    stocked.set_due(NAMES[0])
    output, said = renew(stocked, pebble)
    assert output.returncode == 1
    assert "no sidestep-responder is running" in output.stderr


def test_authority_down(stocked, pebble):
    """The CA is down: every due name fails by itself, and is tried again later."""
    stocked.set_due(NAMES[0])
    stocked.set_due(NAMES[1])
    pebble.process.stop()
    output, said = renew(stocked, pebble)
    assert output.returncode == 1 and said["failed"] == 2
    assert "cannot connect" in output.stderr
    assert not stocked.pending()


# --- the daemon ----------------------------------------------------------------------------------


class Manager:
    """The service manager's end of NOTIFY_SOCKET."""

    def __init__(self, lab):
        self.path = lab.directory / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(hosts.PATIENCE_S)

    def wait_for(self, state):
        while self.socket.recv(4096).decode() != state:
            pass


@pytest.fixture
def manager(lab):
    made = Manager(lab)
    yield made
    made.socket.close()


def start_daemon(instance, ca, manager):
    environment = {
        **os.environ, "NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "2000000"
    }
    daemon = instance.host.start(
        "run",
        *(instance.programs / "sidestep", "run", "--root", instance.root),
        *("--cacert", ca.cacert),
        env=environment,
    )
    manager.wait_for("READY=1")
    return daemon


def test_run(lab, stocked, pebble, manager):
    """It renews what is due when it starts, tells the service manager, and ends at SIGTERM."""
    before = serials(stocked)
    stocked.set_due(NAMES[0])
    daemon = start_daemon(stocked, pebble, manager)
    daemon.wait_until(lambda: f"{NAMES[0]}: renewed" in daemon.output(), "a renewal")
    manager.wait_for("WATCHDOG=1")
    second = stocked.agent("run", "--cacert", pebble.cacert)
    assert second.returncode == 1
    assert "another `sidestep run` uses" in second.stderr
    assert daemon.stop() == 0
    manager.wait_for("STOPPING=1")
    assert "stopped: 1 renewed, 0 failed" in daemon.output()
    assert serials(stocked)[NAMES[0]] != before[NAMES[0]]
    assert serials(stocked)[NAMES[1]] == before[NAMES[1]]
    assert hooks(lab) == [NAMES[0]]
    assert not stocked.pending()


@pytest.mark.row("A8")
def test_account_changes_beside_the_daemon(stocked, pebble, manager):
    """Another process gives the account a new key: the daemon's next order takes it."""
    stocked.set_due(NAMES[0])
    daemon = start_daemon(stocked, pebble, manager)
    daemon.wait_until(lambda: f"{NAMES[0]}: renewed" in daemon.output(), "a first renewal")
    stocked.succeed("rollover", "--server", pebble.url, "--cacert", pebble.cacert)
    stocked.set_due(NAMES[1])
    daemon.popen.send_signal(signal.SIGHUP)
    daemon.wait_until(lambda: f"{NAMES[1]}: renewed" in daemon.output(), "a renewal after it")
    assert daemon.stop() == 0
    assert "stopped: 2 renewed, 0 failed" in daemon.output()


# --- killed at any moment --------------------------------------------------------------------------


def is_armed(instance):
    return instance.responder.is_running() and instance.pending()


def start_slow_issue(lab, dns, instance):
    """An agent whose order waits for a CA that takes its time to validate.

    Pebble sleeps for a random time up to this: long, so that it seldom validates while the name is
    disarmed between two agents, which ends the order."""
    pebble = authority.Pebble(lab, PEBBLE_VA_NOSLEEP="0", PEBBLE_VA_SLEEPTIME="12")
    dns.set(NAMES[0], lab.server.ipv4)
    instance.start()
    agent = instance.start_issue(pebble, NAMES[0])
    agent.wait_until(lambda: is_armed(instance), "its name to be armed")
    hosts.wait_for(lambda: pebble.orders() == 1, "its order")
    return pebble, agent


def test_killed_while_the_authority_validates(lab, dns, nginx, instance):
    """Agent killed after any request: the next one resumes the same order and makes no other."""
    pebble, agent = start_slow_issue(lab, dns, instance)
    agent.kill()
    assert not instance.live(NAMES[0]).exists()
    run = instance.issue(pebble, NAMES[0])
    assert run.returncode == 0, run.stderr
    assert pebble.orders() == 1
    instance.check_certificate(NAMES[0], [NAMES[0]])
    assert not instance.pending()
    generations = list((instance.state / "archive" / NAMES[0]).glob("[0-9]*"))
    assert [path.name for path in generations] == ["1"]


def test_stopped_while_the_authority_validates(lab, dns, nginx, instance):
    """SIGTERM in the middle: nothing stays armed, and `renew` resumes the order."""
    pebble, agent = start_slow_issue(lab, dns, instance)
    assert agent.stop() == 1
    assert "interrupted" in agent.output()
    assert f"`sidestep delete {NAMES[0]}` forgets it" in agent.output()
    assert not instance.pending()
    output, said = renew(instance, pebble)
    assert output.returncode == 0, output.stderr
    assert said["renewed"] == 1
    assert pebble.orders() == 1
    instance.check_certificate(NAMES[0], [NAMES[0]])


@pytest.mark.row("A33")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_interrupted_wish(lab, dns, nginx, instance, number):
    """Ctrl-C, or the terminal closes: nothing stays armed, and `delete` ends the wish."""
    _, agent = start_slow_issue(lab, dns, instance)
    agent.popen.send_signal(number)
    assert agent.popen.wait(60) == 1
    assert not instance.pending()
    assert [entry["state"] for entry in instance.succeed("plan")["plan"]] == ["ordering"]
    instance.succeed("delete", NAMES[0])
    assert instance.succeed("plan")["plan"] == []


# --- renewal information -----------------------------------------------------------------------------


def ari_id(path):
    """RFC 9773 section 4.1, by another implementation."""
    certificate = certificates.load(path)[0]
    identifier = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    number = certificate.serial_number
    parts = identifier.value.key_identifier, number.to_bytes(number.bit_length() // 8 + 1, "big")
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def set_window(pebble, path, begin_s, end_s):
    """From now on the CA suggests this window for the certificate, in seconds from now."""
    moments = [
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + moment))
        for moment in (begin_s, end_s)
    ]
    window = {"suggestedWindow": dict(zip(("start", "end"), moments))}
    request = {"certificate": path.read_text(), "ariResponse": json.dumps(window)}
    output = pebble.host.run(
        *("curl", "-sSf", "--cacert", pebble.cacert, "--data", json.dumps(request)),
        f"https://{pebble.host.ipv4}:15000/set-renewal-info/",
    )
    return output.stdout


def rows(instance, column):
    with memory(instance) as database:
        return dict(database.execute(f"SELECT name, {column} FROM lineage"))


def test_identifiers(stocked):
    """What the CA is asked about is RFC 9773's name of each certificate."""
    expected = {name: ari_id(stocked.live(name) / "cert.pem") for name in NAMES}
    assert rows(stocked, "ari_id") == expected


def test_window_in_the_past(stocked, pebble):
    """The CA wants one replaced now: it is, and the order says what it replaces."""
    before = serials(stocked)
    set_window(pebble, stocked.live(NAMES[1]) / "cert.pem", -2 * DAY_S, -DAY_S)
    ask_again(stocked)
    # Whatever the window says, nothing is ordered again for a twentieth of the life.
    output, said = renew(stocked, pebble)
    assert output.returncode == 0 and not said["results"]
    assert "the CA wants it renewed now" in output.stderr
    with memory(stocked) as database, database:
        database.execute("UPDATE lineage SET issued_at = issued_at - ?", (400 * DAY_S,))
    output, said = renew(stocked, pebble)
    assert output.returncode == 0, output.stderr
    assert [result["name"] for result in said["results"]] == [NAMES[1]]
    assert serials(stocked)[NAMES[1]] != before[NAMES[1]]
    # The others have the CA's window now, and their moment lies inside.
    starts, ends = rows(stocked, "window_start"), rows(stocked, "window_end")
    moments = rows(stocked, "renew_at")
    for name in (NAMES[0], NAMES[2]):
        assert starts[name] <= moments[name] <= ends[name]
    reasons = {entry["name"]: entry["reason"] for entry in stocked.succeed("plan")["plan"]}
    assert reasons[NAMES[0]] == "the CA's renewal window"


def test_window_moves(stocked, pebble):
    """The moment follows the CA's window, and stays where it is as long as that does."""
    path = stocked.live(NAMES[0]) / "cert.pem"
    set_window(pebble, path, 10 * DAY_S, 11 * DAY_S)
    ask_again(stocked)
    renew(stocked, pebble)
    first = rows(stocked, "renew_at")[NAMES[0]]
    assert 10 * DAY_S - 60 < first - time.time() < 11 * DAY_S + 60
    ask_again(stocked)
    renew(stocked, pebble)
    assert rows(stocked, "renew_at")[NAMES[0]] == first
    set_window(pebble, path, 20 * DAY_S, 21 * DAY_S)
    ask_again(stocked)
    renew(stocked, pebble)
    assert 20 * DAY_S - 60 < rows(stocked, "renew_at")[NAMES[0]] - time.time() < 21 * DAY_S + 60


def ask_again(instance):
    """As if the CA's Retry-After were over."""
    with memory(instance) as database, database:
        database.execute("UPDATE lineage SET check_at = 1")


def test_authority_without_windows(lab, dns, nginx, instance):
    """A CA that has no renewal information is not asked for ever."""
    caddy = authority.Caddy(lab)
    dns.set(NAMES[0], lab.server.ipv4)
    instance.start()
    assert instance.issue(caddy, NAMES[0]).returncode == 0
    output, said = renew(instance, caddy)
    assert output.returncode == 0 and said["renewed"] == 0, output.stderr
    if "renewalInfo" not in instance.host.run(
        "curl", "-sSf", "--cacert", caddy.cacert, caddy.url
    ).stdout:
        assert rows(instance, "check_at") == {NAMES[0]: 0}


MANY = 150
ATTEMPTS = 6


@pytest.mark.slow
def test_many_at_once(lab, dns, nginx, instance):
    """More orders than are taken at once: each gets its one certificate.

    From Caddy: Pebble 2.10 locks itself up now and then under many requests.  Caddy has an
    internal error for some of them instead, which are then tried again."""
    caddy = authority.Caddy(lab)
    lab.validator.run(
        *("curl", "-sSf", "--data", json.dumps({"ip": str(lab.server.ipv4)})),
        f"http://localhost:{authority.DNS_MANAGEMENT_PORT}/set-default-ipv4",
    )
    instance.start()
    assert instance.issue(caddy, NAMES[0]).returncode == 0
    names = [f"n{number}.example.org" for number in range(MANY)]
    with memory(instance) as database, database:
        database.executemany(
            "INSERT INTO lineage (name, identifiers, cas, ca, tenant, source, reuse_key, bundle)"
            " VALUES (?1, ?1, ?2, ?2, '', 'cli', 0, 0)",
            [(name, caddy.url) for name in names],
        )
    left = names
    for _ in range(ATTEMPTS):
        output, said = renew(instance, caddy, timeout=300)
        done = [name for name in left if instance.live(name).exists()]
        assert said["renewed"] == len(done) > 0, output.stderr
        left = [name for name in left if name not in done]
        for name in left:
            instance.set_due(name)
        if not left:
            break
    assert not left, output.stderr
    for name in names:
        instance.check_certificate(name, [name])
        generations = (instance.state / "archive" / name).glob("[0-9]*")
        assert [path.name for path in generations] == ["1"]
    assert not instance.pending()
