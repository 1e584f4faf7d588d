# SPDX-License-Identifier: GPL-3.0-or-later
"""The responder comes and goes; production does not notice."""

import os
import pathlib

import pytest

from lab import attached, certificates, clients, hosts, load_client, sidestep

NAME = "www.example.org"


def check_challenge(lab):
    answer = clients.validate(lab.validator, lab.server.ipv4, NAME)
    certificates.check_challenge(answer.certificate, NAME, sidestep.DIGEST)


def check_failure(run, *words, status=1):
    """It ended with this status, and what it said has these words in it."""
    assert run.returncode == status, run.stderr
    for word in words:
        assert word in run.stderr
    assert "anitizer" not in run.stderr


def wait_until_detached(lab):
    hosts.wait_for(lambda: not attached.attachments(lab.server), "everything to be detached")


@pytest.mark.quick
def test_attaches_everywhere(lab, nginx, instance, takeover):
    assert not attached.attachments(lab.server)
    instance.start("--takeover", takeover)
    assert attached.attachments(lab.server) == ["sk_lookup", "tcx lo", "tcx eth0"]
    assert instance.status()["responder"]["takeover"] == takeover


@pytest.mark.parametrize("attach", ("tcx", "clsact"))
@pytest.mark.quick
def test_end_detaches(lab, nginx, instance, takeover, attach):
    """SIGTERM, with a name armed and clients coming."""
    instance.start("--takeover", takeover, "--attach", attach).publish(NAME)
    clients_coming = load_client.Load(lab, nginx)
    assert attached.attachments(lab.server)
    assert instance.responder.stop() == 0
    assert not attached.attachments(lab.server)
    clients_coming.wait_for_requests(200)
    clients_coming.finish()


@pytest.mark.parametrize("attach", ("tcx", "clsact"))
def test_killed(lab, nginx, instance, takeover, attach):
    """SIGKILL at work: production loses nothing; a successor takes over what is attached."""
    instance.start("--takeover", takeover, "--attach", attach).publish(NAME)
    clients_coming = load_client.Load(lab, nginx)
    check_challenge(lab)
    places, pinned = attached.attachments(lab.server), instance.links()
    monitors = children_of(instance.responder.pid)
    instance.responder.kill()
    wait_for_end(monitors)
    clients_coming.wait_for_requests(200)
    answer = clients.get(lab.validator, lab.server.ipv4, NAME)
    assert answer.certificate == nginx.certificate
    assert attached.attachments(lab.server) == places

    instance.start("--takeover", takeover, "--attach", attach)
    assert instance.pending() == [NAME]  # armed names outlive a responder
    assert attached.attachments(lab.server) == places
    assert instance.links() == pinned
    check_challenge(lab)
    clients_coming.wait_for_requests(200)
    clients_coming.finish()


@pytest.mark.parametrize("attach", ("tcx", "clsact"))
def test_unload_after_kill(lab, nginx, instance, takeover, attach):
    """Nothing at all stays attached, nor pinned, nor mounted."""
    instance.start("--takeover", takeover, "--attach", attach).publish(NAME)
    monitors = children_of(instance.responder.pid)
    instance.responder.kill()
    wait_for_end(monitors)
    assert attached.attachments(lab.server)
    assert instance.run_responder("--unload").returncode == 0
    assert not attached.attachments(lab.server)
    assert not lab.mounts()


@pytest.mark.parametrize(
    ("before", "after"),
    (
        (("--takeover", "repair"), ("--takeover", "assign")),
        (("--takeover", "assign"), ("--takeover", "repair")),
        (("--attach", "clsact"), ("--attach", "tcx")),
        (("--attach", "tcx"), ("--attach", "clsact")),
        ((), ("--interface", "eth0")),
    ),
    ids=lambda options: " ".join(options) or "all interfaces",
)
def test_successor_of_another_kind(lab, nginx, instance, before, after):
    """What a killed responder left is replaced, also by one with other options."""
    instance.start(*after)
    wanted = attached.attachments(lab.server)
    instance.responder.stop()

    instance.start(*before).publish(NAME)
    monitors = children_of(instance.responder.pid)
    instance.responder.kill()
    wait_for_end(monitors)
    instance.start(*after)
    assert attached.attachments(lab.server) == wanted
    assert instance.pending() == [NAME]
    check_challenge(lab)
    answer = clients.get(lab.validator, lab.server.ipv4, NAME)
    assert answer.certificate == nginx.certificate


def test_monitor_killed(lab, nginx, instance):
    """Without the process that detaches, the responder ends rather than go on unwatched."""
    instance.start().publish(NAME)
    clients_coming = load_client.Load(lab, nginx)
    monitors = children_of(instance.responder.pid)
    assert len(monitors) == 1
    hosts.run("kill", "-KILL", monitors[0])
    assert instance.responder.wait() == 1
    answer = clients.get(lab.validator, lab.server.ipv4, NAME)
    assert answer.certificate == nginx.certificate
    clients_coming.wait_for_requests(200)
    instance.start()
    check_challenge(lab)
    clients_coming.finish()


def test_both_killed(lab, nginx, instance, takeover):
    """Nobody is left who could say so: a word that nobody renews runs out."""
    instance.start("--takeover", takeover).publish(NAME)
    clients_coming = load_client.Load(lab, nginx)
    monitors = children_of(instance.responder.pid)
    hosts.run("kill", "-KILL", instance.responder.pid, *monitors)
    instance.responder.wait()
    wait_until_ignored(instance, clients_coming)
    clients_coming.finish()
    instance.start("--takeover", takeover)
    check_challenge(lab)


@pytest.mark.each_engine
def test_hung(lab, nginx, instance, takeover):
    """A responder that is stopped is as good as none, until it goes on."""
    instance.start("--takeover", takeover).publish(NAME)
    clients_coming = load_client.Load(lab, nginx)
    hosts.run("kill", "-STOP", instance.responder.pid)
    ignored = wait_until_ignored(instance, clients_coming)
    hosts.run("kill", "-CONT", instance.responder.pid)
    hosts.wait_for(lambda: instance.counters()["syn_marked"] > ignored, "the responder to go on")
    check_challenge(lab)
    clients_coming.finish()


def wait_until_ignored(instance, clients_coming):
    """Wait until the liveness word has run out; returns how many were looked at before."""

    def count_if_ignored():
        before = instance.counters()["syn_marked"]
        clients_coming.wait_for_requests(50)
        return instance.counters()["syn_marked"] == before and before

    return hosts.wait_for(count_if_ignored, "nothing to be looked at")


def wait_for_end(pids):
    hosts.wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "their end")


def children_of(pid):
    return hosts.run("ps", "--ppid", pid, "-o", "pid=").stdout.split()


def test_production_reloads(lab, nginx, armed):
    """The server reloads while a name is armed."""
    clients_coming = load_client.Load(lab, nginx)
    for _ in range(3):
        hosts.run("kill", "-HUP", nginx.process.pid)
        clients_coming.wait_for_requests(100)
        check_challenge(lab)
    clients_coming.finish()


def test_second_instance(lab, nginx, instance):
    instance.start().publish(NAME)
    check_failure(instance.run_responder(), "another responder runs", "--root")
    check_challenge(lab)
    assert instance.responder.stop() == 0


@pytest.mark.each_engine
def test_gives_up_root(lab, nginx, instance):
    instance.start()
    status = dict(
        line.split(":", 1)
        for line in open(f"/proc/{instance.responder.pid}/status", encoding="ascii")
    )
    nobody = hosts.run("id", "-u", "nobody").stdout.strip()
    assert status["Uid"].split() == [nobody] * 4
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert status["NoNewPrivs"].strip() == "1"


@pytest.mark.each_engine
def test_background(lab, nginx, instance):
    """Without --foreground it returns when it is ready."""
    command = [word for word in instance.responder_command() if word != "--foreground"]
    lab.server.run(*command)
    status = instance.status()
    assert status["running"]
    instance.publish(NAME)
    check_challenge(lab)
    hosts.run("kill", status["responder"]["pid"])
    wait_until_detached(lab)


@pytest.mark.each_engine
def test_standalone(lab, instance):
    """Nothing else listens on the port."""
    instance.start("--standalone").publish(NAME)
    assert not attached.attachments(lab.server)
    for address in (lab.server.ipv4, lab.server.ipv6):
        answer = clients.validate(lab.validator, address, NAME)
        certificates.check_challenge(answer.certificate, NAME, sidestep.DIGEST)
    assert instance.responder.stop() == 0
    assert not lab.server.listens(443)


def test_standalone_where_production_is(lab, nginx, instance):
    check_failure(instance.run_responder("--standalone"), "443")


def test_unload(lab, nginx, instance):
    instance.start().publish(NAME)
    check_failure(instance.run_responder("--unload"), "another responder runs")
    assert instance.responder.stop() == 0
    assert lab.mounts()
    assert instance.run_responder("--unload").returncode == 0
    assert not lab.mounts()
    assert not instance.status()["challenges"]
    instance.start()
    assert not instance.pending()


def test_check(lab, instance):
    run = instance.run_responder("--check")
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1].startswith("ready: would steer on port 443")
    assert not attached.attachments(lab.server)
    assert not list(instance.root.rglob("*"))


def test_check_as_ordinary_user(lab, instance):
    command = instance.responder_command("--check")
    run = lab.server.run(*sidestep.as_user(sidestep.STRANGER), *command, check=False)
    assert run.returncode == 1
    assert run.stdout.splitlines()[-1].startswith("not ready: ")
    assert "root" in run.stdout.splitlines()[-1]


def test_start_as_ordinary_user(lab, instance):
    command = sidestep.as_user(sidestep.STRANGER) + list(instance.responder_command())
    check_failure(lab.server.run(*command, check=False), "root")


def test_start_without_capabilities(lab, instance):
    """Root in name only, as in most containers."""
    command = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", *instance.responder_command())
    run = lab.server.run(*command, check=False)
    assert run.returncode == 1
    assert run.stderr.strip()
    assert not attached.attachments(lab.server)


@pytest.mark.parametrize(
    ("options", "words", "status"),
    (
        (("--interface", "nosuch0"), ("nosuch0",), 1),
        (("--user", "nosuch"), ("nosuch", "adduser"), 1),
        (("--group", "nosuch"), ("nosuch", "addgroup"), 1),
        (("--port", "0"), ("--port",), 2),
        (("--port=1", "--port=2", "--port=3", "--port=4", "--port=5"), ("four",), 2),
        (("--address", "www.example.org"), ("--address", "www.example.org"), 2),
        (("--netns", "nosuch"), ("nosuch", "ip netns"), 1),
        (("--standalone", "--port=443", "--port=8443"), ("one port",), 2),
        (("--engine", "poll"), ("--engine", "epoll"), 2),
        (("--no-such-option",), ("--help",), 2),
        (("--standalone", "--interface", "lo"), ("--standalone",), 2),
    ),
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_wrong_options(lab, nginx, instance, options, words, status):
    check_failure(instance.run_responder(*options), *words, status=status)
    assert not attached.attachments(lab.server)


@pytest.mark.row("S4")
def test_without_syncookies(lab, nginx, instance):
    """The kernel refuses to assign then: connections are adopted, and --check tells."""
    lab.server.run("sysctl", "-qw", "net.ipv4.tcp_syncookies=0")
    checked = instance.run_responder("--check")
    assert checked.returncode == 0
    assert "tcp_syncookies: 0" in checked.stdout
    instance.start().publish(NAME)
    check_challenge(lab)


IO_URING_DISABLED = pathlib.Path("/proc/sys/kernel/io_uring_disabled")


@pytest.fixture
def io_uring_for_root_only():
    """This machine's setting, which no namespace has of its own, for as short as may be."""
    before = IO_URING_DISABLED.read_text()
    IO_URING_DISABLED.write_text("1")
    yield
    IO_URING_DISABLED.write_text(before)


@pytest.mark.alone
def test_io_uring_for_root_only(lab, nginx, instance, io_uring_for_root_only):
    """The rings are made while it is root: a hardened host's 1 does not hinder it."""
    instance.start()
    instance.publish(NAME)
    check_challenge(lab)


# The kernel answers one process as 2 would have it, not the machine.
FORBIDDEN = {"preexec_fn": hosts.forbid_io_uring}


def test_io_uring_for_nobody(lab, nginx, instance):
    """2 does: epoll does the work, and every report of it says why."""
    checked = instance.run_responder("--check", **FORBIDDEN)
    assert checked.returncode == 0
    instance.start(**FORBIDDEN)
    for said in (checked.stdout, instance.responder.output()):
        assert "kernel.io_uring_disabled" in said and "epoll" in said
    assert instance.status()["responder"]["engine"] == "epoll"
    instance.publish(NAME)
    check_challenge(lab)


def test_io_uring_forced_where_forbidden(lab, nginx, instance):
    forced = ("--engine", "io_uring")
    run = instance.run_responder(*forced, **FORBIDDEN)
    check_failure(run, "kernel.io_uring_disabled", "sysctl")
    checked = instance.run_responder("--check", *forced, **FORBIDDEN)
    assert checked.returncode == 1
    assert "--engine epoll" in checked.stdout.splitlines()[-1]
    assert not attached.attachments(lab.server)


@pytest.mark.each_engine
def test_engine(lab, nginx, instance, engine):
    """The one that is asked for, and the log, --check and status say so."""
    instance.start().publish(NAME)
    check_challenge(lab)
    assert f"threads on {engine}," in instance.responder.output()
    assert instance.status()["responder"]["engine"] == engine
    assert f"engine:        {engine}\n" in instance.run_responder("--check").stdout
