# SPDX-License-Identifier: GPL-3.0-or-later
"""Many connections at once, segment by segment, beside a production that returns what it gets."""

import selectors
import time

from lab import echo_server, raw_tcp

UNWATCHED = 8443
PATIENCE_S = 60


def pieces(data, *cuts):
    edges = [0, *cuts, len(data)]
    return [(a, data[a:b]) for a, b in zip(edges, edges[1:])]


class Trial:
    """One connection: what is sent first, and all that is to arrive in the end."""

    def __init__(self, what, stream, segments, may_be_answered=False):
        self.what = what
        self.stream = stream
        self.segments = segments  # (offset, bytes) each, in the order of sending
        self.may_be_answered = may_be_answered
        self.connection = None
        self.deadline = 0

    def begin(self, client, port):
        self.connection = client.connect(port)
        self.connection.on_open = self.send
        self.deadline = time.monotonic() + PATIENCE_S

    def send(self):
        self.connection.acknowledge()
        for offset, data in self.segments:
            self.connection.send(offset, data)
        self.connection.expect(self.stream)

    @property
    def is_answered(self):
        """In TLS, or by nothing at all when the hello promises more than comes: at the deadline."""
        received = self.connection.received
        return echo_server.is_of_responder(received) if received else self.connection.is_closed

    def is_over(self):
        received = self.connection.received
        return (
            self.is_answered
            or len(received) >= len(echo_server.MARK) + len(self.stream)
            or self.connection.is_reset
            or time.monotonic() > self.deadline
        )

    def problem(self):
        """None when it went to whom it may go, whole."""
        received = self.connection.received
        if self.is_answered:
            return None if self.may_be_answered else f"{self.what}: answered by the responder"
        if self.connection.is_reset:
            return f"{self.what}: reset after {received[:64]!r}"
        if received != echo_server.MARK + self.stream:
            return f"{self.what}: production returned {len(received)} bytes: {received[:64]!r}"
        return None


class Bench:
    """Production, a client of each family, and trials at once."""

    def __init__(self, lab, speaks_first=True):
        self.selector = selectors.DefaultSelector()
        self.echo = echo_server.Echo(
            self.selector,
            echo_server.listeners(lab.server, ports=(443, UNWATCHED)),
            speaks_first,
        )
        self.clients = [raw_tcp.PacketClient(lab, family) for family in raw_tcp.FAMILIES]
        for client in self.clients:
            self.selector.register(
                client, selectors.EVENT_READ, lambda client, _: client.receive()
            )

    def turn(self):
        echo_server.turn(self.selector, 0.02)
        for client in self.clients:
            client.tick()

    def run(self, trials, port=443):
        """Each over both families in turn; how many were answered by the responder."""
        for number, trial in enumerate(trials):
            trial.begin(self.clients[number % len(self.clients)], port)
            if number % 64 == 63:
                self.finish(trials[: number + 1])
        self.finish(trials)
        problems = [problem for trial in trials if (problem := trial.problem())]
        assert not problems, f"{len(problems)} of {len(trials)}:\n" + "\n".join(problems[:10])
        return sum(trial.is_answered for trial in trials)

    def finish(self, trials):
        running = [trial for trial in trials if trial.connection.ports[0] in self.ports()]
        while running:
            self.turn()
            for trial in [trial for trial in running if trial.is_over()]:
                trial.connection.end()
                running.remove(trial)

    def ports(self):
        return {port for client in self.clients for port in client.connections}

    def close(self):
        self.echo.close()
        for client in self.clients:
            self.selector.unregister(client)
            client.close()
