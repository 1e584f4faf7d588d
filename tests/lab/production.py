# SPDX-License-Identifier: GPL-3.0-or-later
"""Production servers that hold port 443: the real ones, each configured in a few lines."""

import ipaddress

from lab import certificates
from lab.hosts import PEERS

BODY = b"production\n"


class Production:
    """One server on a lab's server host, or another, with a self-signed certificate.

    Nginx and HAProxy can listen elsewhere than at port 443 of all addresses."""

    name = None  # of the program

    def __init__(self, lab, host=None, addresses=(), ports=(443,), name=None):
        self.lab = lab
        host = host or lab.server
        self.addresses = addresses
        self.ports = ports
        name = name or "-".join([self.name, *map(str, addresses)]).replace(":", ".")
        self.directory = lab.make_directory(name)
        self.identity = certificates.SelfSigned(
            self.directory / "tls", "www.example.org", host.ipv4, host.ipv6
        )
        self.config = self.directory / "server.conf"
        self.config.write_text(self.configuration(), encoding="ascii")
        self.process = host.start(name, *self.command())
        for port in ports:
            self.process.wait_until(lambda: host.accepts(port, addresses), f"port {port}")

    def endpoints(self):
        """Where to listen, as most configurations write it."""
        addresses = self.addresses or (ipaddress.ip_address("0.0.0.0"), ipaddress.ip_address("::"))
        return [
            f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
            for port in self.ports
            for address in addresses
        ]

    @property
    def certificate(self):
        """In DER."""
        return self.identity.der

    def configuration(self):
        raise NotImplementedError

    def command(self):
        raise NotImplementedError


class Nginx(Production):
    name = "nginx"

    def server_lines(self):
        """What its server gets beside what all need."""
        return ""

    def configuration(self):
        listen = "\n".join(f"\t\tlisten {endpoint} ssl;" for endpoint in self.endpoints())
        temporary = "\n".join(
            f"\t{kind}_temp_path {self.directory}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return f"""
user www-data;
daemon off;
worker_processes 2;
pid {self.directory}/nginx.pid;
error_log stderr;
events {{
	worker_connections 768;
}}
http {{
	access_log off;
{temporary}
	ssl_certificate {self.identity.cert_file};
	ssl_certificate_key {self.identity.key_file};
	server {{
{listen}
		default_type text/plain;
{self.server_lines()}
		location / {{
			return 200 "production\\n";
		}}
		location /bulk {{
			root {self.directory};
			limit_rate 20m;
		}}
	}}
}}
"""

    def command(self):
        return ["nginx", "-c", self.config, "-e", "stderr"]


class Haproxy(Production):
    name = "haproxy"
    alpn = "h2,http/1.1"

    def configuration(self):
        tls = f"ssl crt {self.identity.bundle_file} alpn {self.alpn}"
        bind = "\n".join(f"\tbind {endpoint} v6only {tls}" for endpoint in self.endpoints())
        return f"""
global
	log stderr local0 notice
	user haproxy
	group haproxy
defaults
	mode http
	timeout connect 5s
	timeout client 30s
	timeout server 30s
frontend https
{bind}
	http-request return status 200 content-type text/plain string "production\\n"
"""

    def command(self):
        return ["haproxy", "-db", "-f", self.config]


class HaproxyWithAcme(Haproxy):
    """Speaks acme-tls/1 too, as with an ACME client of its own: tells what reaches it."""

    alpn = "h2,http/1.1,acme-tls/1"


class Apache(Production):
    """Its one socket serves both families."""

    name = "apache2"

    def configuration(self):
        pages = self.lab.make_directory("apache2/pages")
        (pages / "index.html").write_bytes(BODY)
        modules = "\n".join(
            f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so"
            for name in ("mpm_event", "authz_core", "dir", "ssl")
        )
        return f"""
ServerRoot {self.directory}
ServerName www.example.org
PidFile {self.directory}/apache2.pid
DefaultRuntimeDir {self.directory}
Mutex file:{self.directory}
ErrorLog /dev/stderr
User www-data
Group www-data
{modules}
SSLSessionCache none
Listen 443
<VirtualHost *:443>
	SSLEngine on
	SSLCertificateFile {self.identity.cert_file}
	SSLCertificateKeyFile {self.identity.key_file}
	DocumentRoot {pages}
	DirectoryIndex index.html
</VirtualHost>
"""

    def command(self):
        return ["apache2", "-DFOREGROUND", "-f", self.config]


class Caddy(Production):
    """Its one socket serves both families, and it would answer acme-tls/1 itself."""

    name = "caddy"

    def configuration(self):
        return f"""
{{
	admin off
	auto_https off
	skip_install_trust
	persist_config off
	storage file_system {self.directory}
}}
:443 {{
	tls {self.identity.cert_file} {self.identity.key_file}
	respond "production
"
}}
"""

    def command(self):
        return [PEERS / "caddy", "run", "--adapter", "caddyfile", "--config", self.config]


SERVERS = (Nginx, Haproxy, Apache, Caddy)
