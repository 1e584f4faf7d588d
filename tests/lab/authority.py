# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificate authorities on a lab's validator host, and the names that they look up."""

import json
import os

from lab import certificates
from lab.hosts import PEERS

# As Go 1.26 by itself, and Let's Encrypt with it: ClientHellos of 1,500 bytes.  The
# distribution builds its Go programs as if for an older Go, with small ones.
GO_AS_RELEASED = {"GODEBUG": "tlsmlkem=1,tlssecpmlkem=1"}

DNS_MANAGEMENT_PORT = 8055


class Dns:
    """pebble-challtestsrv: knows only the names that a test gives it."""

    def __init__(self, lab):
        self.host = lab.validator
        process = self.host.start(
            "dns",
            *(PEERS / "pebble-challtestsrv", "-dnsserver", ":53"),
            *("-management", f":{DNS_MANAGEMENT_PORT}", "-defaultIPv4", "", "-defaultIPv6", ""),
            *("-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""),
        )
        process.wait_until(
            lambda: self.host.listens(53) and self.host.listens(DNS_MANAGEMENT_PORT), "its ports"
        )

    def set(self, name, *addresses):
        """The name has these addresses from now on."""
        for version, kind in ((4, "a"), (6, "aaaa")):
            of_kind = [str(address) for address in addresses if address.version == version]
            if of_kind:
                self.manage(f"add-{kind}", {"host": f"{name}.", "addresses": of_kind})

    def manage(self, verb, request):
        self.host.run(
            *("curl", "-sSf", "--data", json.dumps(request)),
            f"http://localhost:{DNS_MANAGEMENT_PORT}/{verb}",
        )


class Authority:
    """What a client needs to know: the directory's URL and whom to trust for it."""

    def __init__(self, host, url, cacert):
        self.host = host
        self.url = url
        self.cacert = cacert

    def roots(self):
        """The certificates that issued ones end in."""
        raise NotImplementedError


class Pebble(Authority):
    """Let's Encrypt's test CA; strict, and without its random pauses and reused validations."""

    ENVIRONMENT = {**GO_AS_RELEASED, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0"}

    def __init__(self, lab, host=None, identity=None, settings=None, **environment):
        host = host or lab.validator
        directory = lab.make_directory("pebble")
        self.identity = identity or certificates.SelfSigned(directory, host.ipv4, host.ipv6)
        config = {
            "listenAddress": ":14000",
            "managementListenAddress": ":15000",
            "certificate": str(self.identity.cert_file),
            "privateKey": str(self.identity.key_file),
            "httpPort": 80,
            "tlsPort": 443,
            "profiles": {"default": {"description": "the only one", "validityPeriod": 7776000}},
            **(settings or {}),
        }
        path = directory / "pebble.json"
        path.write_text(json.dumps({"pebble": config}), encoding="ascii")
        self.process = host.start(
            "pebble",
            *(PEERS / "pebble", "-strict", "-config", path),
            *("-dnsserver", f"{lab.validator.ipv4}:53"),
            env={**os.environ, **self.ENVIRONMENT, **environment},
        )
        self.process.wait_until(
            lambda: host.listens(14000) and host.listens(15000), "its ports"
        )
        super().__init__(host, f"https://{host.ipv4}:14000/dir", self.identity.cert_file)

    def orders(self):
        """How many orders were made."""
        return self.process.output().count(" Added order ")

    def roots(self):
        output = self.host.run(
            *("curl", "-sSf", "--cacert", self.cacert),
            f"https://{self.host.ipv4}:15000/roots/0",
        )
        return output.stdout


class Caddy(Authority):
    """Caddy's acme_server: step-ca's code, a validator that is not Pebble's."""

    def __init__(self, lab):
        host = lab.validator
        directory = lab.make_directory("caddy-ca")
        identity = certificates.SelfSigned(directory, host.ipv4, host.ipv6)
        self.root_file = directory / "storage/pki/authorities/local/root.crt"
        path = directory / "Caddyfile"
        path.write_text(
            f"""
{{
	admin off
	auto_https off
	skip_install_trust
	persist_config off
	storage file_system {directory}/storage
	pki {{
		ca local
	}}
}}
https://{host.ipv4}:9443 {{
	tls {identity.cert_file} {identity.key_file}
	acme_server {{
		challenges tls-alpn-01
	}}
}}
""",
            encoding="ascii",
        )
        # It asks the system's resolver: that of a mount namespace of its own.
        resolver = directory / "resolv.conf"
        resolver.write_text(f"nameserver {host.ipv4}\n", encoding="ascii")
        self.process = host.start(
            "caddy-ca",
            *("unshare", "--mount", "sh", "-c"),
            'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"',
            *("sh", resolver, PEERS / "caddy", "run", "--adapter", "caddyfile", "--config", path),
            env={**os.environ, **GO_AS_RELEASED, "HOME": str(directory)},
        )
        self.process.wait_until(
            lambda: host.listens(9443) and self.root_file.exists(), "port 9443 and its root"
        )
        super().__init__(
            host, f"https://{host.ipv4}:9443/acme/local/directory", identity.cert_file
        )

    def roots(self):
        return self.root_file.read_text(encoding="ascii")


