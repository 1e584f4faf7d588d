# SPDX-License-Identifier: GPL-3.0-or-later
"""What people use instead of Sidestep: each configured as its documentation says.

Proxies stand in front of production on port 443 of an address of their own, pass
acme-tls/1 connections to one place and all others to production.  Answerers finish
the validator's handshake themselves.
"""

import base64
import datetime
import pathlib
import re

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lab.hosts import PEERS

NAME = "bench.example.org"
ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")  # RFC 8737 section 6.1
NGINX_STREAM = "/usr/lib/nginx/modules/ngx_stream_module.so"


class Front:
    """A server program that holds port 443 of one address."""

    name = None

    def __init__(self, lab, address):
        self.lab = lab
        self.address = address
        self.directory = lab.make_directory(f"front-{self.name}", 0o777)
        self.process = None

    def start(self):
        for file, text in self.files().items():
            (self.directory / file).write_text(text, encoding="ascii")
        self.process = self.lab.server.start(self.name, *self.command())
        self.process.wait_until(
            lambda: self.lab.server.accepts(443, (self.address,)), f"port 443 of {self.address}"
        )
        return self

    def files(self):
        return {}

    def command(self):
        raise NotImplementedError

    def pids(self):
        """Its processes: those that it started among them."""
        found, parents = {self.process.pid}, parents_of(self.lab.server.processes())
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found


def parents_of(pids):
    parents = {}
    for pid in pids:
        try:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
        except FileNotFoundError:
            continue
        parents[pid] = int(re.search(r"PPid:\s+(\d+)", status).group(1))
    return parents


# --- proxies -----------------------------------------------------------------------------------


class Proxy(Front):
    """Leads what is not acme-tls/1 to `production`, the rest to `acme`: (address, port) each."""

    def __init__(self, lab, address, production, acme):
        super().__init__(lab, address)
        self.production = f"{production[0]}:{production[1]}"
        self.acme = f"{acme[0]}:{acme[1]}"


class NginxPreread(Proxy):
    name = "nginx_preread"

    def files(self):
        return {
            "nginx.conf": f"""
load_module {NGINX_STREAM};
user www-data;
daemon off;
worker_processes 2;
pid {self.directory}/nginx.pid;
error_log stderr;
events {{
	worker_connections 8192;
}}
stream {{
	map $ssl_preread_alpn_protocols $upstream {{
		~\\bacme-tls/1\\b {self.acme};
		default {self.production};
	}}
	server {{
		listen {self.address}:443 backlog=4096;
		ssl_preread on;
		proxy_pass $upstream;
	}}
}}
"""
        }

    def command(self):
        return ["nginx", "-c", self.directory / "nginx.conf", "-e", "stderr"]


class HaproxyTcp(Proxy):
    name = "haproxy_tcp"

    def files(self):
        return {
            "haproxy.cfg": f"""
global
	log stderr local0 notice
	user haproxy
	group haproxy
	maxconn 8192
defaults
	mode tcp
	timeout connect 5s
	timeout client 60s
	timeout server 60s
frontend tls
	bind {self.address}:443 backlog 4096
	tcp-request inspect-delay 5s
	tcp-request content accept if {{ req.ssl_hello_type 1 }}
	use_backend acme if {{ req.ssl_alpn acme-tls/1 }}
	default_backend production
backend acme
	server acme {self.acme}
backend production
	server production {self.production}
"""
        }

    def command(self):
        return ["haproxy", "-f", self.directory / "haproxy.cfg"]


class UalpnProxy(Proxy):
    """It answers acme-tls/1 itself, and passes all else on."""

    name = "ualpn_proxy"

    def command(self):
        return ualpn_command(self, self.production)


class Sslh(Proxy):
    name = "sslh"

    def files(self):
        (acme_host, acme_port), (host, port) = (
            place.rsplit(":", 1) for place in (self.acme, self.production)
        )
        return {
            "sslh.cfg": f"""
foreground: true;
inetd: false;
transparent: false;
numeric: true;
verbose: 0;
timeout: 5;
pidfile: "{self.directory}/sslh.pid";
listen: ( {{ host: "{self.address}"; port: "443"; }} );
protocols: (
	{{ name: "tls"; host: "{acme_host}"; port: "{acme_port}"; alpn_protocols: [ "acme-tls/1" ]; }},
	{{ name: "tls"; host: "{host}"; port: "{port}"; }}
);
"""
        }

    def command(self):
        return ["sslh-select", f"-F{self.directory}/sslh.cfg"]


PROXIES = (NginxPreread, HaproxyTcp, UalpnProxy, Sslh)

# --- answerers ---------------------------------------------------------------------------------


def write_challenge_certificate(directory, digest):
    """The challenge certificate (RFC 8737 section 3) and its key, as PEM; the two paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.utcnow()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=7))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(
            x509.UnrecognizedExtension(ACME_IDENTIFIER, b"\x04\x20" + digest), critical=True
        )
        .sign(key, hashes.SHA256())
    )
    paths = directory / "challenge.pem", directory / "challenge.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


class Answerer(Front):
    """Answers acme-tls/1 for NAME, with one worker."""

    answers_acme = True
    holds_connections = True

    def __init__(self, lab, address, digest):
        super().__init__(lab, address)
        self.digest = digest
        self.certificate, self.key = write_challenge_certificate(self.directory, digest)
        self.key.chmod(0o644)  # some read it as another user


class NginxStream(Answerer):
    name = "nginx"

    def files(self):
        return {
            "nginx.conf": f"""
load_module {NGINX_STREAM};
user www-data;
daemon off;
worker_processes 1;
pid {self.directory}/nginx.pid;
error_log /dev/null;
events {{
	worker_connections 16384;
}}
stream {{
	server {{
		listen {self.address}:443 ssl backlog=4096;
		ssl_certificate {self.certificate};
		ssl_certificate_key {self.key};
		ssl_protocols TLSv1.2 TLSv1.3;
		ssl_alpn acme-tls/1;
		ssl_session_cache off;
		ssl_session_tickets off;
		return "";
	}}
}}
"""
        }

    def command(self):
        return ["nginx", "-c", self.directory / "nginx.conf", "-e", "stderr"]


def ualpn_command(front, production):
    host, port = production.rsplit(":", 1)
    return [
        *("ualpn", "-vv", "-n", "1", "-m", "128", "-s", front.directory / "sock"),
        *("-S", "666", "-P", "0", "-b", f"{front.address}@443", "-c", f"{host}@{port}"),
    ]


class Ualpn(Answerer):
    name = "ualpn"
    holds_connections = False  # it lets fewer in at a time than are asked for

    def command(self):
        # Nothing listens there: all that comes is for it to answer.
        return ualpn_command(self, "127.0.0.1:9")

    def start(self):
        super().start()
        digest = base64.urlsafe_b64encode(self.digest).rstrip(b"=").decode()
        # Its exit status says nothing of the answer, which is what its own hook looks at.
        answer = self.lab.server.run(
            *("ualpn", "-s", self.directory / "sock"),
            input=f"auth {NAME} {digest}\n",
            check=False,
        )
        if "OK" not in answer.stdout:
            raise RuntimeError(f"ualpn does not take the challenge: {answer.stdout}")
        return self


class Caddy(Answerer):
    """It answers acme-tls/1 for its own orders only: measured is its handshake with others."""

    name = "caddy"
    answers_acme = False

    def files(self):
        return {
            "Caddyfile": f"""
{{
	admin off
	auto_https off
	default_bind {self.address}
	default_sni {NAME}
	storage file_system {self.directory}/storage
	log {{
		output discard
	}}
}}
https://{NAME}:443 {{
	tls {self.certificate} {self.key}
	respond "ok"
}}
"""
        }

    def command(self):
        return [
            *("env", "GOMAXPROCS=1", f"HOME={self.directory}", PEERS / "caddy", "run"),
            *("--adapter", "caddyfile", "--config", self.directory / "Caddyfile"),
        ]


class OpensslServer(Answerer):
    """OpenSSL's own program, one connection after the other: as little as can be around it."""

    name = "openssl"
    holds_connections = False

    def command(self):
        return [
            *("openssl", "s_server", "-accept", f"{self.address}:443", "-quiet", "-alpn"),
            *("acme-tls/1", "-cert", self.certificate, "-key", self.key, "-no_cache"),
            *("-num_tickets", "0"),
        ]
