# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what on the host: strangers, members of the group, and parts of ours that are taken over."""

import hashlib
import pathlib
import signal
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


# Connects to a Unix socket and counts the descriptors that come.
RECEIVE_DESCRIPTORS = textwrap.dedent("""
    import array, socket, sys
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel.settimeout(5)
    channel.connect(sys.argv[1])
    count = 0
    try:
        while True:
            data, ancillary, _, _ = channel.recvmsg(4096, 4096)
            if not data:
                break
            count += sum(len(part[2]) for part in ancillary)
    except OSError:
        pass
    print("received", count)
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


@pytest.mark.row("W4")
def test_root_without_capabilities_gets_no_listeners(lab, nginx, instance):
    """As an agent in a sandbox may be: root by name, and taken over."""
    instance.start().publish(NAME)
    words = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c")
    for path in (instance.root / "run/sidestep").rglob("*.sock"):
        run = lab.server.run(*words, RECEIVE_DESCRIPTORS, path, check=False)
        assert "received 0" in run.stdout or "Error" in run.stderr, run.stdout + run.stderr
    check_challenge(lab)
    before = instance.responder
    instance.start("--replace")
    assert before.wait() == 0
    check_challenge(lab)


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


# --- a responder that is refused ----------------------------------------------------------------


def contents(instance):
    """What each file of the instance is: its inode, and what is in it where that does not change."""
    found = {}
    for path in sorted((instance.root / "run/sidestep").rglob("*")):
        if path.is_file() and "bpf" not in path.parts:
            size = 4096 if path.name in ("challenges", "evidence") else 0
            kept = hashlib.sha256(path.read_bytes()[:size] if size else b"").hexdigest()
            found[str(path)] = path.stat().st_ino, path.stat().st_gid, kept
        elif path.is_file():
            found[str(path)] = path.stat().st_ino, path.stat().st_gid
    return found


def spoil(path):
    """As of another version."""
    with open(path, "r+b") as file:
        file.seek(8)
        file.write(b"\xff")


@pytest.mark.row("W6")
@pytest.mark.parametrize("spoiled", ("challenges", "evidence", ""))
def test_refused_replacement_changes_nothing(lab, nginx, instance, spoiled):
    """Not the files, not the maps, not the programs: what is armed stays so, and is answered."""
    instance.start("--threads", "2").publish(NAME)
    if spoiled:
        spoil(instance.root / "run/sidestep" / spoiled)
    before = contents(instance)
    places, links = attached.attachments(lab.server), instance.links()
    words = ("--threads", "2") if spoiled else ("--threads", "3")
    run = instance.run_responder("--replace", *words, "--group", sidestep.OTHER_GROUP)
    assert run.returncode == 1
    assert contents(instance) == before
    assert (attached.attachments(lab.server), instance.links()) == (places, links)
    check_challenge(lab)
    instance.responder.popen.send_signal(signal.SIGUSR1)
    assert instance.responder.stop() == 0
