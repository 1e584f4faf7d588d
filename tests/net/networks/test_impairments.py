# SPDX-License-Identifier: GPL-3.0-or-later
"""Wires that lose, reorder, duplicate, corrupt and delay.

Three networks beside each other, with the same wire: in two of them production and Sidestep,
each with one takeover; in the third production, and a responder that has a port of its own
(--standalone).  The wire treats the same connections of each alike.  What fails with Sidestep
must fail without it as well: as every client waits for ten seconds, and retransmission
repairs what is lost, next to nothing does.
"""

import os

import pytest

from lab import networks

FACTOR = int(os.environ.get("SIDESTEP_LONGER", "1"))  # so many times as many connections
VALIDATIONS, VISITS, DURATION_S = 160, 60, 2
OWN_PORT = 8443
TAKEOVERS = ("assign", "repair")
IMPAIRMENTS = {
    "loss": ("--loss", 3),
    "much-loss": ("--loss", 5),
    "reordering": ("--late", 10),
    "duplication": ("--duplicate", 5),
    "corruption": ("--corrupt", 3),
    "delay": ("--delay", 50, "--jitter", 20),
    "everything": (
        *("--loss", 1, "--late", 2, "--duplicate", 1, "--corrupt", 1),
        *("--delay", 20, "--jitter", 10),
    ),
}
# Real hosts have offloads.  Without them each segment comes alone.
TRIALS = [
    *((name, "on") for name in IMPAIRMENTS),
    *((name, "off") for name in ("loss", "reordering", "everything")),
]


@pytest.mark.row("S2", "S9", "P5")
@pytest.mark.parametrize("impairment,offloads", TRIALS)
def test_fails_no_more_than_alone(make_network, seed, impairment, offloads, remark):
    sides = {
        takeover: networks.Side(make_network(takeover, offloads), "--takeover", takeover)
        for takeover in TAKEOVERS
    }
    sides["alone"] = networks.Side(
        make_network("alone", offloads), "--standalone", "--port", OWN_PORT, port=OWN_PORT
    )
    for side in sides.values():
        side.network.impair("--seed", seed, *IMPAIRMENTS[impairment])
    for side in sides.values():
        side.begin(seed, VALIDATIONS * FACTOR, VISITS * FACTOR, duration_s=DURATION_S * FACTOR)
    results = {name: side.finish() for name, side in sides.items()}
    remark("; ".join(f"{name}: {networks.describe(of)}" for name, of in results.items()))
    alone = results.pop("alone")
    for name, of in results.items():
        assert of["validations"]["failed"] <= alone["validations"]["failed"], (
            f"{name}: {of['validations']['failures']}"
        )
        assert of["visits"]["failed"] <= alone["visits"]["failed"], (
            f"{name}: {of['visits']['failures']}"
        )
        steered = sides[name].instance.counters()["steered"]
        assert steered >= of["validations"]["validated"] > VALIDATIONS * FACTOR * 0.9


# What a wire does to just one segment of each connection: c0 is the client's SYN, c1 its bare
# acknowledgement, c2 and c3 the two segments of a ClientHello; s0 is the server's SYN-ACK.
ONE_SEGMENT = {
    "SYN-lost": (("--lose", "c0"), "S2"),
    "SYN-ACK-lost": (("--lose", "s0"), "S2"),
    "two-SYN-ACKs-lost": (("--lose", "s0", "--lose", "s1"), "S2"),
    "bare-ACK-lost": (("--lose", "c1"), "S2"),
    "bare-ACK-late": (("--hold", "c1"), "S2"),
    "first-lost": (("--lose", "c2"), "S9"),
    "first-late": (("--hold", "c2"), "S9"),
    "second-lost": (("--lose", "c3"), "S9"),
    "both-lost": (("--lose", "c2", "--lose", "c3"), "S9"),
    "SYN-ACK-and-first-lost": (("--lose", "s0", "--lose", "c3"), "S9"),
}
EACH = 40


@pytest.mark.parametrize(
    "impairment",
    [
        pytest.param(impairment, id=name, marks=pytest.mark.row(row))
        for name, (impairment, row) in ONE_SEGMENT.items()
    ],
)
def test_one_segment_of_each_connection(make_network, seed, impairment):
    """Every validation is answered, and every client of production is served."""
    sides = {
        takeover: networks.Side(make_network(takeover), "--takeover", takeover)
        for takeover in TAKEOVERS
    }
    for side in sides.values():
        side.network.impair(*impairment)
        side.begin(seed, EACH, EACH, hellos=("go", "shuffled"), duration_s=1)
    for name, side in sides.items():
        results = side.finish()
        assert results["validations"]["failed"] == 0, (name, results["validations"]["failures"])
        assert results["visits"]["failed"] == 0, (name, results["visits"]["failures"])


@pytest.mark.row("S2")
def test_slow_retransmission(make_network, seed):
    """A whole ClientHello is lost, and comes again later than production's SYN-ACK would."""
    sides = {
        takeover: networks.Side(make_network(takeover), "--takeover", takeover)
        for takeover in TAKEOVERS
    }
    for side in sides.values():
        validator = side.network.validator
        for family, network in (("-4", "192.0.2.0/24"), ("-6", "2001:db8::/64")):
            validator.run(
                *("ip", family, "route", "replace", network, "dev", "eth0", "rto_min", "1500ms")
            )
        side.network.impair("--lose", "c2")
        side.begin(seed, EACH, EACH, hellos=("small",), duration_s=1)
    for name, side in sides.items():
        results = side.finish()
        assert results["validations"]["failed"] == 0, (name, results["validations"]["failures"])
        assert results["visits"]["failed"] == 0, (name, results["visits"]["failures"])
