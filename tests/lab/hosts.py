# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts made of network namespaces, and the processes that run on them.

A Lab has two: `validator`, where certificate authorities and clients live, and
`server`, where production and Sidestep do.  A veth pair connects them.  All that
a lab made is gone after close(), whatever happened: processes are ended by
their process id, mounts and namespaces removed.
"""

import contextlib
import ctypes
import errno
import ipaddress
import itertools
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import time

SOURCE = pathlib.Path(__file__).parents[2]
BUILD = pathlib.Path(os.environ.get("O", SOURCE / "build")).resolve()
PEERS = SOURCE / "build/peers/usr/bin"

PATIENCE_S = 30  # for what takes a second on an idle machine
CLONE_NEWNET = 0x40000000
# For forbid_io_uring(): linux/prctl.h, linux/seccomp.h, linux/filter.h.
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW = 0x00050000, 0x7FFF0000
BPF_LOAD_WORD, BPF_JUMP_IF_EQUAL, BPF_RETURN = 0x20, 0x15, 0x06
SYS_IO_URING_SETUP = 425  # on every architecture
SANITIZER_FINDING = re.compile(r"(Address|Leak|UndefinedBehavior)Sanitizer|runtime error:")

_libc = ctypes.CDLL(None, use_errno=True)


def run(*command, check=True, **options):
    """Run a program to its end, which with `check` must be a success."""
    words = [str(word) for word in command]
    options = {"capture_output": True, "text": True, "timeout": PATIENCE_S, **options}
    result = subprocess.run(words, check=False, **options)
    if check and result.returncode != 0:
        raise AssertionError(
            f"{' '.join(words)}: exit status {result.returncode}\n{result.stdout}{result.stderr}"
        )
    return result


def wait_for(condition, what, patience_s=PATIENCE_S):
    """Ask until the answer is true, and return it."""
    end = time.monotonic() + patience_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"waited {patience_s} s for {what}")
        time.sleep(0.02)


def forbid_io_uring():
    """From here on io_uring_setup() fails in this process and its children, with EPERM: as where
    the sysctl kernel.io_uring_disabled is 2, or in most containers."""

    def instruction(code, value, if_true=0, if_false=0):
        return struct.pack("=HBBI", code, if_true, if_false, value)

    program = b"".join((
        instruction(BPF_LOAD_WORD, 0),  # the number of the system call
        instruction(BPF_JUMP_IF_EQUAL, SYS_IO_URING_SETUP, 0, 1),
        instruction(BPF_RETURN, SECCOMP_RET_ERRNO | errno.EPERM),
        instruction(BPF_RETURN, SECCOMP_RET_ALLOW),
    ))
    instructions = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))
    if _libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_SECCOMP)")


class Process:
    """A program that runs until the lab is closed, or stop() or kill()."""

    def __init__(self, name, command, log, **options):
        self.name = name
        self.log = log
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                **options,
            )

    @property
    def pid(self):
        return self.popen.pid

    def is_running(self):
        return self.popen.poll() is None

    def output(self):
        return self.log.read_text(errors="replace")

    def wait(self, patience_s=PATIENCE_S):
        """Wait for the end that the program itself comes to; its exit status."""
        return self.popen.wait(patience_s)

    def stop(self):
        """SIGTERM; the exit status."""
        self.popen.terminate()
        try:
            return self.popen.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self):
        """SIGKILL."""
        self.popen.kill()
        self.popen.wait(PATIENCE_S)

    def wait_until(self, condition, what):
        """Wait for something that the program does; at once at an end if it ends before."""

        def done():
            if not self.is_running():
                raise ChildProcessError(f"{self.name} ended instead: {self.output()[-2000:]}")
            return condition()

        return wait_for(done, f"{self.name}: {what}")


class Host:
    """One network namespace, with an address of each family unless it is only a wire's."""

    def __init__(self, lab, name, ipv4=None, ipv6=None):
        self.lab = lab
        self.name = name
        self.namespace = f"sidestep-{os.getpid()}-{lab.number}-{name}"
        self.path = f"/run/netns/{self.namespace}"
        self.ipv4 = ipaddress.ip_address(ipv4) if ipv4 else None
        self.ipv6 = ipaddress.ip_address(ipv6) if ipv6 else None
        run("ip", "netns", "add", self.namespace)
        self.run("ip", "link", "set", "lo", "up")

    def remove(self):
        run("ip", "netns", "delete", self.namespace)

    def enter(self, *command):
        """The words that run a command on this host.  Mounts stay those of the machine."""
        return ["nsenter", f"--net={self.path}", *command]

    def run(self, *command, **options):
        """Run a program on this host to its end; it must succeed unless check=False."""
        return run(*self.enter(*command), **options)

    def start(self, name, *command, **options):
        """Start a program on this host that runs on."""
        process = Process(name, self.enter(*command), self.lab.log(name), **options)
        self.lab.processes.append(process)
        return process

    @contextlib.contextmanager
    def entered(self):
        """Sockets that this thread opens inside belong to this host, and go on doing so."""
        with open("/proc/thread-self/ns/net", "rb") as home, open(self.path, "rb") as away:
            set_namespace(away)
            try:
                yield
            finally:
                set_namespace(home)

    def inode(self):
        """What tells this host's namespace from others."""
        return os.stat(self.path).st_ino

    def processes(self):
        """The process ids of all that runs here."""
        return [int(pid) for pid in run("ip", "netns", "pids", self.namespace).stdout.split()]

    def has_wire(self):
        """Whether eth0 sends.  To ask for this one interface makes the kernel look at once."""
        return "state UP" in self.run("ip", "link", "show", "dev", "eth0").stdout

    def listens(self, port):
        """Whether a TCP socket listens on this port, of either family."""
        return bool(self.run("ss", "-Hltn", f"sport = :{port}").stdout.strip())

    def accepts(self, port, addresses=()):
        """Whether a connection to this port opens, over both families or at these addresses."""
        with self.entered():
            for address in addresses or (self.ipv4, self.ipv6):
                try:
                    socket.create_connection((str(address), port), PATIENCE_S).close()
                except OSError:
                    return False
        return True


def set_namespace(file):
    if _libc.setns(file.fileno(), CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Lab:
    """Two hosts on one wire, a directory, and everything that was started."""

    made = itertools.count()  # by this process

    def __init__(self):
        self.number = next(Lab.made)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="sidestep-net-"))
        self.directory.chmod(0o755)  # servers run as other users
        self.processes = []
        self.logs = {}
        self.hosts = []
        try:
            self.validator = self.add_host("validator", "192.0.2.1", "2001:db8::1")
            self.server = self.add_host("server", "192.0.2.2", "2001:db8::2")
            self.connect()
        except BaseException:
            self.close()
            raise

    def add_host(self, *arguments):
        return self.adopt(Host(self, *arguments))

    def adopt(self, host):
        """Remove this host, too, at the end."""
        self.hosts.append(host)
        return host

    def connect(self):
        """As a wire would: without offloads, which join segments that arrive as two."""
        run(
            *("ip", "link", "add", "eth0", "netns", self.validator.namespace, "type", "veth"),
            *("peer", "name", "eth0", "netns", self.server.namespace),
        )
        for host in self.hosts:
            self.set_offloads(host, "off")
            host.run("ip", "address", "add", f"{host.ipv4}/24", "dev", "eth0")
            host.run("ip", "address", "add", f"{host.ipv6}/64", "dev", "eth0", "nodad")
            host.run("ip", "link", "set", "eth0", "up")
        for host in self.hosts:
            wait_for(host.has_wire, "the wire")

    def set_offloads(self, host, state):
        words = [word for feature in ("tso", "gso", "gro") for word in (feature, state)]
        host.run("ethtool", "-K", "eth0", *words)

    def log(self, name):
        """A file of the directory for what `name` writes."""
        self.logs.setdefault(name, self.directory / f"{name}.log")
        return self.logs[name]

    def make_directory(self, name, mode=0o755):
        path = self.directory / name
        path.mkdir(exist_ok=True)
        path.chmod(mode)
        return path

    def close(self):
        """End and remove everything; the things that should not have been there."""
        problems = []
        for process in reversed(self.processes):
            if process.is_running():
                try:
                    process.stop()
                except subprocess.TimeoutExpired:
                    problems.append(f"{process.name} did not end at SIGTERM")
        problems += self.end_leftovers()
        problems += self.find_sanitizer_findings()
        for mount in self.mounts():
            run("umount", mount)
        for host in self.hosts:
            host.remove()
        shutil.rmtree(self.directory)
        return problems

    def end_leftovers(self):
        """No process may outlive the one that started it by more than a moment."""
        problems = []
        for host in self.hosts:
            with contextlib.suppress(TimeoutError):
                wait_for(lambda host=host: not host.processes(), "processes to end", 5)
            for pid in host.processes():
                with contextlib.suppress(OSError):
                    words = pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                    problems.append(f"left running: {' '.join(words)}")
                    os.kill(pid, 9)
        return problems

    def find_sanitizer_findings(self):
        return [
            f"{name}: {match.group(0)}"
            for name, log in self.logs.items()
            if log.exists() and (match := SANITIZER_FINDING.search(log.read_text(errors="replace")))
        ]

    def mounts(self):
        """Mount points below the directory, the deepest first."""
        points = [line.split()[1] for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
        return sorted((p for p in points if p.startswith(f"{self.directory}/")), reverse=True)
