# SPDX-License-Identifier: GPL-3.0-or-later
"""What `sidestep status NAME` and failures tell of validations: who came, and how it ended."""

import contextlib
import json
import socket
import ssl

import pytest

from lab import clients, hosts, raw_tcp

NAME = "www.example.org"
DEADLINE_S = 10
FLOOD = 200
RECORDS_MAX = 16  # of a name
NETWORK_MAX = 4  # of a network


def evidence(instance, name=NAME):
    return instance.succeed("status", name)["evidence"]


def wait_for_count(instance, result, count=1):
    def ask():
        found = evidence(instance)
        return found if found["counts"][result] >= count else None

    return hosts.wait_for(ask, f"{count} connections to be {result}")


def refuse(lab, address):
    """A client that trusts nobody: it ends the handshake by an alert."""
    strict = ssl.create_default_context()
    strict.set_alpn_protocols([clients.ACME])
    with lab.validator.entered():
        connection = socket.create_connection((str(address), 443), clients.PATIENCE_S)
    with contextlib.suppress(ssl.SSLError), connection:
        strict.wrap_socket(connection, server_hostname=NAME)


def begin(lab, address, hello):
    """A client that says its hello and no more."""
    with lab.validator.entered():
        connection = socket.create_connection((str(address), 443), clients.PATIENCE_S)
    connection.sendall(hello)
    return connection


@pytest.mark.each_engine
@pytest.mark.parametrize("family", raw_tcp.FAMILIES)
def test_answered(lab, armed, takeover, family):
    address = getattr(lab.server, family)
    clients.validate(lab.validator, address, NAME)
    # The client is through before we are.
    wait_for_count(armed, "answered")
    clients.validate(lab.validator, address, "WWW.example.org.", ssl.TLSVersion.TLSv1_2)
    found = wait_for_count(armed, "answered", 2)
    # One address with one outcome is one record: its last connection.
    (record,) = found["records"]
    assert record["address"] == str(getattr(lab.validator, family))
    assert record["family"] == family
    assert record["result"] == "answered"
    assert record["count"] == 2
    assert record["via"] == {"assign": "steered", "repair": "adopted"}[takeover]
    assert record["tls_version"] == 0x0303
    assert {"upper_case_name", "trailing_dot", "group_x25519"} <= set(record["features"])
    assert record["hello_size"] > 100
    assert "got the right answer" in found["summary"]


@pytest.mark.each_engine
def test_kinds_of_failure(lab, armed):
    """A TLS alert, a client that left, and one that came to nothing, are different."""
    refuse(lab, lab.server.ipv4)
    found = wait_for_count(armed, "alert")
    assert found["records"][0]["alert_received"] == "unknown_ca"
    assert "unknown_ca" in found["summary"]
    begin(lab, lab.server.ipv4, clients.client_hello(NAME)).close()
    wait_for_count(armed, "left")
    connection = begin(lab, lab.server.ipv6, clients.client_hello(NAME))
    bent = bytes([0x16, 3, 3, 0, 4, 1, 2, 3, 4])
    assert connection.recv(1, socket.MSG_PEEK)
    connection.sendall(bent)
    found = wait_for_count(armed, "failed")
    connection.close()
    assert found["records"][-1]["alert_sent"]
    # Of one address the last of its failures is kept.
    text = armed.agent("status", NAME).stdout
    for words in ("is armed", "closed by the client", "error in the handshake: the responder sent "):
        assert words in text


@pytest.mark.each_engine
def test_deadline(lab, armed):
    """Slow clients are closed at the deadline, and told of."""
    with begin(lab, lab.server.ipv4, clients.client_hello(NAME)) as connection:
        connection.settimeout(3 * DEADLINE_S)
        clients.read_all(connection)
    wait_for_count(armed, "deadline")


def test_nothing_came(armed):
    text = armed.agent("status", NAME).stdout
    assert "the CA never arrived" in text
    assert evidence(armed)["records"] == []


def test_armed_anew(lab, armed):
    """What came for the last challenge says nothing about the next."""
    clients.validate(lab.validator, lab.server.ipv4, NAME)
    wait_for_count(armed, "answered")
    armed.withdraw(NAME)
    assert not armed.succeed("status", NAME)["challenge"]
    assert evidence(armed)["counts"]["answered"] == 1
    armed.publish(NAME)
    clients.validate(lab.validator, lab.server.ipv6, NAME)
    found = wait_for_count(armed, "answered")
    assert [record["family"] for record in found["records"]] == ["ipv6"]


@pytest.mark.each_engine
def test_strangers_fill_nothing(lab, armed):
    """Many from one network take a few records; the real validator's is kept beside them."""
    addresses = [f"192.0.2.{number}" for number in range(100, 100 + RECORDS_MAX)]
    for address in addresses:
        lab.validator.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
    hello = clients.client_hello(NAME)
    for number in range(FLOOD):
        with lab.validator.entered():
            stranger = socket.socket()
        stranger.bind((addresses[number % len(addresses)], 0))
        stranger.connect((str(lab.server.ipv4), 443))
        stranger.sendall(hello)
        stranger.close()
    # One that is gone again before it is taken over leaves nothing.
    wait_for_count(armed, "left", FLOOD // 4)
    clients.validate(lab.validator, lab.server.ipv6, NAME)
    found = wait_for_count(armed, "answered")
    strangers = [record for record in found["records"] if record["family"] == "ipv4"]
    assert 0 < len(strangers) <= NETWORK_MAX
    assert [r["result"] for r in found["records"] if r["family"] == "ipv6"] == ["answered"]
    assert found["unrecorded"] > 0


def test_failure_says_that_nobody_came(lab, nginx, instance, pebble, dns):
    """The CA looks elsewhere: the failure tells that it never came here."""
    dns.set(NAME, lab.validator.ipv4)
    instance.start()
    output = instance.issue(pebble, NAME, options=("--json",))
    assert output.returncode == 1
    (authorization,) = json.loads(output.stdout)["authorizations"]
    assert "never arrived at this host" in authorization["error"]["seen"]
    assert "seen here: no connection" in output.stderr


def test_success_leaves_evidence(lab, nginx, instance, pebble, dns):
    """After a certificate it can be looked up from where the CA came, and that we did before."""
    dns.set(NAME, lab.server.ipv4)
    instance.start()
    assert instance.issue(pebble, NAME).returncode == 0
    found = evidence(instance)
    assert found["counts"]["answered"] > 0
    visits = {record["address"]: record for record in found["records"]}
    assert set(visits) == {str(lab.validator.ipv4), str(lab.server.ipv4)}
    assert "share_x25519mlkem768" in visits[str(lab.validator.ipv4)]["features"]


def test_survives_a_successor(lab, armed, takeover):
    """What came before the responder was replaced is still told."""
    clients.validate(lab.validator, lab.server.ipv4, NAME)
    wait_for_count(armed, "answered")
    armed.start("--replace", "--takeover", takeover)
    clients.validate(lab.validator, lab.server.ipv4, NAME)
    wait_for_count(armed, "answered", 2)


def wait_for_ending(instance, ending, count=1):
    hosts.wait_for(
        lambda: instance.status()["connections"][ending] >= count, f"{count} to be {ending}"
    )


@pytest.mark.each_engine
def test_refusals(lab, nginx, instance):
    """`sidestep status` tells how many were answered, and how many refused, each with its reason."""
    instance.start("--connections-per-source", "2")
    instance.publish(NAME)
    assert not any(instance.status()["connections"].values())
    clients.validate(lab.validator, lab.server.ipv4, NAME)
    wait_for_ending(instance, "answered")
    hello = clients.client_hello(NAME)
    with contextlib.ExitStack() as open_ones:
        for _ in range(4):
            open_ones.enter_context(begin(lab, lab.server.ipv4, hello))
        wait_for_ending(instance, "source_limit", 2)
    wait_for_ending(instance, "client_left", 2)
    assert "refused: too many of one source" in instance.agent("status").stdout
