#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTPS clients as browsers are, at a fixed rate: every answer is checked.

Their ClientHellos are short or, as Chrome's, longer than a segment; in one write or in
two, with a pause between them or without; and some clients think before they speak.
What client number N does follows from the seed and N.  Prints a line when it begins, and at
the end one JSON object: how many were served, how the others failed, and how long it took.
"""

import argparse
import asyncio
import collections
import ipaddress
import json
import random
import ssl
import time

READ_SIZE = 65536
LONG_ALPN = 7 * ["x" * 200]  # what makes a ClientHello as long as Chrome's


class WrongAnswer(Exception):
    """The certificate or the page is not production's."""


def tls_context(is_long):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1", *(LONG_ALPN if is_long else [])])
    return context


class Client:
    """One connection: what it does, and what became of it."""

    def __init__(self, options, number):
        chance = random.Random(f"{options.seed} {number}")
        self.options = options
        self.number = number
        self.context = options.contexts[chance.random() < 0.5]
        self.is_split = chance.random() < 0.5
        self.cut = chance.random()
        self.pause_s = chance.uniform(0, 0.05) if chance.random() < 0.3 else 0
        self.silence_s = chance.uniform(0, 0.6) if chance.random() < 0.1 else 0
        self.port = None
        self.phase = "connect"

    async def run(self):
        """Fetch the page; an exception when that fails."""
        target = self.options.connect[self.number % len(self.options.connect)]
        source = next(s for s in self.options.source if s.version == target.version)
        reader, writer = await asyncio.open_connection(
            str(target), self.options.port, local_addr=(str(source), 0)
        )
        self.port = writer.get_extra_info("sockname")[1]
        try:
            await self.fetch(reader, writer)
        finally:
            writer.transport.abort() if self.phase != "done" else writer.close()

    async def fetch(self, reader, writer):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context.wrap_bio(incoming, outgoing, server_hostname=self.options.name)
        self.phase = "handshake"
        await asyncio.sleep(self.silence_s)
        await self.until(tls.do_handshake, reader, writer, incoming, outgoing)
        if tls.getpeercert(binary_form=True) != self.options.certificate:
            raise WrongAnswer("certificate")
        self.phase = "request"
        request = f"GET / HTTP/1.1\r\nHost: {self.options.name}\r\nConnection: close\r\n\r\n"
        tls.write(request.encode())
        response = b""
        while part := await self.until(
            lambda: tls.read(READ_SIZE), reader, writer, incoming, outgoing
        ):
            response += part
        head, _, body = response.partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0] or body != self.options.page:
            raise WrongAnswer("page")
        self.phase = "done"

    async def until(self, action, reader, writer, incoming, outgoing):
        """Exchange data until the action of the TLS object is done; its result."""
        while True:
            try:
                result = action()
            except ssl.SSLWantReadError:
                await self.flush(writer, outgoing)
                data = await reader.read(READ_SIZE)
                if data:
                    incoming.write(data)
                else:
                    incoming.write_eof()
            except ssl.SSLZeroReturnError:
                return b""
            else:
                await self.flush(writer, outgoing)
                return result

    async def flush(self, writer, outgoing):
        data = outgoing.read()
        if self.is_split and len(data) > 1:
            self.is_split = False
            cut = 1 + int(self.cut * (len(data) - 1))
            writer.write(data[:cut])
            await asyncio.sleep(self.pause_s)
            data = data[cut:]
        writer.write(data)
        await writer.drain()


class Tally:
    """What became of them all."""

    def __init__(self):
        self.times_ms = []
        self.causes = collections.Counter()
        self.failures = []

    async def watch(self, client):
        begun = time.monotonic()
        try:
            await asyncio.wait_for(client.run(), client.options.timeout)
        except (OSError, ssl.SSLError, WrongAnswer, asyncio.TimeoutError) as error:
            cause = f"{client.phase}: {type(error).__name__} {error}".strip()
            self.causes[cause] += 1
            self.failures.append({"number": client.number, "port": client.port, "cause": cause})
        else:
            self.times_ms.append((time.monotonic() - begun - client.silence_s) * 1000)

    def as_dict(self):
        times = sorted(self.times_ms)
        return {
            "served": len(times),
            "failed": sum(self.causes.values()),
            "causes": dict(self.causes),
            "failures": self.failures,
            "p50_ms": times[len(times) // 2] if times else None,
            "p99_ms": times[len(times) * 99 // 100] if times else None,
            "max_ms": times[-1] if times else None,
        }


async def run(options):
    tally = Tally()
    print("begun", flush=True)
    begun = time.monotonic()
    running = []
    for number in range(options.count):
        await asyncio.sleep(max(0, begun + number / options.rate - time.monotonic()))
        running.append(asyncio.ensure_future(tally.watch(Client(options, number))))
    await asyncio.gather(*running)
    return tally.as_dict()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    address = ipaddress.ip_address
    parser.add_argument("--connect", action="append", required=True, type=address)
    parser.add_argument("--source", action="append", required=True, type=address)
    parser.add_argument("--port", type=int, default=443)
    parser.add_argument("--name", required=True)
    parser.add_argument("--certificate", required=True, help="file, PEM")
    parser.add_argument("--page", required=True, help="file of the page's bytes")
    parser.add_argument("--rate", type=float, required=True, help="connections a second")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=10, help="seconds for each")
    options = parser.parse_args()
    with open(options.certificate, encoding="ascii") as file:
        options.certificate = ssl.PEM_cert_to_DER_cert(file.read())
    with open(options.page, "rb") as file:
        options.page = file.read()
    options.contexts = [tls_context(False), tls_context(True)]
    print(json.dumps(asyncio.run(run(options))))


if __name__ == "__main__":
    main()
