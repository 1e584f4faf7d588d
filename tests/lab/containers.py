# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers, as far as the network sees them: a namespace that lives as long as its processes.

Nothing but its processes holds the namespace, so that it ends with them, its interfaces and
their addresses too, unless someone else holds it.
"""

import contextlib
import ipaddress
import os
import signal

from lab import hosts


class Container(hosts.Host):
    """On the lab's server host, with a macvlan of the host's eth0 as its own eth0."""

    def __init__(self, lab, name, ipv4, ipv6):  # pylint: disable=super-init-not-called
        self.lab = lab
        self.name = name
        self.ipv4 = ipaddress.ip_address(ipv4)
        self.ipv6 = ipaddress.ip_address(ipv6)
        command = ("unshare", "--net", "sleep", "infinity")
        self.first = lab.server.start(name, *command, start_new_session=True)
        self.path = f"/proc/{self.first.pid}/ns/net"
        self.namespace = None  # it has no name
        self.others = []
        others = (lab.server.inode(), os.stat("/proc/self/ns/net").st_ino)
        self.first.wait_until(lambda: self.inode() not in others, "a namespace of its own")
        self.plug()

    def plug(self):
        self.lab.server.run(
            *("ip", "link", "add", "link", "eth0", "name", "container0"),
            *("type", "macvlan", "mode", "bridge"),
        )
        self.lab.server.run("ip", "link", "set", "container0", "netns", str(self.first.pid))
        self.run("ip", "link", "set", "container0", "name", "eth0")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "address", "add", f"{self.ipv4}/24", "dev", "eth0")
        self.run("ip", "address", "add", f"{self.ipv6}/64", "dev", "eth0", "nodad")
        self.run("ip", "link", "set", "eth0", "up")

    def start(self, name, *command, **options):
        process = super().start(name, *command, start_new_session=True, **options)
        self.others.append(process)
        return process

    def processes(self):
        return [process.pid for process in (self.first, *self.others) if process.is_running()]

    def end(self):
        """As a runtime ends it: SIGKILL to all, their children too."""
        for process in (*self.others, self.first):
            if process.is_running():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.popen.wait(hosts.PATIENCE_S)

    def remove(self):
        self.end()
