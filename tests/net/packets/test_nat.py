# SPDX-License-Identifier: GPL-3.0-or-later
"""Address translation on the host: with any such rule the kernel compares each segment with its
connection, also those that the rule does not mean."""

import json

import pytest

from lab import hosts, sidestep

NAME = "www.example.org"
RATE, COUNT = 200, 2000

NAT_RULES = """
table ip nat {
	chain prerouting {
		type nat hook prerouting priority dstnat;
		tcp dport 8080 dnat to 192.0.2.2:80
	}
	chain output {
		type nat hook output priority -100;
		tcp dport 8080 dnat to 192.0.2.2:80
	}
	chain postrouting {
		type nat hook postrouting priority srcnat;
		ip saddr 172.17.0.0/16 masquerade
	}
}
table ip6 nat {
	chain prerouting {
		type nat hook prerouting priority dstnat;
		tcp dport 8080 dnat to [2001:db8::2]:80
	}
}
"""


def translate(host):
    host.run("nft", "-f", "-", input=NAT_RULES)


def validate(lab, address, *options):
    """Many validations; what became of them."""
    output = lab.validator.run(
        *(hosts.BUILD / "sidestep-bench", "--name", NAME, "--quiet", "--json"),
        *("--key-authorization", sidestep.KEY_AUTHORIZATION, *options, address),
        check=False,
        timeout=120,
    )
    return json.loads(output.stdout)


@pytest.mark.row("S1")
@pytest.mark.parametrize("family", ("ipv4", "ipv6"))
@pytest.mark.parametrize("cookies", (1, 2), ids=("", "cookies"))
def test_validations_beside_nat(lab, nginx, instance, takeover, family, cookies):
    """Thousands over a chain of connections and in bursts: none is lost."""
    lab.server.run("sysctl", "-qw", f"net.ipv4.tcp_syncookies={cookies}")
    translate(lab.server)
    instance.start("--takeover", takeover).publish(NAME)
    address = getattr(lab.server, family)
    result = validate(lab, address, "--rate", RATE, "--count", COUNT)
    assert result["failed"] == 0, (result["failures"], instance.counters())
    assert result["validated"] == COUNT
    assert instance.counters()["steered"] == COUNT


@pytest.mark.row("S1")
def test_loopback_beside_nat(lab, nginx, instance, takeover):
    """A CA on the same host, or this host's own look at its port."""
    translate(lab.server)
    instance.start("--takeover", takeover).publish(NAME)
    output = lab.server.run(
        *(hosts.BUILD / "sidestep-bench", "--name", NAME, "--quiet", "--json", "--count", 200),
        *("--rate", 100, "--key-authorization", sidestep.KEY_AUTHORIZATION, lab.server.ipv4),
        check=False,
    )
    result = json.loads(output.stdout)
    assert result["failed"] == 0, result["failures"]
