# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP fast open: a ClientHello in the SYN itself is production's, and comes to no harm."""

import socket
import ssl

import pytest

from lab import certificates, clients, production, sidestep

NAME = "www.example.org"
# Clients send data without a cookie, and the server takes them: the first SYN carries some.
CLIENT_SETTING, SERVER_SETTING = 0x5, 0x203
MSG_FASTOPEN = 0x20000000
PATIENCE_S = 15


class NginxWithFastOpen(production.Nginx):
    def configuration(self):
        return super().configuration().replace(" ssl;", " ssl fastopen=64;")


@pytest.fixture
def fast_nginx(lab):
    lab.validator.run("sysctl", "-qw", f"net.ipv4.tcp_fastopen={CLIENT_SETTING}")
    lab.server.run("sysctl", "-qw", f"net.ipv4.tcp_fastopen={SERVER_SETTING}")
    return NginxWithFastOpen(lab)


def connect(lab, address, alpn):
    """Handshake with the ClientHello in the SYN; the certificate."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = clients.context([alpn]).wrap_bio(incoming, outgoing, server_hostname=NAME)
    with lab.validator.entered():
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
    with connection:
        connection.settimeout(PATIENCE_S)
        target = (str(address), 443)
        while True:
            try:
                tls.do_handshake()
                return tls.getpeercert(binary_form=True)
            except ssl.SSLWantReadError:
                data = outgoing.read()
                if data and target:
                    connection.sendto(data, MSG_FASTOPEN, target)
                    target = None
                elif data:
                    connection.sendall(data)
            incoming.write(connection.recv(65536))


def taken_in_syns(host):
    words = host.run("nstat", "-asz", "TcpExtTCPFastOpenPassive").stdout.split()
    return int(words[words.index("TcpExtTCPFastOpenPassive") + 1])


@pytest.mark.row("S10")
def test_hello_in_the_syn_is_productions(lab, fast_nginx, instance, takeover):
    instance.start("--takeover", takeover).publish(NAME)
    for address in (lab.server.ipv4, lab.server.ipv6):
        before = taken_in_syns(lab.server)
        assert connect(lab, address, "http/1.1") == fast_nginx.certificate
        with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
            connect(lab, address, "acme-tls/1")
        assert taken_in_syns(lab.server) == before + 2
        assert instance.counters()["steered"] == 0


@pytest.mark.row("S10")
def test_others_are_steered_where_fast_open_is_on(lab, fast_nginx, instance, takeover):
    instance.start("--takeover", takeover).publish(NAME)
    for address in (lab.server.ipv4, lab.server.ipv6):
        answer = clients.validate(lab.validator, address, NAME)
        certificates.check_challenge(answer.certificate, NAME, sidestep.DIGEST)
        assert clients.get(lab.validator, address, NAME).certificate == fast_nginx.certificate
