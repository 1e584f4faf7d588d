#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture ClientHellos from real clients into tests/data/hello/: capture.py [NAME...]

Needs root, what deploy/setup/setup.sh installs and fetches, and chromium.  Runs in a
network namespace of its own where every name is 127.0.0.1 and port 443 is a
socket that reads the client's first flight and hangs up.  Each run changes the
random parts of the vectors; new versions of the clients change the rest.
"""

import base64
import contextlib
import gzip
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

import hello_text

PEERS = pathlib.Path(__file__).parents[2] / "build/peers/usr/bin"
NAME = "www.example.org"
PATIENCE_S = 30


def record_size(data):
    return 5 + int.from_bytes(data[3:5], "big") if len(data) >= 5 else 5


class Trap:
    """Port 443: keeps the first record of every connection."""

    def __init__(self):
        self.caught = []
        self.arrived = threading.Condition()
        self.sockets = []
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            listener = socket.socket(family)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, 443))
            listener.listen(16)
            self.sockets.append(listener)
            threading.Thread(target=self.serve, args=(listener,), daemon=True).start()

    def serve(self, listener):
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.settimeout(PATIENCE_S)
                data = b""
                while len(data) < record_size(data):
                    more = connection.recv(record_size(data) - len(data))
                    if not more:
                        break
                    data += more
                with self.arrived:
                    self.caught.append(data)
                    self.arrived.notify()

    def wait(self, server_name=""):
        """The first hello since the last clear() that has this name in it."""

        def matching():
            return [data for data in self.caught if server_name.encode() in data]

        with self.arrived:
            if not self.arrived.wait_for(matching, PATIENCE_S):
                sys.exit(f"no client came with the server name '{server_name}'")
            return matching()[0]

    def clear(self):
        with self.arrived:
            self.caught.clear()


class Capture:
    """What every capture needs: the trap, a directory, and processes to end."""

    def __init__(self, directory, trap):
        self.directory = directory
        self.trap = trap
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    def start(self, *command, **environment):
        """Run a program until the end of this capture."""
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(self.directory), **environment},
        )
        self.stack.callback(process.wait)
        self.stack.callback(process.terminate)
        return process

    def hello_of(self, server_name, *command):
        """The hello with this server name that a client program sends."""
        self.trap.clear()
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(self.directory)},
        )
        try:
            return self.trap.wait(server_name)
        finally:
            process.terminate()
            process.communicate()


def wait_for_port(port):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}")


def version_of(*command, pattern=r"\d+\.\d+(\.\d+)?"):
    output = subprocess.run(command, capture_output=True, text=True, check=False)
    return re.search(pattern, output.stdout + output.stderr).group(0)


def peer_version_of(name):
    """Of a program that deploy/setup/fetch-peers.sh fetched, with that of its TLS library."""
    changelog = gzip.open(PEERS / f"../share/doc/{name}/changelog.Debian.gz", "rt").readline()
    go = re.search(rb"go(1\.\d+(\.\d+)?)", (PEERS / name).read_bytes()).group(1).decode()
    return f"{name.capitalize()} {re.search(r'[(]([0-9.]+)', changelog).group(1)} (Go {go})"


# --- an ACME client, just enough to make a CA validate -------------------------------------------


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class AcmeClient:
    """RFC 8555 up to the point where the CA connects to port 443."""

    def __init__(self, directory_url):
        self.tls = ssl.create_default_context()
        self.tls.check_hostname = False
        self.tls.verify_mode = ssl.CERT_NONE
        self.key = ec.generate_private_key(ec.SECP256R1())
        point = self.key.public_key().public_numbers()
        self.jwk = {
            "crv": "P-256",
            "kty": "EC",
            "x": base64url(point.x.to_bytes(32, "big")),
            "y": base64url(point.y.to_bytes(32, "big")),
        }
        self.nonce = self.account = None
        self.directory = self.send(directory_url)[0]
        self.send(self.directory["newNonce"])
        self.account = self.post(self.directory["newAccount"], {"termsOfServiceAgreed": True})[1]

    def send(self, url, body=None):
        """Returns the parsed body and the Location header."""
        headers = {"User-Agent": "capture.py", "Content-Type": "application/jose+json"}
        request = urllib.request.Request(url, body, headers)
        with urllib.request.urlopen(request, context=self.tls, timeout=PATIENCE_S) as answer:
            self.nonce = answer.headers["Replay-Nonce"]
            text = answer.read()
            return json.loads(text) if text else None, answer.headers["Location"]

    def post(self, url, payload):
        protected = {"alg": "ES256", "nonce": self.nonce, "url": url}
        protected.update({"kid": self.account} if self.account else {"jwk": self.jwk})
        signed = ".".join(
            base64url(part)
            for part in (
                json.dumps(protected).encode(),
                b"" if payload is None else json.dumps(payload).encode(),
            )
        )
        der = self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
        signature = b"".join(n.to_bytes(32, "big") for n in decode_dss_signature(der))
        head, body = signed.split(".")
        return self.send(
            url,
            json.dumps(
                {"protected": head, "payload": body, "signature": base64url(signature)}
            ).encode(),
        )

    def validate(self, kind, value):
        order, _ = self.post(
            self.directory["newOrder"], {"identifiers": [{"type": kind, "value": value}]}
        )
        authorization, _ = self.post(order["authorizations"][0], None)
        for challenge in authorization["challenges"]:
            if challenge["type"] == "tls-alpn-01":
                self.post(challenge["url"], {})
                return
        sys.exit(f"no tls-alpn-01 challenge for {value}")


# --- what is captured ---------------------------------------------------------------------------


def start_dns(capture):
    """Every name is 127.0.0.1, for the system's resolver too, which Caddy asks."""
    resolver = capture.directory / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\n", encoding="ascii")
    subprocess.run(["mount", "--bind", resolver, "/etc/resolv.conf"], check=True)
    capture.start(
        str(PEERS / "pebble-challtestsrv"),
        *("-dnsserver", "127.0.0.1:53", "-management", "127.0.0.1:8055"),
        *("-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""),
        *("-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""),
    )
    wait_for_port(53)


def make_certificate(directory):
    """A self-signed certificate for the CA's own HTTPS port."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        + ["-nodes", "-subj", "/CN=ca", "-addext", "subjectAltName=DNS:localhost"]
        + ["-keyout", directory / "key.pem", "-out", directory / "cert.pem"],
        check=True,
        capture_output=True,
    )


def pebble(capture):
    make_certificate(capture.directory)
    config = {
        "listenAddress": "127.0.0.1:14000",
        "managementListenAddress": "127.0.0.1:15000",
        "certificate": str(capture.directory / "cert.pem"),
        "privateKey": str(capture.directory / "key.pem"),
        "httpPort": 80,
        "tlsPort": 443,
        "profiles": {"default": {"description": "the only one", "validityPeriod": 86400}},
    }
    path = capture.directory / "pebble.json"
    path.write_text(json.dumps({"pebble": config}), encoding="ascii")
    capture.start(
        str(PEERS / "pebble"),
        *("-config", str(path), "-dnsserver", "127.0.0.1:53", "-strict"),
        PEBBLE_VA_NOSLEEP="1",
        PEBBLE_WFE_NONCEREJECT="0",
    )
    wait_for_port(14000)
    client = AcmeClient("https://127.0.0.1:14000/dir")
    made_with = f"{peer_version_of('pebble')} validates"
    for name, kind, value, server_name in (
        ("pebble-dns", "dns", NAME, NAME),
        ("pebble-ipv4", "ip", "127.0.0.1", "1.0.0.127.in-addr.arpa"),
        ("pebble-ipv6", "ip", "::1", "1." + "0." * 31 + "ip6.arpa"),
    ):
        capture.trap.clear()
        client.validate(kind, value)
        what = f"{made_with} the {'domain' if kind == 'dns' else 'address'} {value}"
        yield name, what, "acme", server_name, capture.trap.wait(server_name)


def caddy(capture):
    version = peer_version_of("caddy")
    config = capture.directory / "Caddyfile"
    config.write_text(
        f"""{{
	admin off
	storage file_system {capture.directory}/caddy
	skip_install_trust
	auto_https disable_redirects
	http_port 8080
	https_port 8443
}}
https://localhost:9443 {{
	tls internal
	acme_server
}}
https://client.example.org:8443 {{
	tls {{
		ca https://localhost:443/directory
	}}
}}
""",
        encoding="ascii",
    )
    capture.trap.clear()
    capture.start(str(PEERS / "caddy"), "run", "--adapter", "caddyfile", "--config", str(config))
    what = f"{version} asks an ACME server for its directory"
    yield "caddy-https-client", what, "other", "localhost", capture.trap.wait()
    wait_for_port(9443)
    client = AcmeClient("https://localhost:9443/acme/local/directory")
    capture.trap.clear()
    client.validate("dns", NAME)
    what = f"{version}, acme_server, validates the domain {NAME}"
    yield "caddy-acme-server", what, "acme", NAME, capture.trap.wait(NAME)


def openssl(capture):
    version = f"OpenSSL {version_of('openssl', 'version')}, s_client"
    for name, verdict, server_name, options in (
        ("openssl-acme", "acme", NAME, "-alpn acme-tls/1"),
        ("openssl-acme-tls12", "acme", NAME, "-tls1_2 -alpn acme-tls/1"),
        ("openssl-acme-tls13", "acme", NAME, "-tls1_3 -alpn acme-tls/1"),
        ("openssl-acme-upper-case", "acme", NAME.upper(), "-alpn acme-tls/1"),
        ("openssl-acme-trailing-dot", "acme", NAME + ".", "-alpn acme-tls/1"),
        ("openssl-acme-no-sni", "other", "", "-alpn acme-tls/1"),
        ("openssl-acme-and-h2", "other", NAME, "-alpn acme-tls/1,h2"),
        ("openssl-h2-and-acme", "other", NAME, "-alpn h2,acme-tls/1"),
        ("openssl-h2-and-http11", "other", NAME, "-alpn h2,http/1.1"),
        ("openssl-no-alpn", "other", NAME, ""),
        ("openssl-no-alpn-no-sni-tls12", "other", "", "-tls1_2"),
    ):
        sni = ["-servername", server_name] if server_name else ["-noservername"]
        data = capture.hello_of(
            server_name,
            *("openssl", "s_client", "-connect", "127.0.0.1:443", *sni, *options.split()),
        )
        yield name, f"{version} {options}".rstrip(), verdict, server_name, data


def gnutls(capture):
    version = f"GnuTLS {version_of('gnutls-cli', '--version')}, gnutls-cli"
    for name, verdict, options in (
        ("gnutls-acme", "acme", ["--alpn", "acme-tls/1"]),
        (
            "gnutls-acme-tls12",
            "acme",
            ["--alpn", "acme-tls/1", "--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.2"],
        ),
        ("gnutls-acme-and-http11", "other", ["--alpn", "acme-tls/1", "--alpn", "http/1.1"]),
        ("gnutls-no-alpn", "other", []),
    ):
        data = capture.hello_of(
            NAME,
            *("gnutls-cli", "--insecure", "--sni-hostname", NAME, "-p", "443"),
            *(*options, "127.0.0.1"),
        )
        yield name, " ".join([version, *options]), verdict, NAME, data


def curl(capture):
    version = f"curl {version_of('curl', '--version')}"
    tls = version_of("curl", "--version", pattern=r"(OpenSSL|GnuTLS)/[\d.]+")
    for name, options in (("curl", []), ("curl-http11-tls12", ["--http1.1", "--tls-max", "1.2"])):
        data = capture.hello_of(
            NAME,
            *("curl", "-k", "--resolve", f"{NAME}:443:127.0.0.1", *options, f"https://{NAME}/"),
        )
        yield name, " ".join([f"{version} ({tls})", *options]), "other", NAME, data


def chromium(capture):
    program = shutil.which("chromium")
    if not program:
        sys.exit("chromium is missing: install it, or name the other captures")
    data = capture.hello_of(
        NAME,
        *(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
        *("--disable-sync", f"--user-data-dir={capture.directory}/chromium"),
        *(f"--host-resolver-rules=MAP {NAME} 127.0.0.1", "--dump-dom", f"https://{NAME}/"),
    )
    what = f"Chromium {version_of(program, '--version', pattern=r'[0-9.]{5,}')}, headless"
    yield "chromium", what, "other", NAME, data


CAPTURES = {
    function.__name__: function for function in (pebble, caddy, openssl, gnutls, curl, chromium)
}


def main():
    chosen = sys.argv[1:] or list(CAPTURES)
    if not set(chosen) <= set(CAPTURES):
        sys.exit(f"usage: capture.py [{'|'.join(CAPTURES)}]...")
    if os.geteuid() != 0:
        sys.exit("capture.py makes a network namespace: run it as root")
    if "CAPTURE_NAMESPACE" not in os.environ:
        os.environ["CAPTURE_NAMESPACE"] = "1"
        # As Go 1.26 by itself: the distribution's builds have the post-quantum key shares off.
        os.environ["GODEBUG"] = "tlsmlkem=1,tlssecpmlkem=1"
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory() as path, Capture(pathlib.Path(path), Trap()) as base:
        start_dns(base)
        for kind in chosen:
            with Capture(base.directory, base.trap) as capture:
                for name, what, verdict, server_name, data in CAPTURES[kind](capture):
                    hello_text.write(name, what, verdict, server_name, data)
                    print(f"{name}: {len(data)} bytes, {verdict}")


if __name__ == "__main__":
    main()
