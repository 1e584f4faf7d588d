# SPDX-License-Identifier: GPL-3.0-or-later
"""The trees in which other ACME clients keep their certificates."""

import base64
import datetime
import json

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from lab import certificates

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"


def p256():
    return ec.generate_private_key(ec.SECP256R1())


def p384():
    return ec.generate_private_key(ec.SECP384R1())


def rsa2048():
    return rsa.generate_private_key(65537, 2048)


def other_type():
    return ed25519.Ed25519PrivateKey.generate()


def pkcs8(key):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def traditional(key):
    """PKCS #1 or RFC 5915, as most clients write it."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


class Issued:
    """A certificate from a CA of its own, as PEM texts: key, leaf and issuer."""

    def __init__(self, *names, key=None, expired=False):
        issuer_key = p256()
        self.names = names
        self.key = key or p256()
        self.issuer = self.make("the issuer", (), issuer_key, issuer_key, expired)
        self.leaf = self.make("the leaf", names, self.key, issuer_key, expired)
        self.fullchain = self.leaf + self.issuer

    @staticmethod
    def make(subject, names, key, issuer_key, expired):
        now = datetime.datetime.now(datetime.timezone.utc)
        end = now + datetime.timedelta(days=-1 if expired else 80)
        common = x509.NameOID.COMMON_NAME
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(common, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(common, "the issuer")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - datetime.timedelta(days=90))
            .not_valid_after(end)
        )
        if names:
            general = [certificates.general_name(name) for name in names]
            builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
        return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def write(path, content, mode=0o600):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)


class Tree:
    """What they have in common; add() puts a certificate in."""

    def __init__(self, path):
        self.path = path
        path.mkdir(parents=True)

    def image(self):
        """Everything in it: what each file, link and directory is."""
        return {
            str(path.relative_to(self.path)): (
                path.lstat().st_mode,
                path.lstat().st_mtime_ns,
                path.readlink() if path.is_symlink() else path.is_file() and path.read_bytes(),
            )
            for path in self.path.rglob("*")
        }


class Certbot(Tree):
    """Version 2's, as it is in /etc/letsencrypt."""

    def __init__(self, path):
        super().__init__(path)
        write(path / "live/README", "This directory contains your keys and certificates.\n")
        (path / "renewal").mkdir()
        (path / "renewal-hooks/deploy").mkdir(parents=True)

    def add(self, name, issued, server=LETS_ENCRYPT, **settings):
        archive, live = self.path / "archive" / name, self.path / "live" / name
        live.mkdir(parents=True)
        for kind, content in (
            ("privkey", pkcs8(issued.key)),
            ("cert", issued.leaf),
            ("chain", issued.issuer),
            ("fullchain", issued.fullchain),
        ):
            write(archive / f"{kind}3.pem", content)
            (live / f"{kind}.pem").symlink_to(f"../../archive/{name}/{kind}3.pem")
        lines = [
            "# renew_before_expiry = 30 days",
            "version = 2.1.0",
            f"archive_dir = {archive}",
            *(f"{kind} = {live}/{kind}.pem" for kind in ("cert", "privkey", "chain", "fullchain")),
            "",
            "# Options used in the renewal process",
            "[renewalparams]",
            "account = 1f2a4bb38a7ddcf3ae8ca9ffb1ecd2ad",
            "authenticator = webroot",
            *([f"server = {server}"] if server else []),
            "key_type = ecdsa",
            *(f"{key} = {value}" for key, value in settings.items()),
            "[[webroot_map]]",
            f"{name} = /var/www/html",
        ]
        write(self.path / "renewal" / f"{name}.conf", "\n".join(lines) + "\n")
        if server:
            directory = self.path / "accounts" / server.removeprefix("https://")
            account = directory / "1f2a4bb38a7ddcf3ae8ca9ffb1ecd2ad"
            write(account / "private_key.json", json.dumps({"kty": "RSA"}))


class Lego(Tree):
    """Version 4's .lego."""

    def add(self, name, issued, server=LETS_ENCRYPT, bundle=True):
        base = self.path / "certificates" / name
        host = "/".join(server.split("/")[:3])
        resource = {
            "domain": name,
            "certUrl": f"{host}/acme/cert/03a1f4b58c",
            "certStableUrl": f"{host}/acme/cert/03a1f4b58c",
        }
        write(base.with_name(f"{name}.crt"), issued.fullchain if bundle else issued.leaf)
        write(base.with_name(f"{name}.issuer.crt"), issued.issuer)
        write(base.with_name(f"{name}.key"), traditional(issued.key))
        write(base.with_name(f"{name}.json"), json.dumps(resource, indent="\t"))
        (self.path / "accounts").mkdir(exist_ok=True)

    def add_account(self, key, server=LETS_ENCRYPT, mail="admin@example.org", kind="keys"):
        """`kind` is "." in version 5, which also says which server it is."""
        host = server.split("/")[2].replace(":", "_")
        account = self.path / "accounts" / host / mail
        write(account / "account.json", json.dumps({"email": mail, **({"server": server} if kind == "." else {})}))
        write(account / kind / f"{mail}.key", traditional(key))


def packed(text):
    """A value as acme.sh writes those that may have quotes in them."""
    return f"__ACME_BASE64__START_{base64.b64encode(text.encode()).decode()}__ACME_BASE64__END_"


class AcmeSh(Tree):
    """Version 3's .acme.sh."""

    def __init__(self, path):
        super().__init__(path)
        write(path / "acme.sh", "#!/usr/bin/env sh\n", 0o755)
        write(path / "account.conf", "AUTO_UPGRADE='0'\n")
        write(path / "dnsapi/dns_cf.sh", "#!/usr/bin/env sh\n", 0o755)

    def add(self, name, issued, server=LETS_ENCRYPT, ecc=True, **settings):
        directory = self.path / (f"{name}_ecc" if ecc else name)
        values = {
            "Le_Domain": name,
            "Le_Alt": ",".join(issued.names[1:]) or "no",
            "Le_Webroot": "/var/www/html",
            "Le_PreHook": "",
            "Le_RenewHook": "",
            **({"Le_API": server} if server else {}),
            "Le_Keylength": "ec-256" if ecc else "2048",
            "Le_RealKeyPath": "",
            "Le_ReloadCmd": "",
            **settings,
        }
        lines = (f"{key}='{value}'\n" for key, value in values.items())
        write(directory / f"{name}.conf", "".join(lines), 0o644)
        write(directory / f"{name}.key", traditional(issued.key))
        write(directory / f"{name}.cer", issued.leaf, 0o644)
        write(directory / "ca.cer", issued.issuer, 0o644)
        write(directory / "fullchain.cer", issued.leaf + b"\n" + issued.issuer, 0o644)

    def add_account(self, key, server=LETS_ENCRYPT, old=False):
        host, _, path = server.removeprefix("https://").partition("/")
        directory = self.path / "ca" / host.partition(":")[0] / ("" if old else path)
        write(directory / "account.key", traditional(key))
        write(directory / "account.json", "{}")


class Dehydrated(Tree):
    """Version 0.7's."""

    # What `openssl ecparam -genkey` writes before a key of P-256.
    PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"

    def add(self, name, issued):
        directory, at = self.path / "certs" / name, 1732572000
        key = traditional(issued.key)
        if isinstance(issued.key, ec.EllipticCurvePrivateKey):
            key = self.PARAMETERS + key
        for kind, content in (
            ("privkey", key),
            ("cert", issued.leaf),
            ("chain", b"\n" + issued.issuer),
            ("fullchain", issued.leaf + b"\n" + issued.issuer),
        ):
            write(directory / f"{kind}-{at}.pem", content)
            (directory / f"{kind}.pem").symlink_to(f"{kind}-{at}.pem")
        (self.path / "accounts").mkdir(exist_ok=True)

    def add_account(self, key, server=LETS_ENCRYPT):
        # The line feed comes from `echo`.
        name = base64.urlsafe_b64encode(f"{server}\n".encode()).decode().rstrip("=")
        write(self.path / "accounts" / name / "account_key.pem", traditional(key))
        write(self.path / "accounts" / name / "registration_info.json", "{}")

    def configure(self, text):
        write(self.path / "config", text)
