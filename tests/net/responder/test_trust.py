# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what on the host: strangers, members of the group, and parts of ours that are taken over."""

import pathlib
import sys
import textwrap

import pytest

from lab import attached, certificates, clients, hosts, sidestep

NAME = "www.example.org"
PATIENCE_S = 60  # longer than any lock is waited for

# Takes every lock that this user can take below a directory, and keeps them.
HOLD_LOCKS = textwrap.dedent("""
    import fcntl, os, pathlib, struct, sys, time
    held = 0
    for path in [pathlib.Path(sys.argv[1]), *pathlib.Path(sys.argv[1]).rglob("*")]:
        for flags in (os.O_RDWR, os.O_RDONLY):
            try:
                fd = os.open(path, flags | os.O_NONBLOCK)
            except OSError:
                continue
            for take in (
                lambda: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB),
                lambda: fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", 1, 0, 0, 0, 0)),
                lambda: fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", 0, 0, 0, 0, 0)),
            ):
                try:
                    take()
                    held += 1
                except OSError:
                    pass
    print("holding", held, flush=True)
    time.sleep(600)
""")


def check_challenge(lab, name=NAME):
    answer = clients.validate(lab.validator, lab.server.ipv4, name)
    certificates.check_challenge(answer.certificate, name, sidestep.DIGEST)


def hold_locks(lab, instance, user, group=None):
    """Another process with all locks of the instance that it can get."""
    words = (*sidestep.as_user(user, group), sys.executable, "-c", HOLD_LOCKS)
    number = len(lab.logs)
    holder = lab.server.start(f"holder-{number}", *words, instance.root / "run/sidestep")
    holder.wait_until(lambda: "holding" in holder.output(), "its locks")
    return holder


def status_of(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


# --- locks -----------------------------------------------------------------------------------


@pytest.mark.row("W2")
def test_stranger_cannot_stop_the_next_start(lab, nginx, instance):
    """Neither by what an ended responder leaves nor by what a running one holds."""
    instance.start().publish(NAME)
    hold_locks(lab, instance, sidestep.STRANGER)
    assert instance.responder.stop() == 0
    hold_locks(lab, instance, sidestep.STRANGER)
    instance.start("--verbose")
    check_challenge(lab)
    assert instance.run_responder("--upgrade").returncode == 0
    assert instance.responder.stop() == 0
    assert instance.run_responder("--unload").returncode == 0


@pytest.mark.row("W2")
def test_member_of_the_group_cannot_block(lab, nginx, instance, takeover):
    """It may write the table, so it can hinder those who publish: they say so, and do not hang."""
    instance.start("--takeover", takeover).publish(NAME)
    holder = hold_locks(lab, instance, sidestep.STRANGER, sidestep.GROUP)
    run = instance.agent(
        *("publish", "other.example.org", "--key-authorization", sidestep.KEY_AUTHORIZATION),
        timeout=PATIENCE_S,
    )
    assert run.returncode == 1
    assert "lock" in run.stderr and "next: " in run.stderr
    check_challenge(lab)
    lab.server.run("ip", "link", "add", "late0", "type", "veth", "peer", "late1")
    hosts.wait_for(lambda: "tcx late0" in attached.attachments(lab.server), "it to be attached")
    assert instance.run_responder("--upgrade", timeout=PATIENCE_S).returncode == 0
    before = instance.responder
    instance.start("--takeover", takeover, "--replace")
    assert before.wait() == 0
    assert instance.responder.stop() == 0
    assert not attached.attachments(lab.server)
    holder.stop()


# --- users -----------------------------------------------------------------------------------


@pytest.mark.row("W3")
def test_responder_is_in_no_group(lab, nginx, instance, takeover):
    """What it runs as may not publish, nor read what the group may read."""
    instance.start("--takeover", takeover)
    status = status_of(instance.responder.pid)
    assert not status["Groups"].split()
    shared = hosts.run("getent", "group", sidestep.GROUP).stdout.split(":")[2]
    assert shared not in status["Gid"].split()
    user, group = status["Uid"].split()[0], status["Gid"].split()[0]
    run = instance.agent(
        *("publish", NAME, "--key-authorization", sidestep.KEY_AUTHORIZATION),
        user=user,
        group=group,
    )
    assert run.returncode == 1 and "permission" in run.stderr
    assert not instance.pending()


@pytest.mark.row("W3")
def test_root_is_no_user_for_it(lab, nginx, instance):
    run = instance.run_responder("--user", "root")
    assert run.returncode == 1 and "root" in run.stderr
    assert not attached.attachments(lab.server)


@pytest.mark.row("W3")
def test_its_own_group_may_not_be_the_one_that_publishes(lab, nginx, instance):
    group = hosts.run("id", "-gn", sidestep.USER).stdout.strip()
    run = instance.run_responder("--group", group)
    assert run.returncode == 1
    assert group in run.stderr and "--group" in run.stderr


# --- descriptors ------------------------------------------------------------------------------


@pytest.mark.row("W5")
@pytest.mark.parametrize(
    "arguments",
    (
        ("status",),
        ("status", NAME),
        ("publish", "other.example.org", "--key-authorization", "wrong"),
        ("publish", "other.example.org", "--key-authorization", "a.b", "--verbose"),
        ("certonly", "--server", "https://192.0.2.1:1/", "--agree-tos", "-d", NAME, "--verbose"),
        ("check", NAME),
    ),
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_closed_standard_descriptors(lab, nginx, instance, arguments):
    """What the agent writes to standard output and error goes nowhere, then, and into no table."""
    instance.start().publish(NAME)
    table = instance.root / "run/sidestep/challenges"
    before = table.stat().st_size, table.read_bytes()[:256]
    words = (instance.programs / "sidestep", arguments[0], "--root", instance.root, *arguments[1:])
    for closing in ("<&- >&- 2>&-", ">&- 2>&-", "2>&-", "<&- 2>&-"):
        lab.server.run("sh", "-c", f'exec "$@" {closing}', "sh", *words, check=False)
    assert (table.stat().st_size, table.read_bytes()[:256]) == before
    assert NAME in instance.pending()
    check_challenge(lab)
