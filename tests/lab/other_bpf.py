# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF programs of other software, attached beside Sidestep's: other_bpf.bpf.c."""

import contextlib
import ctypes
import os
import socket

from lab.hosts import BUILD

OBJECT = BUILD / "tests/lab/other_bpf.bpf.o"

# enum setting of other_bpf.bpf.c, in its order.
SETTINGS = ("port", "refused_port", "mark", "verdict", "to_port", "assign_flags")
COUNTERS = ("done", "dropped")

# What a tc program may return (linux/pkt_cls.h); TCX has names of its own for the same numbers.
UNSPEC, OK = -1, 0

# linux/bpf.h and bpf/libbpf.h
SK_LOOKUP, TCX_INGRESS, TCX_EGRESS = 36, 46, 47
ATTACH_BEFORE = 1 << 3
ASSIGN_REPLACE = 1 << 0
TC_INGRESS = 1 << 0

PIDFD_GETFD = 438  # of every architecture's system calls

_libc = ctypes.CDLL(None, use_errno=True)
_libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
_libbpf.bpf_object__open_file.restype = ctypes.c_void_p
_libbpf.bpf_object__next_program.restype = ctypes.c_void_p
_libbpf.bpf_object__find_program_by_name.restype = ctypes.c_void_p


class LinkOptions(ctypes.Structure):
    """struct bpf_link_create_opts, as much of it as is used."""

    _fields_ = (("size", ctypes.c_size_t), ("flags", ctypes.c_uint64))


class TcHook(ctypes.Structure):
    """struct bpf_tc_hook."""

    _fields_ = (
        *(("size", ctypes.c_size_t), ("ifindex", ctypes.c_int)),
        *(("attach_point", ctypes.c_int), ("parent", ctypes.c_uint64)),
    )


class TcOptions(ctypes.Structure):
    """struct bpf_tc_opts."""

    _fields_ = (
        *(("size", ctypes.c_size_t), ("program", ctypes.c_int), ("flags", ctypes.c_uint32)),
        *(("program_id", ctypes.c_uint32), ("handle", ctypes.c_uint32)),
        ("priority", ctypes.c_uint64),
    )


def check(result, what):
    """A result of libbpf's that is negative is an error."""
    if result < 0:
        raise OSError(-result, f"{what}: {os.strerror(-result)}")
    return result


class Neighbour:
    """One program of other_bpf.bpf.c on a host: loaded, with its settings; attached by attach_*()."""

    def __init__(self, host, program, **settings):
        self.host = host
        self.links = []
        self.object = ctypes.c_void_p(_libbpf.bpf_object__open_file(str(OBJECT).encode(), None))
        if not self.object:
            raise OSError(ctypes.get_errno(), f"{OBJECT}: run 'make check-net'")
        wanted = _libbpf.bpf_object__find_program_by_name(self.object, program.encode())
        each = None
        while each := _libbpf.bpf_object__next_program(self.object, ctypes.c_void_p(each)):
            _libbpf.bpf_program__set_autoload(ctypes.c_void_p(each), each == wanted)
        check(_libbpf.bpf_object__load(self.object), "bpf_object__load")
        self.program = check(_libbpf.bpf_program__fd(ctypes.c_void_p(wanted)), program)
        for name, value in settings.items():
            self.update("settings", SETTINGS.index(name), ctypes.c_uint32(value))

    def close(self):
        """Detach it: clsact filters go with their interface."""
        for link in self.links:
            os.close(link)
        _libbpf.bpf_object__close(self.object)

    # --- maps ------------------------------------------------------------------------------

    def map(self, name):
        return check(_libbpf.bpf_object__find_map_fd_by_name(self.object, name.encode()), name)

    def update(self, name, key, value):
        key = ctypes.c_uint32(key)
        result = _libbpf.bpf_map_update_elem(
            self.map(name), ctypes.byref(key), ctypes.byref(value), ctypes.c_uint64(0)
        )
        check(result, f"map {name}")

    def count(self, counter="done"):
        key, value = ctypes.c_uint32(COUNTERS.index(counter)), ctypes.c_uint64()
        result = _libbpf.bpf_map_lookup_elem(
            self.map("counters"), ctypes.byref(key), ctypes.byref(value)
        )
        check(result, "map counters")
        return value.value

    def choose(self, listeners):
        """The listeners, IPv4's and IPv6's, that `redirect` leads to."""
        for family, listener in enumerate(listeners):
            self.update("listeners", family, ctypes.c_uint64(listener.fileno()))

    # --- attaching -------------------------------------------------------------------------

    def link(self, target, kind, flags=0):
        options = LinkOptions(ctypes.sizeof(LinkOptions), flags)
        link = _libbpf.bpf_link_create(self.program, target, kind, ctypes.byref(options))
        self.links.append(check(link, "bpf_link_create"))

    def attach_tcx(self, interface, first=False, kind=TCX_INGRESS):
        """Behind all that are attached, or in front of them."""
        with self.host.entered():
            self.link(socket.if_nametoindex(interface), kind, ATTACH_BEFORE if first else 0)

    def attach_clsact(self, interface, priority):
        """A filter of the lower priority number runs first."""
        with self.host.entered():
            index = socket.if_nametoindex(interface)
            hook = TcHook(ctypes.sizeof(TcHook), index, TC_INGRESS)
            with contextlib.suppress(FileExistsError):
                check(_libbpf.bpf_tc_hook_create(ctypes.byref(hook)), "bpf_tc_hook_create")
            options = TcOptions(ctypes.sizeof(TcOptions), self.program, priority=priority)
            result = _libbpf.bpf_tc_attach(ctypes.byref(hook), ctypes.byref(options))
            check(result, "bpf_tc_attach")

    def attach_lookup(self):
        """Behind all that are attached: there is no other order."""
        with open(self.host.path, "rb") as namespace:
            self.link(namespace.fileno(), SK_LOOKUP)


def listeners_of(process, port):
    """The sockets on which a process listens at a port, IPv4's first: as the process has them."""
    pidfd = os.pidfd_open(process.pid)
    found = {}
    for number in os.listdir(f"/proc/{process.pid}/fd"):
        if not os.readlink(f"/proc/{process.pid}/fd/{number}").startswith("socket:"):
            continue
        copy = socket.socket(fileno=_libc.syscall(PIDFD_GETFD, pidfd, int(number), 0))
        listens = copy.type == socket.SOCK_STREAM and copy.getsockopt(
            socket.SOL_SOCKET, socket.SO_ACCEPTCONN
        )
        if listens and copy.getsockname()[1] == port:
            found[copy.family] = copy
        else:
            copy.close()
    os.close(pidfd)
    return [found[socket.AF_INET], found[socket.AF_INET6]]
