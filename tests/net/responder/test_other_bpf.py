# SPDX-License-Identifier: GPL-3.0-or-later
"""Sidestep beside other software that has a say in what comes in at port 443.

Each time: challenges are answered by the responder, everything else reaches
production without one failure, and the other software goes on doing its work.
"""

import contextlib
import ipaddress
import json
import socket
import ssl
import time

import pytest

from lab import certificates, clients, hosts, load_client, other_bpf, production, sidestep

NAME = "www.example.org"
MARK = 0x51DE
REFUSED_PORT = 40443
WINDOW_PROBE_S = 2.5  # a handshake through a window that is taken for too small takes longer
REQUESTS = 50  # of the load, while something else goes on


def families(host):
    return (host.ipv4, host.ipv6)


def check_challenge(lab, *addresses, port=443):
    for address in addresses or families(lab.server):
        answer = clients.validate(lab.validator, address, NAME, port=port)
        certificates.check_challenge(answer.certificate, NAME, sidestep.DIGEST)


def check_production(lab, server, *addresses, port=443):
    for address in addresses or families(lab.server):
        answer = clients.get(lab.validator, address, NAME, port=port)
        assert answer.body == production.BODY
        assert answer.certificate == server.certificate


def check_reaches_production(lab, server, *addresses):
    """What asks for acme-tls/1 and a pending name, where steering cannot work."""
    for address in addresses or families(lab.server):
        answer = clients.validate(lab.validator, address, NAME)
        assert answer.certificate == server.certificate


@contextlib.contextmanager
def busy(lab, server, **options):
    """Clients of production all the while: not one may fail."""
    clients_coming = load_client.Load(lab, server, **options)
    yield clients_coming
    clients_coming.wait_for_requests(REQUESTS)
    clients_coming.finish()


@pytest.fixture
def neighbour(lab):
    """Load a program of other_bpf.bpf.c on the server host; all are detached at the end."""
    with contextlib.ExitStack() as loaded:

        def load_one(program, **settings):
            one = other_bpf.Neighbour(lab.server, program, **settings)
            loaded.callback(one.close)
            return one

        yield load_one


# --- tc programs -------------------------------------------------------------------------------

# How ours is attached, how theirs is, and which comes first.  TCX runs before clsact.
TC_ORDERS = (
    ("tcx", "tcx", "before"),
    ("tcx", "tcx", "after"),
    ("tcx", "clsact", "after"),
    ("clsact", "tcx", "before"),
    ("clsact", "clsact", "before"),
    ("clsact", "clsact", "after"),
)


@pytest.fixture(params=TC_ORDERS, ids="-".join)
def tc_order(request):
    return request.param


def attach_tc(program, kind, order):
    if kind == "tcx":
        program.attach_tcx("eth0", first=order == "before")
    else:
        program.attach_clsact("eth0", priority=1 if order == "before" else 1000)


MARK_TABLE = f"""
table inet marks {{
	counter with {{ }}
	counter without {{ }}
	chain input {{
		type filter hook input priority filter
		iifname "eth0" tcp dport 443 meta mark {MARK} counter name with
		iifname "eth0" tcp dport 443 meta mark != {MARK} counter name without
	}}
}}
"""


def nft(host, rules):
    host.run("nft", "-f", "-", input=rules)


def nft_counter(host, table, name):
    words = host.run("nft", "list", "counter", "inet", table, name).stdout.split()
    return int(words[words.index("packets") + 1])


def check_refused_port(lab):
    """What the other program drops does not come through."""
    with lab.validator.entered():
        for address in families(lab.server):
            with socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET) as one:
                one.bind(("", REFUSED_PORT))
                one.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    one.connect((str(address), 443))


def test_tc_program(lab, nginx, instance, neighbour, takeover, tc_order):
    """One that counts, marks and drops, and lets the others have their say."""
    attach, kind, order = tc_order
    nft(lab.server, MARK_TABLE)
    police = neighbour(
        "police",
        **{"port": 443, "refused_port": REFUSED_PORT, "mark": MARK, "verdict": other_bpf.UNSPEC},
    )
    if order == "before":
        attach_tc(police, kind, order)
    instance.start("--takeover", takeover, "--attach", attach).publish(NAME)
    if order == "after":
        attach_tc(police, kind, order)
    with busy(lab, nginx):
        check_challenge(lab)
        check_production(lab, nginx)
        check_refused_port(lab)
    assert police.count("dropped") >= 2
    assert instance.counters()["steered"] == 2
    assert nft_counter(lab.server, "marks", "with") > REQUESTS
    assert not nft_counter(lab.server, "marks", "without")


@pytest.mark.parametrize("attach", ("tcx", "clsact"))
def test_tc_program_with_the_last_word_before(lab, speaking, instance, neighbour, takeover, attach):
    """TC_ACT_OK ends the run: ours sees nothing, and everything belongs to production."""
    instance.start("--takeover", takeover, "--attach", attach).publish(NAME)
    police = neighbour("police", port=443, mark=MARK, verdict=other_bpf.OK)
    attach_tc(police, attach, "before")
    with busy(lab, speaking):
        check_reaches_production(lab, speaking)
    assert police.count() > REQUESTS
    assert not any(instance.counters().values())


def test_tc_program_with_the_last_word_after(lab, nginx, instance, neighbour, takeover):
    instance.start("--takeover", takeover).publish(NAME)
    police = neighbour("police", port=443, mark=MARK, verdict=other_bpf.OK)
    attach_tc(police, "tcx", "after")
    with busy(lab, nginx):
        check_challenge(lab)
    assert police.count() > REQUESTS
    assert instance.counters()["steered"] == 2


@pytest.mark.parametrize("order", ("before", "after"))
@pytest.mark.parametrize("priority", (443, 1000))
def test_filters_of_others_stay(lab, nginx, instance, neighbour, order, priority):
    """Also the one of the priority that ours has, and on the qdisc that ours has made."""
    police = neighbour("police", port=443, verdict=other_bpf.UNSPEC)
    if order == "before":
        police.attach_clsact("eth0", priority)
    instance.start("--attach", "clsact").publish(NAME)
    if order == "after":
        police.attach_clsact("eth0", priority)
    check_challenge(lab)
    assert instance.responder.stop() == 0
    filters = lab.server.run("tc", "filter", "show", "dev", "eth0", "ingress").stdout
    assert "police" in filters
    assert "steer" not in filters
    before = police.count()
    check_production(lab, nginx)
    assert police.count() > before


@pytest.mark.parametrize("order", ("before", "after"))
def test_tc_program_rewrites_the_port(lab, nginx, instance, neighbour, takeover, order):
    """Clients see production at another port.  Ours sees what programs before it make of a
    segment, and not what later ones will: those challenges are production's."""
    ports = {"port": 8443, "to_port": 443}
    coming, going = neighbour("rewrite_in", **ports), neighbour("rewrite_out", **ports)
    instance.start("--takeover", takeover).publish(NAME)
    coming.attach_tcx("eth0", first=order == "before")
    going.attach_tcx("eth0", kind=other_bpf.TCX_EGRESS)
    check_production(lab, nginx, port=8443)
    if order == "before":
        check_challenge(lab, port=8443)
    else:
        with pytest.raises(ssl.SSLError):  # nginx's answer to an ALPN that it does not speak
            clients.validate(lab.validator, lab.server.ipv4, NAME, port=8443)
        assert not any(instance.counters().values())
    assert coming.count() and going.count()


# --- sk_lookup programs --------------------------------------------------------------------------


def start_beside(instance, takeover, program, order):
    """Attach both in this order: sk_lookup programs run as they were attached."""
    if order == "before":
        program.attach_lookup()
    instance.start("--takeover", takeover).publish(NAME)
    if order == "after":
        program.attach_lookup()


@pytest.mark.parametrize("order", ("before", "after"))
def test_sk_lookup_program_for_another_port(lab, nginx, instance, neighbour, takeover, order):
    redirect = neighbour("redirect", port=8443)
    redirect.choose(other_bpf.listeners_of(nginx.process, 443))
    start_beside(instance, takeover, redirect, order)
    with busy(lab, nginx):
        check_challenge(lab)
        check_production(lab, nginx, port=8443)
    assert redirect.count() == 2
    assert instance.counters()["steered"] == 2


@pytest.mark.parametrize("flags", (0, other_bpf.ASSIGN_REPLACE), ids=("first", "replaces"))
@pytest.mark.parametrize("order", ("before", "after"))
def test_sk_lookup_program_for_the_same_port(lab, instance, neighbour, takeover, order, flags):
    """Production listens at port 8443 alone, and a program leads port 443 there."""
    nginx = production.Nginx(lab, ports=(8443,))
    redirect = neighbour("redirect", port=443, assign_flags=flags)
    redirect.choose(other_bpf.listeners_of(nginx.process, 8443))
    start_beside(instance, takeover, redirect, order)
    with busy(lab, nginx):
        check_challenge(lab)
        check_production(lab, nginx)
    assert redirect.count() > REQUESTS
    assert instance.counters()["steered"] == 2


# --- the packet filter ---------------------------------------------------------------------------

STATEFUL = """
table inet filter {
	counter invalid { }
	counter refused { }
	chain input {
		type filter hook input priority filter; policy drop
		iifname "lo" accept
		ip6 nexthdr icmpv6 accept
		ct state invalid counter name invalid drop
		ct state established,related accept
		tcp dport 443 tcp flags & (fin|syn|rst|ack) == syn ct state new accept
		meta l4proto tcp counter name refused
	}
	chain output {
		type filter hook output priority filter; policy drop
		oifname "lo" accept
		ip6 nexthdr icmpv6 accept
		ct state invalid counter name invalid drop
		ct state established,related accept
		meta l4proto tcp counter name refused
	}
}
"""


def check_nothing_filtered(host):
    assert not nft_counter(host, "filter", "invalid")
    assert not nft_counter(host, "filter", "refused")


def test_stateful_filter(lab, nginx, instance, takeover):
    nft(lab.server, STATEFUL)
    instance.start("--takeover", takeover).publish(NAME)
    with busy(lab, nginx):
        for _ in range(5):
            check_challenge(lab)
    check_nothing_filtered(lab.server)
    assert instance.counters()["steered"] == 10


REDIRECT = """
table inet nat {
	counter redirected { }
	chain prerouting {
		type nat hook prerouting priority dstnat
		tcp dport 443 counter name redirected redirect to :8443
	}
}
"""


@pytest.mark.parametrize("port", (443, 8443))
def test_redirected_to_another_port(lab, instance, takeover, port):
    """Ours sees port 443, the sockets are of port 8443: no connection is found, all is passed."""
    speaking = production.HaproxyWithAcme(lab, ports=(8443,))
    nft(lab.server, STATEFUL.replace("443", "8443") + REDIRECT)
    instance.start("--takeover", takeover, "--port", str(port)).publish(NAME)
    with busy(lab, speaking):
        check_reaches_production(lab, speaking)
    assert nft_counter(lab.server, "nat", "redirected") > REQUESTS
    check_nothing_filtered(lab.server)
    assert not instance.counters()["steered"]


TRANSPARENT = """
table inet transparent {
	counter assigned { }
	chain prerouting {
		type filter hook prerouting priority mangle
		meta l4proto tcp socket transparent 1 accept
		tcp dport 443 counter name assigned
		meta nfproto ipv4 tcp dport 443 tproxy ip to :8443
		meta nfproto ipv6 tcp dport 443 tproxy ip6 to :8443
	}
}
"""


class TransparentHaproxy(production.Haproxy):
    """Takes connections to whatever address and port the packet filter gives it."""

    def endpoints(self):
        return [f"{endpoint} transparent" for endpoint in super().endpoints()]


def test_transparent_proxy(lab, instance, takeover):
    """The packet filter assigns connections to a listener, and, as the kernel's documentation
    has it, leaves alone what has its socket already."""
    haproxy = TransparentHaproxy(lab, ports=(8443,))
    nft(lab.server, TRANSPARENT)
    instance.start("--takeover", takeover).publish(NAME)
    with busy(lab, haproxy):
        check_challenge(lab)
    assert nft_counter(lab.server, "transparent", "assigned") > REQUESTS
    assert instance.counters()["steered"] == 2


# --- bridges and containers ----------------------------------------------------------------------


def second_network(number):
    """The addresses of a host there."""
    texts = (f"198.51.100.{number}", f"2001:db8:1::{number}")
    return tuple(ipaddress.ip_address(text) for text in texts)


# A client, or the way to it, and a server.
FAR, NEAR = second_network(1), second_network(2)


def add_addresses(host, interface, ipv4, ipv6):
    host.run("ip", "address", "add", f"{ipv4}/24", "dev", interface)
    host.run("ip", "address", "add", f"{ipv6}/64", "dev", interface, "nodad")


def put_on_bridge(host):
    """eth0 becomes a port of a bridge, which takes its addresses over."""
    host.run("ip", "address", "flush", "dev", "eth0")
    host.run("ip", "link", "add", "br0", "type", "bridge")
    host.run("ip", "link", "set", "eth0", "master", "br0")
    host.run("ip", "link", "set", "br0", "up")
    add_addresses(host, "br0", *families(host))


@pytest.mark.parametrize("filtered", (0, 1), ids=("plain", "filtered"))
def test_bridge(lab, nginx, instance, takeover, filtered):
    """Each packet comes by twice: on the bridge's port, and on the bridge."""
    put_on_bridge(lab.server)
    for family in ("ip", "ip6"):
        lab.server.run("sysctl", "-qw", f"net.bridge.bridge-nf-call-{family}tables={filtered}")
    nft(lab.server, STATEFUL)
    instance.start("--takeover", takeover).publish(NAME)
    assert sorted(instance.status()["responder"]["interfaces"]) == ["br0", "eth0", "lo"]
    with busy(lab, nginx):
        check_challenge(lab)
        check_production(lab, nginx)
    check_nothing_filtered(lab.server)
    assert instance.counters()["steered"] == 2


def test_bridge_alone(lab, nginx, instance, takeover):
    put_on_bridge(lab.server)
    instance.start("--takeover", takeover, "--interface", "br0").publish(NAME)
    with busy(lab, nginx):
        check_challenge(lab)
    assert instance.counters()["steered"] == 2


def test_bridge_under_syn_cookies(lab, nginx, instance, takeover):
    put_on_bridge(lab.server)
    lab.server.run("sysctl", "-qw", "net.ipv4.tcp_syncookies=2")
    instance.start("--takeover", takeover).publish(NAME)
    with busy(lab, nginx):
        for _ in range(10):
            began = time.monotonic()
            check_challenge(lab)
            assert time.monotonic() - began < WINDOW_PROBE_S
        check_production(lab, nginx)
    assert instance.counters()["late"] >= 20


def test_macvlan(lab, nginx, instance, takeover):
    """An interface on top of another, with a network of its own."""
    lab.server.run("ip", "link", "add", "mac0", "link", "eth0", "type", "macvlan")
    add_addresses(lab.validator, "eth0", *FAR)
    add_addresses(lab.server, "mac0", *NEAR)
    lab.server.run("ip", "link", "set", "mac0", "up")
    check_production(lab, nginx, *NEAR)  # both ends know each other from here on
    instance.start("--takeover", takeover).publish(NAME)
    with busy(lab, nginx, addresses=NEAR):
        check_challenge(lab, *NEAR)
        check_challenge(lab)
    shown = json.loads(lab.server.run("ip", "-s", "-j", "link", "show", "dev", "mac0").stdout)
    assert shown[0]["stats64"]["rx"]["packets"] > REQUESTS
    assert instance.counters()["steered"] == 4


class Container:
    """A namespace behind the server host: a veth pair, whose outer end is a port of a bridge."""

    def __init__(self, lab):
        self.host = lab.add_host("container", *NEAR)
        # A router asks for its neighbours only when its own address is known to be unique.
        lab.server.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
        lab.server.run(
            *("ip", "link", "add", "veth0", "type", "veth"),
            *("peer", "name", "eth0", "netns", self.host.namespace),
        )
        lab.server.run("ip", "link", "add", "br0", "type", "bridge")
        lab.server.run("ip", "link", "set", "veth0", "master", "br0")
        add_addresses(lab.server, "br0", *FAR)
        add_addresses(self.host, "eth0", *NEAR)
        for interface in ("veth0", "br0"):
            lab.server.run("ip", "link", "set", interface, "up")
        self.host.run("ip", "link", "set", "eth0", "up")
        for gateway in FAR:
            self.host.run("ip", "route", "add", "default", "via", gateway)
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            lab.server.run("sysctl", "-qw", f"{key}=1")
        hosts.wait_for(self.host.has_wire, "the container's wire")


# As container engines do: what comes to the host's addresses at port 443 is the container's.
PUBLISHED = """
table inet nat {
	counter published { }
	chain prerouting {
		type nat hook prerouting priority dstnat
		iifname "eth0" tcp dport 443 counter name published
		iifname "eth0" meta nfproto ipv4 tcp dport 443 dnat ip to 198.51.100.2
		iifname "eth0" meta nfproto ipv6 tcp dport 443 dnat ip6 to 2001:db8:1::2
	}
	chain forward {
		type filter hook forward priority filter; policy drop
		ct state established,related accept
		tcp dport 443 tcp flags & (fin|syn|rst|ack) == syn ct state new accept
		ip6 nexthdr icmpv6 accept
	}
}
"""


@pytest.fixture
def container(lab):
    made = Container(lab)
    nft(lab.server, PUBLISHED)
    return made


def test_inside_a_container(lab, container, takeover):
    """The responder in the namespace where production is."""
    nginx = production.Nginx(lab, container.host)
    check_production(lab, nginx)  # all on the way know each other from here on
    instance = sidestep.Sidestep(lab, container.host)
    instance.start("--takeover", takeover).publish(NAME)
    with busy(lab, nginx):
        check_challenge(lab)
        check_production(lab, nginx)
    assert instance.counters()["steered"] == 2
    assert nft_counter(lab.server, "nat", "published") > REQUESTS


def test_on_the_host_of_a_container(lab, container, instance, takeover):
    """Here segments are only forwarded: no socket is found, and all is passed."""
    speaking = production.HaproxyWithAcme(lab, container.host)
    instance.start("--takeover", takeover).publish(NAME)
    with busy(lab, speaking):
        check_reaches_production(lab, speaking)
    counters = instance.counters()
    assert counters.pop("syn_marked") > 0
    assert counters.pop("passed_no_socket") > 0
    assert not any(counters.values())


# --- addresses -----------------------------------------------------------------------------------


def test_servers_at_different_addresses(lab, instance, takeover):
    """One server an address, none at the third: challenges are answered where a server is."""
    add_addresses(lab.server, "eth0", *NEAR)
    add_addresses(lab.validator, "eth0", *FAR)
    lab.server.run("ip", "address", "add", "192.0.2.4/24", "dev", "eth0")
    first, second = families(lab.server), NEAR
    nginx = production.Nginx(lab, addresses=first)
    haproxy = production.Haproxy(lab, addresses=second)
    instance.start("--takeover", takeover).publish(NAME)
    with busy(lab, nginx):
        check_challenge(lab, *first, *second)
        check_production(lab, nginx, *first)
        check_production(lab, haproxy, *second)
        with pytest.raises(ConnectionRefusedError):
            clients.validate(lab.validator, "192.0.2.4", NAME)
    assert instance.counters()["steered"] == 4


@pytest.mark.parametrize("bridged", (False, True), ids=("plain", "bridge"))
def test_link_local_address(lab, nginx, instance, takeover, bridged):
    """The same address may be on every link: the sockets are of one interface."""
    if bridged:
        put_on_bridge(lab.server)
    interface = "br0" if bridged else "eth0"
    lab.server.run("ip", "address", "add", "fe80::2/64", "dev", interface, "nodad")
    lab.validator.run("ip", "address", "add", "fe80::1/64", "dev", "eth0", "nodad")
    instance.start("--takeover", takeover).publish(NAME)
    address = "fe80::2%eth0"
    check_production(lab, nginx, address)
    with busy(lab, nginx, addresses=(address,)):
        check_challenge(lab, address)
    assert instance.counters()["steered"] == 1
