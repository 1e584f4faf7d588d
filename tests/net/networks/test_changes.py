# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that is changed while it works: kernel settings, links, queueing disciplines.

Three networks go through the same changes at the same time, one of them without Sidestep.
Production must fail no client more beside Sidestep than alone.
"""

import time

import pytest

from lab import hosts, networks

RATE = 60  # visits a second
STEP_S = 0.1
VALIDATIONS = 20

V4, V6, CORE = "net.ipv4.", "net.ipv6.conf.all.", "net.core."


def settings(*pairs):
    """Commands that give kernel settings one value after the other."""
    return [("sysctl", "-qw", f"{name}={value}") for name, *values in pairs for value in values]


CHANGES = {
    "cookies": 4 * settings((f"{V4}tcp_syncookies", 2, 1, 0, 1)),
    "tcp": settings(
        (f"{V4}tcp_timestamps", 0, 1),
        (f"{V4}tcp_window_scaling", 0, 1),
        (f"{V4}tcp_sack", 0, 1),
        (f"{V4}tcp_ecn", 1, 2),
        (f"{V4}tcp_fastopen", 3, 1),
        (f"{V4}tcp_max_syn_backlog", 16, 512),
        (f"{V4}tcp_abort_on_overflow", 1, 0),
        (f"{V4}tcp_early_demux", 0, 1),
        (f"{V4}tcp_migrate_req", 1, 0),
        (f"{V4}tcp_l3mdev_accept", 1, 0),
        (f"{V4}tcp_rfc1337", 1, 0),
    ),
    "ip": settings(
        (f"{V4}ip_forward", 1, 0),
        (f"{V6}forwarding", 1, 0),
        (f"{V4}conf.all.rp_filter", 1, 2, 0),
        (f"{V4}conf.eth0.rp_filter", 1, 2, 0),
        (f"{V4}conf.all.route_localnet", 1, 0),
        (f"{V4}ip_early_demux", 0, 1),
        (f"{V4}ip_local_port_range", "40000 60000", "32768 60999"),
        (f"{CORE}somaxconn", 128, 4096),
        ("net.netfilter.nf_conntrack_tcp_loose", 0, 1),
    ),
    "link": [
        ("ip", "link", "set", "eth0", "mtu", "1400"),
        ("ip", "link", "set", "eth0", "mtu", "1500"),
        ("ip", "link", "set", "eth0", "promisc", "on"),
        ("ip", "link", "set", "eth0", "promisc", "off"),
        ("ip", "link", "set", "lo", "down"),
        ("ip", "link", "set", "lo", "up"),
        ("ip", "link", "set", "eth0", "down"),
        ("ip", "link", "set", "eth0", "up"),
    ],
    "offloads": [
        ("ethtool", "-K", "eth0", feature, state)
        for feature in ("gro", "gso", "tso", "tx", "rx", "sg")
        for state in ("off", "on")
    ],
    "queueing": 2
    * [
        ("tc", "qdisc", "replace", "dev", "eth0", "root", "handle", "1:", "htb"),
        ("tc", "qdisc", "del", "dev", "eth0", "root"),
        ("tc", "qdisc", "replace", "dev", "eth0", "clsact"),
        ("tc", "filter", "del", "dev", "eth0", "ingress"),
        ("tc", "qdisc", "del", "dev", "eth0", "clsact"),
        ("tc", "qdisc", "replace", "dev", "eth0", "ingress"),
        ("tc", "qdisc", "del", "dev", "eth0", "ingress"),
    ],
    "neighbours": 2
    * [
        ("ip", "neighbour", "flush", "dev", "eth0"),
        ("ip", "route", "flush", "cache"),
        ("ip", "address", "add", "192.0.2.9/24", "dev", "eth0"),
        ("ip", "address", "del", "192.0.2.9/24", "dev", "eth0"),
        ("ip", "address", "add", "2001:db8::9/64", "dev", "eth0", "nodad"),
        ("ip", "address", "del", "2001:db8::9/64", "dev", "eth0"),
    ],
}
TRIALS = [*((name, "tcx") for name in CHANGES), ("queueing", "clsact"), ("link", "clsact")]


def change(servers, commands):
    """One after the other, the same on all."""
    for command in commands:
        for server in servers:
            # There may be no such qdisc on some.
            server.run(*command, check=command[0] != "tc")
        time.sleep(STEP_S)


def check_steering(side):
    """All is again what it was, or will be soon: the monitor looks every some seconds."""
    assert side.instance.responder.is_running()
    hosts.wait_for(
        lambda: networks.Validations(side.network, 2, 100).finish()["failed"] == 0, "steering"
    )
    result = networks.Validations(side.network, VALIDATIONS, VALIDATIONS).finish()
    assert result["failed"] == 0, result["failures"]


@pytest.mark.parametrize("changes,attach", TRIALS)
def test_changes(make_network, seed, changes, attach, remark):
    sides = {
        takeover: networks.Side(
            make_network(takeover), "--takeover", takeover, "--attach", attach
        )
        for takeover in ("assign", "repair")
    }
    sides["alone"] = networks.Side(make_network("alone"))
    for side in sides.values():
        # Addresses outlive the link, as with every network manager.
        side.network.server.run("sysctl", "-qw", "net.ipv6.conf.all.keep_addr_on_down=1")
    duration_s = (len(CHANGES[changes]) + 5) * STEP_S
    for side in sides.values():
        side.begin(seed, visits=round(RATE * duration_s), duration_s=duration_s)
    for side in sides.values():
        side.loads["visits"].wait_until_begun()
    change([side.network.server for side in sides.values()], CHANGES[changes])
    results = {name: side.loads["visits"].finish() for name, side in sides.items()}
    remark("; ".join(f"{name}: {networks.describe({'visits': of})}" for name, of in results.items()))
    alone = results.pop("alone")
    for name, of in results.items():
        assert of["failed"] <= alone["failed"], f"{name}: {of['failures']}"
        check_steering(sides[name])
