# SPDX-License-Identifier: GPL-3.0-or-later
"""Production that says who it is and returns what it gets, to the byte."""

import contextlib
import selectors
import socket
import threading

MARK = b"production says: "  # TLS records begin otherwise
TLS_RECORDS = (0x15, 0x16)  # alert, handshake
RECORD_HEADER = 5
BACKLOG = 1024
TURN_S = 0.05


def is_of_responder(answer):
    return answer[0] in TLS_RECORDS


def missing(data):
    """So many bytes are missing to the TLS record, if it is one, that begins so."""
    if data[0] != TLS_RECORDS[1] or len(data) < RECORD_HEADER:
        return RECORD_HEADER - len(data) if data[0] == TLS_RECORDS[1] else 0
    return max(RECORD_HEADER + int.from_bytes(data[3:5], "big") - len(data), 0)


def listeners(host, ports=(443,), backlog=BACKLOG, prepare=None):
    """One socket for each family and port; `prepare` gets each before it listens."""
    made = []
    with host.entered():
        for port in ports:
            for family, address in ((socket.AF_INET, host.ipv4), (socket.AF_INET6, host.ipv6)):
                listener = socket.socket(family, socket.SOCK_STREAM)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if prepare:
                    prepare(listener)
                listener.bind((str(address), port))
                listener.listen(backlog)
                made.append(listener)
    return made


class Echo:
    """Serves listeners by a selector that others may use as well."""

    def __init__(self, selector, sockets, speaks_first=True):
        """One that does not speak first says nothing before it has a whole TLS record."""
        self.selector = selector
        self.speaks_first = speaks_first
        self.begun = {}  # by connection: what has come, until it is a whole record
        self.accepted = 0
        self.answered = 0
        self.sockets = sockets
        for listener in sockets:
            listener.setblocking(False)
            selector.register(listener, selectors.EVENT_READ, self.accept)

    def accept(self, listener, _):
        connection, _ = listener.accept()
        self.accepted += 1
        if self.speaks_first:
            self.answered += 1
            with contextlib.suppress(OSError):  # one that has left already
                connection.sendall(MARK)
        else:
            self.begun[connection] = b""
        self.selector.register(connection, selectors.EVENT_READ, self.answer)

    def answer(self, connection, _):
        with contextlib.suppress(ConnectionError):
            data = connection.recv(65536)
            if data:
                connection.sendall(self.reply(connection, data))
                return
        self.begun.pop(connection, None)
        self.selector.unregister(connection)
        connection.close()

    def reply(self, connection, data):
        if connection not in self.begun:
            return data
        self.begun[connection] += data
        data = self.begun[connection]
        if missing(data):
            return b""
        del self.begun[connection]
        self.answered += 1
        return MARK + data

    def close(self):
        """Accept no more; connections end with their clients."""
        for listener in self.sockets:
            if listener.fileno() >= 0:
                self.selector.unregister(listener)
                listener.close()


def turn(selector, timeout_s):
    """Handle what has happened: each key's data is its handler."""
    for key, events in selector.select(timeout_s):
        if key.fileobj.fileno() >= 0:
            key.data(key.fileobj, events)


class EchoThread:
    """The same in a thread of its own, for tests that wait for something else; use by `with`."""

    def __init__(self, sockets, speaks_first=True):
        self.selector = selectors.DefaultSelector()
        self.echo = Echo(self.selector, sockets, speaks_first)
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.work)

    def work(self):
        while not self.stopping.is_set():
            turn(self.selector, TURN_S)

    @property
    def accepted(self):
        return self.echo.accepted

    @property
    def answered(self):
        return self.echo.answered

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            self.selector.unregister(key.fileobj)
            key.fileobj.close()
        self.selector.close()
