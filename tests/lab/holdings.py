# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running process holds, as /proc shows it, in the words of ARCHITECTURE.md's table."""

import json
import pathlib
import re

from lab import hosts

TABLE = hosts.SOURCE / "ARCHITECTURE.md"
HEADING = "## Who holds what"

TCP_LISTEN = "0A"  # as /proc/net/tcp has it
ANONYMOUS = {
    "anon_inode:[eventfd]": "eventfd",
    "anon_inode:[eventpoll]": "eventpoll",
    "anon_inode:[signalfd]": "signalfd",
    "anon_inode:[timerfd]": "timerfd",
    "anon_inode:[io_uring]": "io_uring",
    "anon_inode:[pidfd]": "pidfd",
    "anon_inode:bpf-prog": "bpf program",
    "anon_inode:bpf_link": "bpf link",
}
# The program itself and what it is linked with.
CODE = re.compile(r"/programs/|/usr/|/lib|\[(heap|stack|vdso|vvar|vsyscall)")


def table():
    """The table's cells, as sets of what stands between backticks: {row: {column: words}}."""
    text = TABLE.read_text(encoding="utf-8")
    section = text[text.index(HEADING) :].split("\n## ", 1)[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    columns = [name.strip() for name in rows[0][1:]]
    return {
        row[0].strip(): {
            column: set(re.findall(r"`([^`]+)`", cell))
            for column, cell in zip(columns, row[1:], strict=True)
        }
        for row in rows[2:]
    }


class Holdings:
    """Of one process of an instance."""

    def __init__(self, instance, pid):
        self.instance = instance
        self.proc = pathlib.Path(f"/proc/{pid}")
        lines = self._read("status").splitlines()
        self.status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)

    def _read(self, name):
        return (self.proc / name).read_text(errors="replace")

    # --- identity ------------------------------------------------------------------------------

    def ids(self, key):
        return [int(word) for word in self.status[key].split()]

    def capabilities(self):
        """In any of its sets but the bounding one, by name."""
        bits = 0
        for key in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
            bits |= int(self.status[key], 16)
        decoded = hosts.run("capsh", f"--decode={bits:016x}").stdout.strip()
        return {word.removeprefix("cap_") for word in decoded.split("=")[1].split(",") if word}

    # --- descriptors ---------------------------------------------------------------------------

    def _sockets(self):
        """What kind of socket an inode is."""
        kinds = {}
        for name in ("tcp", "tcp6"):
            for line in self._read(f"net/{name}").splitlines()[1:]:
                words = line.split()
                kinds[words[9]] = "listener" if words[3] == TCP_LISTEN else "connection"
        for name in ("udp", "udp6"):
            for line in self._read(f"net/{name}").splitlines()[1:]:
                kinds[line.split()[9]] = "udp"
        for line in self._read("net/unix").splitlines()[1:]:
            words = line.split()
            path = words[7] if len(words) > 7 else ""
            kinds[words[6]] = pathlib.Path(path).name or "channel"
        for line in self._read("net/netlink").splitlines()[1:]:
            kinds[line.split()[9]] = "netlink"
        return kinds

    def _file(self, path):
        """A file's name below the instance's directory, or as it is."""
        path = pathlib.Path(path)
        for base in (self.instance.root / "run/sidestep", self.instance.root):
            if path.is_relative_to(base):
                return str(path.relative_to(base))
        return str(path)

    def _map(self, fd):
        """A BPF map's name, and what may be done with it by this descriptor."""
        info = dict(
            line.split(":", 1) for line in self._read(f"fdinfo/{fd}").splitlines() if ":" in line
        )
        shown = hosts.run("bpftool", "--json", "map", "show", "id", info["map_id"].strip())
        rights = {0: "r", 1: "w", 2: "rw"}[int(info["flags"].strip(), 8) & 3]
        if info["frozen"].strip() == "1":
            rights = "r"
        return f"map {json.loads(shown.stdout)['name']} {rights}"

    def _standard(self, target, sockets):
        """What messages go to, and nothing else that these three numbers could stand for."""
        if target.startswith("socket:"):
            kind = sockets.get(target[8:-1], f"unknown {target}")
            return "standard" if kind == "channel" else kind
        return "standard"

    def descriptors(self):
        """The kinds of all descriptors."""
        sockets, kinds = self._sockets(), set()
        for entry in (self.proc / "fd").iterdir():
            fd = int(entry.name)
            try:
                target = str(entry.readlink())
            except FileNotFoundError:  # closed meanwhile
                continue
            if fd <= 2 and not target.startswith(("anon_inode:", f"{self.instance.root}/")):
                kinds.add(self._standard(target, sockets))
            elif target == "anon_inode:bpf-map":
                kinds.add(self._map(fd))
            elif target.startswith("socket:"):
                kinds.add(sockets.get(target[8:-1], f"unknown {target}"))
            else:
                kinds.add(ANONYMOUS.get(target, None) or self._file(target))
        return kinds

    # --- memory --------------------------------------------------------------------------------

    def memory(self):
        """What is shared with others through memory, and how."""
        kinds = set()
        for line in self._read("maps").splitlines():
            words = line.split(maxsplit=5)
            name = words[5] if len(words) > 5 else ""
            rights = words[1]
            assert not ("w" in rights and "x" in rights), line
            if not name or (CODE.search(name) and "s" not in rights):
                continue
            name = {"anon_inode:bpf-map": "map", "anon_inode:[io_uring]": "io_uring"}.get(
                name, self._file(name.removesuffix(" (deleted)"))
            )
            kinds.add(f"{name} {rights.replace('-', '').rstrip('sp')}")
        return kinds

    def mount_namespace(self):
        return (self.proc / "ns/mnt").readlink()
