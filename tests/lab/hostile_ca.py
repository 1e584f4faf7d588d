# SPDX-License-Identifier: GPL-3.0-or-later
"""A CA that breaks one thing at a time: hostile_ca.py ADDRESS PORT CERT_FILE KEY_FILE

The fault is the first part of the URL: https://ADDRESS:PORT/FAULT/directory.  Everything
else works, with nothing validated and no signature checked: `none` issues.
"""

import base64
import collections
import datetime
import http.server
import itertools
import json
import ssl
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PROBLEM = "urn:ietf:params:acme:error:"
numbers = itertools.count(1)


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Answer(Exception):
    """What the CA says, raised from anywhere."""

    def __init__(self, status, body, headers=(), content_type="application/json", raw=False):
        super().__init__(status)
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = dict(headers)
        self.content_type = content_type
        self.raw = raw


def problem(status, kind, detail, headers=(), **members):
    body = {"type": PROBLEM + kind, "detail": detail, "status": status, **members}
    return Answer(status, body, headers, "application/problem+json")


class Cut(Exception):
    """Close the connection without a word."""


class Ca:
    """One fault's CA: its orders, and how it goes wrong."""

    def __init__(self, fault, base):
        self.fault = fault
        self.base = f"{base}/{fault}"
        self.told = set()
        self.names = []
        self.csr = None
        self.seen = collections.Counter()

    def times(self, what):
        """How often this was asked, this time included."""
        self.seen[what] += 1
        return self.seen[what]

    def directory(self):
        urls = {
            member: f"{self.base}/{member}"
            for member in ("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange")
        }
        urls["n0rmaL"] = "random https://example.org"
        urls["meta"] = {"termsOfService": "https://example.org/terms"}
        match self.fault:
            case "directory-not-json":
                raise Answer(200, b"<html>It works!</html>", content_type="text/html")
            case "directory-array":
                raise Answer(200, [1, 2])
            case "directory-empty":
                raise Answer(200, b"")
            case "directory-lacks-order":
                del urls["newOrder"]
            case "directory-plain-http":
                urls["newOrder"] = "http://example.org/"
            case "directory-wrong-type":
                urls["newNonce"] = 7
            case "directory-meta-array":
                urls["meta"] = [1]
            case "directory-huge":
                raise Answer(200, b"{" + b" " * (1 << 20) + b"}")
            case "directory-deep":
                raise Answer(200, b'{"a":' * 40000)
            case "directory-redirect":
                raise Answer(302, b"", {"Location": "https://elsewhere.example/directory"})
            case "directory-404":
                raise Answer(404, b"nothing here", content_type="text/plain")
            case "directory-500":
                raise Answer(500, b"oops", content_type="text/plain")
            case "directory-headers":
                raise Answer(200, urls, {f"X-{i}": "x" * 1000 for i in range(90)})
            case "directory-cut":
                raise Cut
            case "directory-short":
                raise Answer(200, b'{"newNonce":', {"Content-Length": "1000"}, raw=True)
            case "directory-control":
                urls["newOrder"] += "\x1b[31m"
            case "eab":
                urls["meta"]["externalAccountRequired"] = True
        return urls

    def new_nonce(self):
        match self.fault:
            case "nonce-none":
                raise Answer(200, b"", {"Replay-Nonce": None})
            case "nonce-bad":
                raise Answer(200, b"", {"Replay-Nonce": "a b=c"})
            case "nonce-503":
                raise Answer(503, b"", {"Replay-Nonce": None, "Retry-After": "120"})
        raise Answer(200, b"")

    def new_account(self, payload):
        location = f"{self.base}/account"
        match self.fault:
            case "account-no-location":
                raise Answer(201, {"status": "valid"})
            case "account-deactivated":
                raise Answer(200, {"status": "deactivated"}, {"Location": location})
            case "account-problem":
                raise problem(400, "malformed", "esc \x1b[31m red\nsidestep: forged")
            case "account-problem-types":
                raise Answer(400, {"type": 7, "detail": ["x"], "subproblems": "no"})
            case "account-not-json":
                raise Answer(201, b"\xff\xfe", {"Location": location})
        raise Answer(201, {"status": "valid"}, {"Location": location})

    def new_order(self, payload):
        self.names = payload["identifiers"]
        self.told.clear()
        self.csr = None
        match self.fault:
            case "order-limited":
                headers = {"Retry-After": "3600"}
                raise problem(429, "rateLimited", "too many certificates already issued", headers)
            case "order-paused":
                raise problem(429, "rateLimited", "Please visit https://portal.example/unpause")
            case "order-rejected":
                reasons = [
                    {"type": f"{PROBLEM}rejectedIdentifier", "detail": "no", "identifier": name}
                    for name in self.names
                ]
                raise problem(403, "rejectedIdentifier", "see below", subproblems=reasons)
            case "order-unknown-account":
                raise problem(400, "accountDoesNotExist", "unknown")
            case "order-nonce-storm":
                raise problem(400, "badNonce", "bad")
            case "order-cut":
                raise Cut
            case "order-503":
                raise Answer(503, b"busy", {"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"})
        raise Answer(201, self.order("pending"), {"Location": f"{self.base}/order"})

    def order(self, status):
        order = {
            "status": status,
            "finalize": f"{self.base}/finalize",
            "identifiers": self.names,
            "authorizations": [f"{self.base}/authz/{i}" for i in range(len(self.names))],
            "unknown": {"x": [1, None]},
        }
        if status == "valid":
            order["certificate"] = f"{self.base}/certificate"
        match self.fault:
            case "order-lacks-finalize":
                del order["finalize"]
            case "order-lacks-status":
                del order["status"]
            case "order-no-authz":
                order["authorizations"] = []
            case "order-many-authz":
                order["authorizations"] *= 1000
            case "order-authz-type":
                order["authorizations"] = {"a": 1}
            case "order-authz-number":
                order["authorizations"] = [1, 2]
            case "order-authz-file":
                order["authorizations"] = ["file:///etc/passwd"]
            case "order-status-odd":
                order["status"] = "odd\x1b"
            case "order-lacks-certificate":
                order.pop("certificate", None)
        return order

    def authz(self, number):
        index = int(number)
        name = self.names[index]
        done = index in self.told
        authz = {
            "status": "valid" if done else "pending",
            "identifier": name,
            "challenges": [
                {"type": "dns-persist-01", "url": f"{self.base}/other"},
                challenge := {
                    "type": "tls-alpn-01",
                    "url": f"{self.base}/challenge/{index}",
                    "token": "dG9rZW4",
                    "status": "pending",
                },
            ],
        }

        def refuse(kind, detail):
            authz["status"] = "invalid"
            challenge["error"] = {"type": PROBLEM + kind, "detail": detail, "status": 400}

        match self.fault:
            case "authz-foreign":
                authz["identifier"] = {"type": "dns", "value": "victim.example"}
            case "authz-wildcard":
                authz["wildcard"] = True
            case "authz-lacks-identifier":
                del authz["identifier"]
            case "authz-no-tls-alpn":
                del authz["challenges"][1]
            case "authz-challenges-type":
                authz["challenges"] = "none"
            case "authz-token-missing":
                del challenge["token"]
            case "authz-token-bad":
                challenge["token"] = "../../etc"
            case "authz-url-http":
                challenge["url"] = "http://x.example/"
            case "authz-status-odd":
                authz["status"] = "weird"
            case "authz-invalid-mute":
                if done:
                    authz["status"] = "invalid"
            case "authz-invalid":
                if done:
                    refuse("unauthorized", 'Cannot negotiate ALPN protocol "acme-tls/1"')
            case "authz-secondary":
                if done:
                    refuse("connection", "During secondary validation: Timeout during connect")
            case "authz-one-invalid":
                if done and index == 0:
                    refuse("dns", f"DNS problem: NXDOMAIN looking up A for {name['value']}")
            case "authz-slow":
                if self.times(f"authz{index}") < 4:
                    authz["status"] = "pending"
            case "authz-flaky":
                if self.times(f"authz{index}") in (1, 3, 4):
                    raise Answer(503, b"busy", {"Retry-After": "1"})
            case "authz-down":
                if done:
                    raise Answer(503, b"busy")
            case "authz-long":
                if self.times(f"authz{index}") < 3:
                    raise Answer(200, {**authz, "status": "pending"}, {"Retry-After": "-9" * 40})
            case "authz-cut":
                if done:
                    raise Cut
        return authz

    def challenge(self, number):
        match self.fault:
            case "challenge-refused":
                raise problem(400, "malformed", "no")
            case "challenge-flaky":
                if self.times("challenge") == 1:
                    raise Answer(500, b"")
        self.told.add(int(number))
        return {"status": "processing"}

    def poll(self):
        match self.fault:
            case "order-invalid":
                return self.invalid_order()
            case "issue-slow" | "finalize-lost":
                if self.csr and self.times("poll") < 3:
                    raise Answer(200, self.order("processing"), {"Retry-After": "1"})
        return self.order("valid" if self.csr else "ready")

    def invalid_order(self):
        error = {"type": f"{PROBLEM}caa", "detail": "CAA record prevents issuance"}
        return {**self.order("invalid"), "error": error}

    def finalize(self, payload):
        match self.fault:
            case "finalize-refused":
                raise problem(400, "badCSR", "CSR is bad")
            case "finalize-not-ready" | "order-invalid":
                raise problem(403, "orderNotReady", "not yet")
            case "finalize-cut":
                raise Cut
            case "finalize-invalid":
                return self.invalid_order()
        self.csr = x509.load_der_x509_csr(decode(payload["csr"]))
        assert self.csr.is_signature_valid
        match self.fault:
            case "finalize-lost":
                raise Cut
            case "issue-slow":
                raise Answer(200, self.order("processing"), {"Retry-After": "1"})
        return self.order("valid")

    def certificate(self):
        key = self.csr.public_key()
        names = self.csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        age = 0
        match self.fault:
            case "certificate-other-key":
                key = ec.generate_private_key(ec.SECP256R1()).public_key()
            case "certificate-other-names":
                names = x509.SubjectAlternativeName([x509.DNSName("other.example")])
            case "certificate-expired":
                age = 100
            case "certificate-flaky":
                if self.times("certificate") < 3:
                    raise Answer(503, b"")
            case "certificate-404":
                raise problem(404, "malformed", "No such certificate")
        leaf = issue(key, names, age)
        pem = leaf + leaf
        match self.fault:
            case "certificate-garbage":
                pem = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
            case "certificate-empty":
                pem = b""
            case "certificate-with-key":
                pem += b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
            case "certificate-cut-off":
                pem = pem[:-40]
            case "certificate-many":
                pem = leaf * 20
            case "certificate-binary":
                pem = bytes(range(256)) * 100
            case "certificate-crlf":
                pem = pem.replace(b"\n", b"\r\n")
            case "certificate-no-line-feed":
                pem = leaf.rstrip() + b"\n\n\n" + leaf.rstrip()
            case "certificate-leaf-only":
                pem = leaf
        raise Answer(200, pem, content_type="application/pem-certificate-chain")


ISSUER_KEY = ec.generate_private_key(ec.SECP256R1())


def issue(key, names, age_days):
    now = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=age_days)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hostile")]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=90))
        .add_extension(names, critical=True)
        .sign(ISSUER_KEY, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, payload):
        fault, *parts = self.path.strip("/").split("/")
        ca = self.server.cas.setdefault(fault, Ca(fault, self.server.base))
        match parts:
            case ["directory"]:
                return ca.directory()
            case ["newNonce"]:
                return ca.new_nonce()
            case ["newAccount"]:
                return ca.new_account(payload)
            case ["newOrder"]:
                return ca.new_order(payload)
            case ["order"]:
                return ca.poll()
            case ["authz", number]:
                return ca.authz(number)
            case ["challenge", number]:
                return ca.challenge(number)
            case ["finalize"]:
                return ca.finalize(payload)
            case ["certificate"]:
                return ca.certificate()
        raise Answer(404, b"")

    def respond(self):
        payload = None
        if self.command == "POST":
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            protected = json.loads(decode(request["protected"]))
            assert protected["alg"] == "ES256" and protected["url"].endswith(self.path)
            if request["payload"]:
                payload = json.loads(decode(request["payload"]))
        try:
            answer = Answer(200, self.answer(payload))
        except Answer as raised:
            answer = raised
        except Cut:
            self.close_connection = True
            return
        self.send_response(answer.status)
        headers = {
            "Content-Type": answer.content_type,
            "Content-Length": str(len(answer.body)),
            "Replay-Nonce": f"n{next(numbers)}",
            **answer.headers,
        }
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        if answer.raw:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = respond


def main():
    address, port, cert_file, key_file = sys.argv[1:]
    server = http.server.ThreadingHTTPServer((address, int(port)), Handler)
    server.base = f"https://{address}:{port}"
    server.cas = {}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
