# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be steered on this host is said: at the start, in status and by --check."""

import pytest

from lab import clients, containers, hosts, production

NAME = "www.example.org"

# As nftables' documentation has it: the kernel answers SYNs, and tells production only of those
# clients that have answered in turn.
SYNPROXY = """
table inet shield {
	chain prerouting {
		type filter hook prerouting priority raw;
		tcp dport 443 tcp flags syn notrack
	}
	chain input {
		type filter hook input priority filter;
		tcp dport 443 ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm
		ct state invalid drop
	}
}
"""


def set_synproxy(lab):
    lab.server.run("sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_loose=0")
    lab.server.run("nft", "-f", "-", input=SYNPROXY)


def hindrances(instance):
    found = instance.status()["responder"].get("hindrances", [])
    return [(hindrance["kind"], hindrance["place"]) for hindrance in found]


@pytest.mark.row("S4")
def test_synproxy(lab, speaking, instance):
    set_synproxy(lab)
    checked = instance.run_responder("--check")
    assert checked.returncode == 0
    assert "table shield" in checked.stdout and "SYNPROXY" in checked.stdout

    instance.start().publish(NAME)
    hosts.wait_for(lambda: hindrances(instance) == [("synproxy", "shield")], "status to tell")
    hosts.wait_for(lambda: "SYNPROXY" in instance.responder.output(), "a warning")
    assert "not steered" in instance.agent("status").stdout
    before = instance.counters()
    for address in (lab.server.ipv4, lab.server.ipv6):
        # As README says: these are production's, all of them.
        answer = clients.validate(lab.validator, address, NAME)
        assert answer.certificate == speaking.certificate
        assert clients.get(lab.validator, address, NAME).certificate == speaking.certificate
    after = instance.counters()
    assert after["passed_other_synack"] == before["passed_other_synack"] + 4
    assert after["passed_undecided"] == before["passed_undecided"]


def test_address_translation(lab, instance):
    """To another port of this host: what comes is no connection of a socket here, and counted."""
    server = production.HaproxyWithAcme(lab, ports=(8443,))
    lab.server.run("nft", "add table ip nat")
    lab.server.run("nft", "add chain ip nat pre { type nat hook prerouting priority -100; }")
    lab.server.run("nft", "add rule ip nat pre tcp dport 443 redirect to :8443")
    instance.start().publish(NAME)
    assert not instance.counters()["passed_no_socket"]
    answer = clients.validate(lab.validator, lab.server.ipv4, NAME)
    assert answer.certificate == server.certificate
    assert instance.counters()["passed_no_socket"]


def test_lockdown(lab, instance):
    """Said by --check.  (This kernel is not locked down: only what it says of itself is.)"""
    levels = lab.directory / "lockdown"
    levels.write_text("none integrity [confidentiality]\n")
    security = "/sys/kernel/security"
    script = f'mount -t tmpfs none {security} && cp {levels} {security} && exec "$@"'
    command = instance.responder_command("--check")
    checked = lab.server.run("unshare", "--mount", "sh", "-c", script, "sh", *command)
    assert "lockdown:      confidentiality" in checked.stdout
    assert "lockdown" not in instance.run_responder("--check").stdout


@pytest.mark.row("S4")
def test_nothing_hinders(lab, nginx, instance, takeover):
    """Neither address translation nor a macvlan does."""
    container = lab.adopt(containers.Container(lab, "first", "192.0.2.50", "2001:db8::50"))
    production.Nginx(lab, host=container)
    container.run("nft", "add table ip nat")
    container.run("nft", "add chain ip nat pre { type nat hook prerouting priority -100; }")
    checked = instance.run_responder("--check", "--netns", container.path)
    assert checked.returncode == 0 and "warning" not in checked.stdout
    instance.start("--takeover", takeover, "--netns", container.path)
    hosts.wait_for(lambda: "hindrances" in instance.status()["responder"], "status to tell")
    assert not hindrances(instance)
    instance.responder.stop()
