# SPDX-License-Identifier: GPL-3.0-or-later
"""Every process holds what ARCHITECTURE.md's table says, and nothing else."""

import pathlib
import signal

import pytest

from lab import attached, certificates, clients, holdings, hosts, sidestep

NAME = "www.example.org"
OTHER = "other.example.org"

# Runs as root, takes copies of another process's descriptors, becomes its user, and tries.
HOSTILE = '''
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
pid, uid, gid = (int(word) for word in sys.argv[1:4])
pidfd, copies = os.pidfd_open(pid), []
for name in os.listdir(f"/proc/{pid}/fd"):
    copy = libc.syscall(438, pidfd, int(name), 0)
    assert copy >= 0, name
    copies.append(copy)
os.close(pidfd)
os.setgroups([]); os.setresgid(gid, gid, gid); os.setresuid(uid, uid, uid)
libc.prctl(4, 1, 0, 0, 0)

def bpf(command, words):
    attr = (ctypes.c_uint64 * 16)(*words)
    return libc.syscall(321, command, attr, ctypes.sizeof(attr))

value = (ctypes.c_uint8 * 65536)(*([255] * 65536))
where = ctypes.addressof(value)
done = []
# ARCHITECTURE.md says what a bpffs that everyone may write would mean.
mounts = [line.split()[1] for line in open("/proc/mounts") if line.split()[2] == "bpf"]
mounts = [path for path in mounts if not os.stat(path).st_mode & 2]
for fd in copies:
    # BPF_MAP_UPDATE_ELEM with keys of 0 and of ones, BPF_MAP_DELETE_ELEM, BPF_MAP_FREEZE, BPF_LINK_DETACH
    zero = ctypes.addressof((ctypes.c_uint64 * 8)())
    for key in (zero, where):
        if bpf(2, (fd, key, where, 0)) == 0: done.append(("update", fd))
        if bpf(3, (fd, key)) == 0: done.append(("delete", fd))
    if bpf(22, (fd,)) == 0: done.append(("freeze", fd))
    if bpf(34, (fd,)) == 0: done.append(("detach", fd))
    for mount in mounts:
        path = ctypes.create_string_buffer(f"{mount}/stolen".encode())
        if bpf(6, (ctypes.addressof(path), fd)) == 0: done.append(("pin", fd))
    # What is a file and may be written, or is locked.
    target = os.readlink(f"/proc/self/fd/{fd}")
    if target.startswith("/") and not target.startswith("/dev/") and fd > 2:
        for flags in (os.O_RDWR, os.O_WRONLY):
            try: os.close(os.open(f"/proc/self/fd/{fd}", flags)); done.append(("reopen", target))
            except OSError: pass
print("tried", len(copies), "done", done, flush=True)
time.sleep(600)
'''


# Runs as the responder's user, outside of its sandbox, and wants copies of its descriptors.
GREEDY = '''
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
pid = int(sys.argv[1])
done = []
def try_to(what, call):
    try:
        if call() >= 0: done.append(what)
    except OSError:
        pass
pidfd = os.pidfd_open(pid)
for fd in range(100):
    try_to("copy", lambda: libc.syscall(438, pidfd, fd, 0))
    try_to("open", lambda: os.open(f"/proc/{pid}/fd/{fd}", os.O_RDONLY))
try_to("list", lambda: len(os.listdir(f"/proc/{pid}/fd")))
try_to("memory", lambda: os.open(f"/proc/{pid}/mem", os.O_RDONLY))
try_to("trace", lambda: libc.ptrace(0x4206, pid, 0, 0))  # PTRACE_SEIZE
print("done", done)
'''


def processes(instance):
    """The responder's holdings, and its monitor's."""
    children = hosts.run("ps", "--ppid", instance.responder.pid, "-o", "pid=").stdout.split()
    assert len(children) == 1
    return (
        holdings.Holdings(instance, instance.responder.pid),
        holdings.Holdings(instance, int(children[0])),
    )


def check_challenge(lab):
    answer = clients.validate(lab.validator, lab.server.ipv4, NAME)
    certificates.check_challenge(answer.certificate, NAME, sidestep.DIGEST)


def check_against_table(held, column):
    """Of descriptors, memory and capabilities there is nothing that the table has not."""
    rows = {row: cells[column] for row, cells in holdings.table().items()}
    assert held.descriptors() <= rows["descriptors"], held.descriptors() - rows["descriptors"]
    shared = rows["memory shared with others"]
    assert held.memory() <= shared, held.memory() - shared
    assert held.capabilities() <= rows["capabilities"]
    assert held.mount_namespace() == pathlib.Path("/proc/self/ns/mnt").readlink()


def check_confined(held):
    """No way to more than it has."""
    assert int(held.status["CapBnd"], 16) == 0
    assert held.status["NoNewPrivs"].strip() == "1"
    assert held.status["Seccomp"].strip() == "2"
    assert not held.ids("Groups")


KINDS = {
    "assign": ("--takeover", "assign"),
    "repair": ("--takeover", "repair"),
    "clsact": ("--attach", "clsact"),
    "standalone": ("--standalone",),
}


@pytest.mark.row("W1")
@pytest.mark.parametrize("engine", ("io_uring", "epoll"))
@pytest.mark.parametrize("kind", KINDS)
def test_table(lab, request, kind, engine):
    """Fresh, after answers, and after a handover."""
    if kind != "standalone":
        request.getfixturevalue("nginx")
    instance = sidestep.Sidestep(lab, engine=engine).start(*KINDS[kind])
    instance.publish(NAME)
    for replaced in (False, True):
        if replaced:
            before = instance.responder
            instance.start(*KINDS[kind], "--replace")
            assert before.wait() == 0
        check_challenge(lab)
        responder, monitor = processes(instance)
        for held, column in ((responder, "responder and its threads"), (monitor, "monitor")):
            check_against_table(held, column)
            check_confined(held)
        assert len(set(responder.ids("Uid"))) == 1 and responder.ids("Uid")[0] != 0
        assert set(responder.ids("Uid")).isdisjoint(monitor.ids("Uid"))
        shared = hosts.run("getent", "group", sidestep.GROUP).stdout.split(":")[2]
        assert int(shared) not in responder.ids("Gid")
        assert not responder.capabilities()
        # The table is not read in vain.
        assert {"map challenges r", "listener"} <= responder.descriptors()
        assert "private/instance.lock" in monitor.descriptors()


def test_agent(lab, nginx, instance):
    """`sidestep run`, as its unit starts it."""
    instance.start().publish(NAME)
    state = instance.state
    state.mkdir(parents=True)
    hosts.run("chown", sidestep.STRANGER, state)
    words = sidestep.as_user(sidestep.STRANGER, sidestep.GROUP)
    agent = lab.server.start(
        "agent", *words, instance.programs / "sidestep", "run", "--root", instance.root
    )
    agent.wait_until(lambda: (state / "state.db").exists(), "its database")
    held = holdings.Holdings(instance, agent.pid)
    hosts.wait_for(lambda: "var/lib/sidestep/state.db" in held.descriptors(), "it to be open")
    check_against_table(held, "agent")
    assert not held.capabilities()
    agent.stop()


@pytest.mark.row("W1")
def test_nobody_copies_the_descriptors(lab, nginx, instance):
    """Not even the responder's own user: only the sandboxed process itself has them."""
    instance.start()
    responder, monitor = processes(instance)
    user = sidestep.as_user(responder.ids("Uid")[0], responder.ids("Gid")[0])
    for process in (responder, monitor):
        run = lab.server.run(*user, "/usr/bin/python3", "-c", GREEDY, process.proc.name)
        assert run.stdout.strip() == "done []"


@pytest.mark.row("W1")
@pytest.mark.parametrize("end", ("killed", "ended"))
@pytest.mark.parametrize("kind", ("assign", "repair"))
def test_copies_of_the_descriptors(lab, nginx, instance, kind, end):
    """Whoever has them, as the responder's user: production stays production's, and ours ours."""
    instance.start(*KINDS[kind]).publish(NAME)
    responder, _ = processes(instance)
    ids = (responder.ids("Uid")[0], responder.ids("Gid")[0])
    hostile = lab.server.start(
        "hostile", "/usr/bin/python3", "-c", HOSTILE, instance.responder.pid, *ids
    )
    hostile.wait_until(lambda: "tried" in hostile.output(), "its attempts")
    count = len(list((responder.proc / "fd").iterdir()))
    assert hostile.output().strip() == f"tried {count} done []"
    assert clients.get(lab.validator, lab.server.ipv4, NAME).certificate == nginx.certificate
    assert instance.pending() == [NAME]
    check_challenge(lab)
    run = instance.agent(
        *("publish", OTHER, "--key-authorization", sidestep.KEY_AUTHORIZATION),
        user=ids[0],
        group=ids[1],
    )
    assert run.returncode == 1 and "permission" in run.stderr

    if end == "killed":
        instance.responder.kill()
    else:
        assert instance.responder.stop() == 0
        assert not attached.attachments(lab.server)
    assert hostile.is_running()
    instance.start(*KINDS[kind])
    check_challenge(lab)
    assert clients.get(lab.validator, lab.server.ipv4, NAME).certificate == nginx.certificate
    hostile.popen.send_signal(signal.SIGKILL)


@pytest.mark.row("W1")
def test_a_call_that_is_not_allowed_fails_open(lab, nginx, instance):
    """It kills the responder, as the kernel does then: all is production's, at once."""
    instance.start().publish(NAME)
    hosts.run("kill", "-SYS", instance.responder.pid)
    assert instance.responder.wait() == -signal.SIGSYS
    hosts.wait_for(
        lambda: clients.get(lab.validator, lab.server.ipv4, NAME).certificate
        == nginx.certificate,
        "production",
    )
    instance.start()
    check_challenge(lab)
