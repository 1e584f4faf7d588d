#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of a production server that miss nothing.

Makes new TLS connections without pause, each with a full handshake and one
request, and checks what comes back: the page, and the certificate.  Counts go
to a JSON file several times a second; SIGTERM ends it.
"""

import argparse
import itertools
import json
import os
import signal
import socket
import ssl
import threading

PATIENCE_S = 20
REPORT_PAUSE_S = 0.2
ENDING = (signal.SIGTERM, signal.SIGINT)


class Expected:
    """What production may answer."""

    def __init__(self, page_file, certificate_files):
        with open(page_file, "rb") as file:
            self.page = file.read()
        self.files = certificate_files
        self.certificates = set()

    def is_certificate(self, der):
        """A certificate of the files as they are now, or were at any time of the run."""
        if der not in self.certificates:
            self.certificates |= {der for path in self.files for der in first_certificate(path)}
        return der in self.certificates


def first_certificate(path):
    """The file's first certificate in DER; none when there is no such file yet."""
    try:
        with open(path, encoding="ascii") as file:
            text = file.read()
    except FileNotFoundError:
        return []
    mark = "-----END CERTIFICATE-----"
    return [ssl.PEM_cert_to_DER_cert(text.split(mark)[0] + mark)]


class Load:
    def __init__(self, arguments):
        self.addresses = itertools.cycle(arguments.connect)
        self.name = arguments.name
        self.report_file = arguments.report
        self.expected = Expected(arguments.page, arguments.certificate)
        self.counts = {
            "requests": 0,
            "connection_failures": 0,
            "wrong_content": 0,
            "wrong_certificate": 0,
        }
        self.first_failure = None
        self.lock = threading.Lock()
        self.end = threading.Event()
        # What is shown is checked byte by byte, so that self-signed ones pass too.
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.tls.check_hostname = False
        self.tls.verify_mode = ssl.CERT_NONE

    def request(self, address):
        """One connection; the name of what went wrong, and more about it."""
        ask = f"GET / HTTP/1.1\r\nHost: {self.name}\r\nConnection: close\r\n\r\n".encode()
        answer = b""
        try:
            with socket.create_connection((address, 443), PATIENCE_S) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self.tls.wrap_socket(connection, server_hostname=self.name) as tls:
                    certificate = tls.getpeercert(binary_form=True)
                    tls.sendall(ask)
                    while more := tls.recv(65536):
                        answer += more
        except OSError as error:
            return "connection_failures", f"{address}: {error!r}"
        if not self.expected.is_certificate(certificate):
            return "wrong_certificate", f"{address}: {certificate.hex()}"
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 ") or body != self.expected.page:
            return "wrong_content", f"{address}: {answer[:500]!r}"
        return None, None

    def work(self):
        while not self.end.is_set():
            with self.lock:
                address = next(self.addresses)
            kind, detail = self.request(address)
            with self.lock:
                self.counts["requests"] += 1
                if kind:
                    self.counts[kind] += 1
                    self.first_failure = self.first_failure or f"{kind}: {detail}"

    def report(self):
        with self.lock:
            text = json.dumps({**self.counts, "first_failure": self.first_failure})
        with open(f"{self.report_file}.new", "w", encoding="ascii") as file:
            file.write(text + "\n")
        os.replace(f"{self.report_file}.new", self.report_file)

    def run(self, threads):
        # Waited for, not handled: a handler may run while its own thread holds the event's lock.
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        workers = [threading.Thread(target=self.work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        while signal.sigtimedwait(ENDING, REPORT_PAUSE_S) is None:
            self.report()
        self.end.set()
        for worker in workers:
            worker.join()
        self.report()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connect", action="append", required=True, metavar="ADDRESS",
                        help="of the server; may be repeated, used in turn")
    parser.add_argument("--name", required=True, help="to ask for")
    parser.add_argument("--page", required=True, metavar="FILE", help="with what must come back")
    parser.add_argument("--certificate", action="append", required=True, metavar="FILE",
                        help="PEM of a certificate that may be shown; may be repeated")
    parser.add_argument("--report", required=True, metavar="FILE", help="for the counts")
    parser.add_argument("--threads", type=int, default=4)
    arguments = parser.parse_args()
    Load(arguments).run(arguments.threads)


if __name__ == "__main__":
    main()
