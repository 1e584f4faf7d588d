# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes around the responder while it runs: each change is seen, and answered."""

import contextlib
import ctypes
import os
import time

import certificates
import clients
import hosts
import pytest
import sidestep

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


# --- the responder itself -----------------------------------------------------------------------


def ptrace(request, thread):
    if _libc.ptrace(request, thread, 0, 0):
        raise OSError(ctypes.get_errno(), "ptrace")


@contextlib.contextmanager
def stopped_thread(process):
    """One answering thread stands still; all others of the process go on."""
    threads = [int(thread) for thread in os.listdir(f"/proc/{process.pid}/task")]
    thread = max(threads)
    assert thread != process.pid
    ptrace(PTRACE_SEIZE, thread)
    ptrace(PTRACE_INTERRUPT, thread)
    os.waitpid(thread, 0x40000000)  # __WALL
    try:
        yield
    finally:
        ptrace(PTRACE_DETACH, thread)


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


# --- what is attached ---------------------------------------------------------------------------


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
