# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS clients: one in this process, and real ones."""

import contextlib
import re
import socket
import ssl
import time

PATIENCE_S = 15
ACME = "acme-tls/1"


class Answer:
    """What a client got: the certificate (DER), the protocol, and the page."""

    def __init__(self, certificate, protocol=None, body=None):
        self.certificate = certificate
        self.protocol = protocol
        self.body = body


def context(alpn=None, version=None):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    if alpn:
        tls.set_alpn_protocols(alpn)
    if version:
        tls.minimum_version = tls.maximum_version = version
    return tls


def read_all(stream):
    parts = []
    while more := stream.recv(65536):
        parts.append(more)
    return b"".join(parts)


def body_of(response):
    head, _, body = response.partition(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0], response[:200]
    return body


def get(host, address, name, version=None, port=443, path="/"):
    """Fetch the page as any user would."""
    with host.entered():
        connection = socket.create_connection((str(address), port), PATIENCE_S)
    with connection, context(["http/1.1"], version).wrap_socket(
        connection, server_hostname=name, suppress_ragged_eofs=True
    ) as tls:
        request = f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
        tls.sendall(request.encode())
        body = body_of(read_all(tls))
        return Answer(tls.getpeercert(binary_form=True), tls.selected_alpn_protocol(), body)


# Production sends its SYN-ACK again after a second, and from then on gets the client's bare ACK:
# a hello that comes as late as that is production's (rule 6).
LATE_S = 0.9
ATTEMPTS = 5


def handshake(connection, tls, incoming, outgoing):
    """Carry the bytes of a handshake whose first ones are sent already."""
    while True:
        try:
            tls.do_handshake()
            connection.sendall(outgoing.read())  # the last of it is ours
            return
        except ssl.SSLWantReadError:
            connection.sendall(outgoing.read())
            data = connection.recv(65536)
            if data:
                incoming.write(data)
            else:
                incoming.write_eof()


def validate(host, address, name, version=None, alpn=(ACME,), port=443):
    """Handshake as a validator does (RFC 8737 section 3), and hang up.

    Again when it fails and this process, on a busy machine, was late with its hello."""
    for attempt in range(ATTEMPTS):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context(list(alpn), version).wrap_bio(incoming, outgoing, server_hostname=name)
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        hello = outgoing.read()
        begun = time.monotonic()
        with host.entered():
            connection = socket.create_connection((str(address), port), PATIENCE_S)
        with connection:
            connection.sendall(hello)
            is_late = time.monotonic() - begun > LATE_S
            try:
                handshake(connection, tls, incoming, outgoing)
                return Answer(tls.getpeercert(binary_form=True), tls.selected_alpn_protocol())
            except OSError:
                if not is_late or attempt == ATTEMPTS - 1:
                    raise
    return None


def client_hello(name, alpn=(ACME,)):
    """The bytes that OpenSSL would send first."""
    hello, nothing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context(list(alpn)).wrap_bio(nothing, hello, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return hello.read()


# --- real clients: each returns the certificate that it was shown -------------------------------


def pem_to_der(text):
    pem = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.DOTALL)
    assert pem, f"no certificate was shown: {text[-2000:]}"
    return ssl.PEM_cert_to_DER_cert(pem.group(0))


def target(address):
    return f"[{address}]:443" if address.version == 6 else f"{address}:443"


def openssl(host, address, name, *options):
    sni = ("-servername", name) if name else ()
    output = host.run(
        *("openssl", "s_client", "-connect", target(address), *sni, *options),
        input="",
        check=False,
    )
    return Answer(pem_to_der(output.stdout))


def gnutls(host, address, name, *options):
    output = host.run(
        *("gnutls-cli", "--insecure", "--print-cert", "--sni-hostname", name, "-p", "443"),
        *(*options, address),
        input="",
        check=False,
    )
    return Answer(pem_to_der(output.stdout))


def curl(host, address, name, *options):
    output = host.run(
        *("curl", "-sSk", "--max-time", PATIENCE_S, "-w", "%{certs}", *options),
        *("--resolve", f"{name}:443:{address}", f"https://{name}/"),
    )
    body, _, certs = output.stdout.partition("\n")
    return Answer(pem_to_der(certs), body=f"{body}\n".encode())
