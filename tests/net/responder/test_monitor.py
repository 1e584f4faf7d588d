# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes around the responder while it runs: each change is seen, and answered."""

import contextlib
import ctypes
import os
import pathlib
import socket
import time

import pytest

from lab import attached, certificates, clients, hosts, sidestep

NAME = "www.example.org"
STEERED_TO_WHEN_HUNG_S = 5  # at most, by ARCHITECTURE.md
SOME = 20

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
_libc = ctypes.CDLL(None, use_errno=True)


def check_challenge(lab, addresses=()):
    for address in addresses or (lab.server.ipv4, lab.server.ipv6):
        answer = clients.validate(lab.validator, address, NAME)
        certificates.check_challenge(answer.certificate, NAME, sidestep.DIGEST)


def check_production(lab, server):
    for address in (lab.server.ipv4, lab.server.ipv6):
        assert clients.get(lab.validator, address, NAME).certificate == server.certificate


def wait_until_said(instance, *words):
    """Wait for a line of the responder's log with all these words; how many there are."""

    def count():
        lines = instance.responder.output().splitlines()
        return len([line for line in lines if all(word in line for word in words)])

    return hosts.wait_for(count, f"a message of: {words}")


# --- the responder itself -----------------------------------------------------------------------


def ptrace(request, thread):
    if _libc.ptrace(request, thread, 0, 0):
        raise OSError(ctypes.get_errno(), "ptrace")


def answering_threads(pid):
    """All but the first, and but those that the kernel has added for io_uring."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if int(task.name) != pid and not (task / "comm").read_text().startswith("iou-"):
            yield int(task.name)


@contextlib.contextmanager
def stopped_thread(process):
    """One answering thread stands still; all others of the process go on."""
    thread = next(iter(answering_threads(process.pid)))
    ptrace(PTRACE_SEIZE, thread)
    ptrace(PTRACE_INTERRUPT, thread)
    os.waitpid(thread, 0x40000000)  # __WALL
    try:
        yield
    finally:
        ptrace(PTRACE_DETACH, thread)


@pytest.mark.row("S4")
def test_hung_thread(lab, nginx, instance, takeover):
    """With one of its threads hung the responder is as good as none, within the time stated."""
    instance.start("--takeover", takeover, "--threads", "2").publish(NAME)
    check_challenge(lab)
    with stopped_thread(instance.responder):
        time.sleep(STEERED_TO_WHEN_HUNG_S)
        before = instance.counters()["syn_marked"]
        for _ in range(SOME):
            check_production(lab, nginx)
        assert instance.counters()["syn_marked"] == before
    hosts.wait_for(
        lambda: check_production(lab, nginx) or instance.counters()["syn_marked"] > before,
        "the thread to go on",
    )
    check_challenge(lab)


# --- settings -----------------------------------------------------------------------------------


@pytest.mark.row("S4")
def test_syncookies_switched(lab, nginx, instance, takeover):
    """The kernel refuses to assign while they are off: connections are adopted meanwhile."""
    instance.start("--takeover", takeover).publish(NAME)
    for value in (1, 0, 1, 0):
        lab.server.run("sysctl", "-qw", f"net.ipv4.tcp_syncookies={value}")
        before = instance.counters()["adopted"]
        check_challenge(lab)
        check_production(lab, nginx)
        if not value or takeover == "repair":
            assert instance.counters()["adopted"] == before + 2


# --- what is attached ---------------------------------------------------------------------------

REMOVALS = {
    "filter": ("tc", "filter", "del", "dev", "eth0", "ingress"),
    "qdisc": ("tc", "qdisc", "del", "dev", "eth0", "clsact"),
}


@pytest.mark.row("S6")
@pytest.mark.parametrize("removal", REMOVALS)
def test_filter_removed(lab, nginx, instance, takeover, removal):
    """Another tool clears up what is not its own: attached again, and said."""
    instance.start("--takeover", takeover, "--attach", "clsact").publish(NAME)
    before = attached.attachments(lab.server)
    lab.server.run(*REMOVALS[removal])
    wait_until_said(instance, "eth0", "attached again")
    assert attached.attachments(lab.server) == before
    check_challenge(lab)
    check_production(lab, nginx)

    assert instance.responder.stop() == 0
    assert not attached.attachments(lab.server)


@pytest.mark.row("S6")
@pytest.mark.parametrize("pin", ("link_lookup", "link_eth0"))
def test_link_detached(lab, nginx, instance, pin):
    instance.start("--takeover", "assign").publish(NAME)
    before = attached.attachments(lab.server)
    with lab.server.entered():
        pin = pin.replace("eth0", str(socket.if_nametoindex("eth0")))
    hosts.run("bpftool", "link", "detach", "id", str(instance.links()[pin]))
    assert attached.attachments(lab.server) != before
    hosts.wait_for(lambda: attached.attachments(lab.server) == before, "all to be attached")
    assert wait_until_said(instance, "attached again") == 1
    check_challenge(lab)
    check_production(lab, nginx)


def monitor_of(instance):
    return hosts.run("ps", "--ppid", instance.responder.pid, "-o", "pid=").stdout.split()[0]


@contextlib.contextmanager
def paused(pid):
    """A process that stands still."""
    hosts.run("kill", "-STOP", pid)
    try:
        yield
    finally:
        hosts.run("kill", "-CONT", pid)


@pytest.mark.row("S6")
def test_attaching_failed_once(lab, nginx, instance, takeover):
    """What stood in the way goes: the interface is steered from then on."""
    instance.start("--takeover", takeover, "--attach", "clsact").publish(NAME)
    with paused(monitor_of(instance)):
        lab.server.run("ip", "link", "add", "late0", "type", "veth", "peer", "name", "late1")
        lab.server.run("tc", "qdisc", "add", "dev", "late0", "clsact")
        # The priority of Sidestep's filter, for another protocol: there is no place for two.
        lab.server.run(
            *("tc", "filter", "add", "dev", "late0", "ingress", "pref", "443"),
            *("protocol", "arp", "u32", "match", "u32", "0", "0", "flowid", "1:1"),
        )
    hosts.wait_for(
        lambda: instance.status()["responder"]["unprotected"] == ["late0"],
        "the interface to be unprotected",
    )
    wait_until_said(instance, "cannot attach", "late0")

    lab.server.run("tc", "filter", "del", "dev", "late0", "ingress")
    hosts.wait_for(
        lambda: "late0" in instance.status()["responder"]["interfaces"],
        "the interface to be protected",
    )
    assert "clsact late0" in attached.attachments(lab.server)
    assert wait_until_said(instance, "cannot attach", "late0") == 1


@pytest.mark.row("S6")
@pytest.mark.parametrize("attach", ("tcx", "clsact"))
@pytest.mark.parametrize("interface", ("eth0", "lo"))
def test_link_down_and_up(lab, nginx, instance, takeover, attach, interface):
    instance.start("--takeover", takeover, "--attach", attach).publish(NAME)
    lab.server.run("ip", "link", "set", interface, "down")
    lab.server.run("ip", "link", "set", interface, "up")
    if interface == "eth0":  # an interface loses its IPv6 addresses when it goes down
        lab.server.run("ip", "address", "add", f"{lab.server.ipv6}/64", "dev", "eth0", "nodad")
        hosts.wait_for(lab.server.has_wire, "the wire")
    check_challenge(lab)
    check_production(lab, nginx)


# --- addresses ----------------------------------------------------------------------------------


@pytest.mark.row("S7")
@pytest.mark.parametrize("missing", ("both", "ipv6"))
def test_loopback_comes_late(lab, nginx, instance, takeover, missing):
    """As at boot: what the responder's own listeners are bound to is not there yet."""
    if missing == "both":
        lab.server.run("ip", "link", "set", "lo", "down")
    else:
        lab.server.run("sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=1")
    instance.start("--takeover", takeover).publish(NAME)
    check_challenge(lab)
    check_production(lab, nginx)
