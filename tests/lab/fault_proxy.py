# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy in front of a real CA that fails on command.

The CA makes its URLs of the name that it is called by, so with the proxy's they lead here again.
A fault is a function of one exchange: it may raise what is below, or do anything else, before
the CA hears of it or (in `after`) when the CA has answered and the agent has not heard.
"""

import contextlib
import http.client
import http.server
import json
import ssl
import threading

from lab import authority

PORT = 14443
PATIENCE_S = 30


class Cut(Exception):
    """Close the connection without a word."""


class Answer(Exception):
    """What is answered in the CA's place."""

    def __init__(self, status, body=b"", headers=(), size=None):
        super().__init__(status)
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = list(dict(headers).items())
        self.size = len(self.body) if size is None else size


class Exchange:
    """One request, and what the CA said."""

    def __init__(self, number, method, path):
        self.number = number  # from 1
        self.method = method
        self.path = path
        self.answer = None

    @property
    def kind(self):
        """The first part of the path: dir, nonce-plz, sign-me-up, order-plz, ..."""
        return self.path.split("/")[1]


def nothing(_exchange):
    pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def forward(self, body):
        """The CA's answer."""
        proxy = self.server.proxy
        with proxy.host.entered():
            connection = http.client.HTTPSConnection(
                str(proxy.host.ipv4), proxy.ca_port, timeout=PATIENCE_S, context=proxy.trust
            )
            connection.connect()
        with contextlib.closing(connection):
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), answer.getheaders())

    def handle_exchange(self):
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        exchange = proxy.begin(self.command, self.path)
        try:
            proxy.before(exchange)
            exchange.answer = self.forward(body)
            proxy.after(exchange)
            raise exchange.answer
        except Answer as answer:
            self.send(answer)
        except Cut:
            self.close_connection = True

    def send(self, answer):
        self.send_response(answer.status)
        for name, value in answer.headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(answer.size))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        if answer.size != len(answer.body):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = handle_exchange


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """An agent that was killed has closed its connection."""


class Proxy(authority.Authority):
    """In front of a Pebble; stop() ends it."""

    def __init__(self, pebble):
        super().__init__(
            pebble.host, f"https://{pebble.host.ipv4}:{PORT}/dir", pebble.identity.cert_file
        )
        self.pebble = pebble
        self.ca_port = 14000
        self.trust = ssl.create_default_context(cafile=pebble.identity.cert_file)
        self.exchanges = []
        self.lock = threading.Lock()
        self.before = self.after = nothing
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pebble.identity.cert_file, pebble.identity.key_file)
        with self.host.entered():
            self.server = Server((str(self.host.ipv4), PORT), Handler)
        self.server.proxy = self
        self.server.socket = context.wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def roots(self):
        return self.pebble.roots()

    def begin(self, method, path):
        with self.lock:
            exchange = Exchange(len(self.exchanges) + 1, method, path)
            self.exchanges.append(exchange)
        return exchange

    def reset(self, before=nothing, after=nothing):
        """Count from the beginning, with these faults."""
        with self.lock:
            self.exchanges = []
            self.before, self.after = before, after

    def orders(self):
        return self.pebble.orders()

    def accounts(self):
        """How many accounts were made."""
        return self.pebble.process.output().count(" accounts in memory")
