# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets such as production may have, and clients such as it gets, while a name is armed."""

import errno
import pathlib
import selectors
import socket
import struct
import time

import pytest

from lab import certificates, clients, echo_server, hosts, raw_tcp, sidestep

NAME = "www.example.org"
PATIENCE_S = 15
TCP_DEFER_ACCEPT_S = 5
FAST_OPEN_QUEUE = 64
TCP_FASTOPEN_CONNECT = 30
FLOOD = 2000
SMALL_BACKLOG = 8
GROUP = 4
UNWATCHED = 8443


def hello(alpn=("h2",)):
    return clients.client_hello(NAME, alpn)


def call(lab, address, kind=socket.SOCK_STREAM, protocol=0, options=(), port=443):
    """A connection of the validator's, with socket options set before."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with lab.validator.entered():
        connection = socket.socket(family, kind, protocol)
    for option in options:
        connection.setsockopt(*option)
    connection.settimeout(PATIENCE_S)
    connection.connect((str(address), port))
    return connection


def returned(connection, data):
    """Send it, and take what production returns for it: exactly that much."""
    connection.sendall(data)
    received = b""
    while len(received) < len(echo_server.MARK) + len(data):
        more = connection.recv(65536)
        assert more, f"closed after {received!r}"
        received += more
    return received


def check_production(lab, address, **options):
    data = hello()
    with call(lab, address, **options) as connection:
        assert returned(connection, data) == echo_server.MARK + data


def check_challenge(lab, address):
    answer = clients.validate(lab.validator, address, NAME)
    assert answer.protocol == clients.ACME
    certificates.check_challenge(answer.certificate, NAME, sidestep.DIGEST)


def set_sysctl(host, name, value):
    """In the host's own network namespace; /proc/sys shows that of the reader."""
    with host.entered():
        pathlib.Path("/proc/sys", name).write_text(str(value), encoding="ascii")


@pytest.fixture(params=raw_tcp.FAMILIES)
def address(request, lab):
    return getattr(lab.server, request.param)


@pytest.fixture
def start(instance, takeover):
    """Sidestep with the name armed, once production is there."""
    return lambda: instance.start("--takeover", takeover).publish(NAME)


# --- what production's sockets are like --------------------------------------------------------


def defer_accept(listener):
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, TCP_DEFER_ACCEPT_S)


def fast_open(listener):
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, FAST_OPEN_QUEUE)


def reuse_port(listener):
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def test_defer_accept(lab, start, address):
    """Production with TCP_DEFER_ACCEPT: new connections and challenges go where they must."""
    with echo_server.EchoThread(echo_server.listeners(lab.server, prepare=defer_accept)) as production:
        start()
        for _ in range(4):
            check_production(lab, address)
            check_challenge(lab, address)
        assert production.accepted == 4


def test_reuseport_group(lab, start, address):
    """Production with an SO_REUSEPORT group: every socket of it gets its share, as before."""
    groups = [echo_server.listeners(lab.server, prepare=reuse_port) for _ in range(GROUP)]
    with echo_server.EchoThread([listener for group in groups for listener in group]) as production:
        start()
        for _ in range(16):
            check_production(lab, address)
        check_challenge(lab, address)
        assert production.accepted == 16


def test_fast_open(lab, start, address):
    """Production with TCP Fast Open: data in the SYN is production's, a challenge afterwards ours."""
    set_sysctl(lab.server, "net/ipv4/tcp_fastopen", 3)
    set_sysctl(lab.validator, "net/ipv4/tcp_fastopen", 1)
    fast = [(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)]
    with echo_server.EchoThread(echo_server.listeners(lab.server, prepare=fast_open)) as production:
        start()
        # The first fetches the cookie, the next use it.
        for _ in range(4):
            check_production(lab, address, options=fast)
        check_challenge(lab, address)
        assert production.accepted == 4
    passive = lab.server.run("nstat", "-asz", "TcpExtTCPFastOpenPassive").stdout
    assert int(passive.split("TcpExtTCPFastOpenPassive")[1].split()[0]) >= 3


def test_mptcp(lab, start, instance, address):
    """Production with MPTCP: its clients keep it, and plain ones are steered as ever."""

    def listener(family, at):
        with lab.server.entered():
            made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_MPTCP)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((str(at), 443))
        made.listen(echo_server.BACKLOG)
        return made

    listeners = [
        listener(socket.AF_INET, lab.server.ipv4),
        listener(socket.AF_INET6, lab.server.ipv6),
    ]
    with echo_server.EchoThread(listeners):
        start()
        for _ in range(4):
            check_production(lab, address, protocol=socket.IPPROTO_MPTCP)
            check_production(lab, address)
            check_challenge(lab, address)
    assert instance.counters()["bare_ack_passed"] >= 4
    assert instance.counters()["steered"] == 4
    used = lab.server.run("nstat", "-asz", "MPTcpExtMPCapableSYNRX").stdout
    assert int(used.split("MPTcpExtMPCapableSYNRX")[1].split()[0]) >= 4


@pytest.mark.row("P3")
def test_urgent_data(lab, start, address):
    """An urgent byte in the first part of a hello: production gets what it gets at another port."""
    data = hello()
    at_once = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    with echo_server.EchoThread(echo_server.listeners(lab.server, ports=(443, UNWATCHED))):
        start()
        for port in (UNWATCHED, 443):
            with call(lab, address, port=port, options=at_once) as connection:
                connection.send(data[:40], socket.MSG_OOB)
                connection.sendall(data[40:])
                # The stack takes the urgent byte out of the stream.
                whole = echo_server.MARK + data[:39] + data[40:]
                got = b""
                while len(got) < len(whole) and (more := connection.recv(len(whole))):
                    got += more
                assert got == whole


# --- overload ------------------------------------------------------------------------------------


def test_cookies(lab, start, instance, address):
    """Cookies active on production: cookies still validate; challenges are still answered."""
    set_sysctl(lab.server, "net/ipv4/tcp_syncookies", 2)
    listeners = echo_server.listeners(lab.server)
    with echo_server.EchoThread(listeners, speaks_first=False) as production:
        start()
        for _ in range(8):
            check_production(lab, address)
            check_challenge(lab, address)
        assert production.answered == 8
    assert instance.counters()["late"] == 8


@pytest.mark.row("P2")
def test_idle_client_under_cookies(lab, start, address):
    """A client that says nothing: nobody could send its ACK again, so production gets it at once."""
    set_sysctl(lab.server, "net/ipv4/tcp_syncookies", 2)
    with echo_server.EchoThread(echo_server.listeners(lab.server)) as production:
        start()
        with call(lab, address) as connection:
            assert connection.recv(len(echo_server.MARK), socket.MSG_WAITALL) == echo_server.MARK
            assert production.accepted == 1


@pytest.mark.parametrize("family", raw_tcp.FAMILIES)
def test_syn_flood(lab, start, instance, family):
    """SYN flood: production goes over to cookies; its clients and challenges come through."""
    address = getattr(lab.server, family)
    set_sysctl(lab.server, "net/ipv4/tcp_max_syn_backlog", SMALL_BACKLOG)
    flooder = raw_tcp.PacketClient(lab, family)
    listeners = echo_server.listeners(lab.server, backlog=SMALL_BACKLOG)
    with echo_server.EchoThread(listeners, speaks_first=False):
        start()
        for number in range(FLOOD):
            # Their SYN-ACKs are never answered.
            connection = raw_tcp.Connection(flooder, 1024 + number, 443)
            connection.transmit(connection.segment(0, flags="S"))
            if number % 200 == 199:
                check_production(lab, address)
                check_challenge(lab, address)
    sent = lab.server.run("nstat", "-asz", "TcpExtSyncookiesSent").stdout
    assert int(sent.split("TcpExtSyncookiesSent")[1].split()[0]) > FLOOD // 2
    counters = instance.counters()
    assert counters["cookie_steered"] + counters["late"] > 0
    flooder.close()


# --- clients that say little -----------------------------------------------------------------------


def test_idle_client(lab, start, address):
    """A client that says nothing: production accepts it after a moment, and may speak first."""
    with echo_server.EchoThread(echo_server.listeners(lab.server)) as production:
        start()
        with call(lab, address) as connection:
            assert connection.recv(len(echo_server.MARK), socket.MSG_WAITALL) == echo_server.MARK
            assert production.accepted == 1
            connection.sendall(b"at last")
            assert connection.recv(7, socket.MSG_WAITALL) == b"at last"


def test_late_hello(lab, start, address):
    """An idle client to which production has spoken first: production's for good."""
    data = hello((clients.ACME,))
    with echo_server.EchoThread(echo_server.listeners(lab.server)):
        start()
        with call(lab, address) as connection:
            assert connection.recv(len(echo_server.MARK), socket.MSG_WAITALL) == echo_server.MARK
            connection.sendall(data)
            assert connection.recv(len(data), socket.MSG_WAITALL) == data


@pytest.mark.parametrize("family", raw_tcp.FAMILIES)
def test_half_open(lab, start, family):
    """Half-open clients, which never answer the SYN-ACK, keep nothing from anybody."""
    address = getattr(lab.server, family)
    client = raw_tcp.PacketClient(lab, family)
    with echo_server.EchoThread(echo_server.listeners(lab.server)) as production:
        start()
        for _ in range(64):
            client.connect().on_open = lambda: None
        client.receive()
        check_production(lab, address)
        check_challenge(lab, address)
        assert production.accepted == 1
    client.close()


def test_health_check(lab, start, address):
    """A health check that connects and closes: production sees each, at once or reset."""
    with echo_server.EchoThread(echo_server.listeners(lab.server)) as production:
        start()
        for _ in range(20):
            call(lab, address).close()
        hosts.wait_for(lambda: production.accepted == 20, "production to see all of them")


def test_reset_at_once(lab, start, address):
    """A client that connects and resets hurts nobody."""
    reset = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with echo_server.EchoThread(echo_server.listeners(lab.server)):
        start()
        for _ in range(20):
            call(lab, address, options=[reset]).close()
        check_production(lab, address)
        check_challenge(lab, address)


def test_half_closed(lab, start, address):
    """A client that says its hello and closes its side: production has it all, and answers."""
    data = hello()
    with echo_server.EchoThread(echo_server.listeners(lab.server)):
        start()
        with call(lab, address) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            assert clients.read_all(connection) == echo_server.MARK + data


@pytest.mark.parametrize("family", raw_tcp.FAMILIES)
def test_zero_window(lab, start, family):
    """A client with no window: what production has to say waits, and comes when there is room."""
    client = raw_tcp.PacketClient(lab, family)
    selector = selectors.DefaultSelector()
    production = echo_server.Echo(selector, echo_server.listeners(lab.server))
    start()
    data = hello()
    connection = client.connect()
    connection.on_open = lambda: None

    def turn(condition):
        echo_server.turn(selector, 0.01)
        client.receive()
        return condition()

    hosts.wait_for(lambda: turn(lambda: connection.is_open), "the SYN-ACK")
    connection.stream = data
    closed = connection.segment(0, data)
    closed[raw_tcp.scapy.TCP].window = 0
    connection.transmit(closed)
    hosts.wait_for(lambda: turn(lambda: connection.acknowledged == len(data)), "the hello to come")
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        turn(lambda: None)
    assert len(connection.received) <= 1  # a window probe's byte
    connection.acknowledge()
    hosts.wait_for(
        lambda: turn(lambda: connection.received == echo_server.MARK + data), "production's answer"
    )
    production.close()
    client.close()


# --- production's life -------------------------------------------------------------------------------


def test_rebind(lab, start, address):
    """Production restarts and rebinds while armed: nothing of ours depends on its socket."""
    for _ in range(3):
        with echo_server.EchoThread(echo_server.listeners(lab.server)) as production:
            if start:
                start()
                start = None
            check_production(lab, address)
            check_challenge(lab, address)
            assert production.accepted == 1
        # Nobody holds the port: as without us, but for challenges.
        with pytest.raises(OSError) as refused:
            call(lab, address)
        assert refused.value.errno == errno.ECONNREFUSED
