# SPDX-License-Identifier: GPL-3.0-or-later
"""What is attached to a host's interfaces and namespace: asked of the kernel, not of Sidestep."""

import ctypes
import socket

# enum bpf_attach_type of linux/bpf.h
SK_LOOKUP, TCX_INGRESS = 36, 46

_libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)


def count_programs(target, kind):
    """Programs of one kind attached to a namespace (its descriptor) or an interface (its index)."""
    count = ctypes.c_uint32(0)
    result = _libbpf.bpf_prog_query(target, kind, 0, None, None, ctypes.byref(count))
    if result < 0:
        raise OSError(-result, "bpf_prog_query")
    return count.value


def attachments(host):
    """Places where a program sees this host's packets, as text."""
    found = []
    with host.entered():
        with open(host.path, "rb") as namespace:
            if count_programs(namespace.fileno(), SK_LOOKUP):
                found.append("sk_lookup")
        interfaces = socket.if_nameindex()
        for index, name in interfaces:
            if count_programs(index, TCX_INGRESS):
                found.append(f"tcx {name}")
    for _, name in interfaces:
        if "bpf" in host.run("tc", "filter", "show", "dev", name, "ingress").stdout:
            found.append(f"clsact {name}")
    if "clsact" in host.run("tc", "qdisc", "show").stdout:
        found.append("clsact qdisc")
    return found

