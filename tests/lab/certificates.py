# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that the tests make, and those that they look at."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")  # RFC 8737 section 6.1


def general_name(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(str(name)))
    except ValueError:
        return x509.DNSName(str(name))


class SelfSigned:
    """A key and a self-signed certificate for some names, as files in a directory."""

    def __init__(self, directory, *names, expired=False):
        directory.mkdir(exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, str(names[0]))])
        now = datetime.datetime.now(datetime.timezone.utc)
        end = now + datetime.timedelta(days=-1 if expired else 7)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - datetime.timedelta(days=14))
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName(map(general_name, names)), critical=False)
            .sign(key, hashes.SHA256())
        )
        self.cert_file = directory / "cert.pem"
        self.key_file = directory / "key.pem"
        self.bundle_file = directory / "bundle.pem"  # HAProxy's form
        cert_pem = self.certificate.public_bytes(serialization.Encoding.PEM)
        key_pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        self.cert_file.write_bytes(cert_pem)
        self.key_file.write_bytes(key_pem)
        self.bundle_file.write_bytes(cert_pem + key_pem)

    @property
    def der(self):
        return self.certificate.public_bytes(serialization.Encoding.DER)


def load(path):
    """All certificates of a PEM file."""
    mark = b"-----END CERTIFICATE-----"
    parts = path.read_bytes().split(mark)[:-1]
    return [x509.load_pem_x509_certificate(part.lstrip() + mark) for part in parts]


def names_of(certificate):
    """The subjectAltNames as text."""
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return [str(name.value) for name in extension.value]


def check_challenge(der, name, digest):
    """Whether a certificate is RFC 8737 section 3's, to the letter, for this name."""
    certificate = x509.load_der_x509_certificate(der)
    extensions = {extension.oid: extension for extension in certificate.extensions}
    assert set(extensions) == {x509.SubjectAlternativeName.oid, ACME_IDENTIFIER}
    assert list(extensions[x509.SubjectAlternativeName.oid].value) == [general_name(name)]
    assert extensions[ACME_IDENTIFIER].critical
    assert extensions[ACME_IDENTIFIER].value.value == b"\x04\x20" + digest
    assert certificate.subject == certificate.issuer
    certificate.public_key().verify(
        certificate.signature,
        certificate.tbs_certificate_bytes,
        ec.ECDSA(certificate.signature_hash_algorithm),
    )


def load_key(path):
    return serialization.load_pem_private_key(path.read_bytes(), password=None)
