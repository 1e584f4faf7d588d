# SPDX-License-Identifier: GPL-3.0-or-later
"""The trees in which other ACME clients keep their certificates."""

import datetime
import json

import certificates
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

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
