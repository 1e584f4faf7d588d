# SPDX-License-Identifier: GPL-3.0-or-later
"""A DNS server for one zone of a few names: resolver.py PORT FILE.

The file is JSON, read again for each question: {name: {"A": [address, ...], "AAAA": [...],
"CAA": [[flags, tag, value], ...]}}.  Any other name does not exist, which
pebble-challtestsrv cannot say.  A name whose value is null is not answered at all, and one
whose value is "SERVFAIL" fails.
"""

import ipaddress
import json
import pathlib
import socket
import struct
import sys

TYPES = {1: "A", 28: "AAAA", 257: "CAA"}
NO_ERROR, SERVER_FAILURE, NO_NAME = 0, 2, 3


def read_name(message, at):
    labels = []
    while message[at]:
        labels.append(message[at + 1 : at + 1 + message[at]].decode("ascii").lower())
        at += 1 + message[at]
    return ".".join(labels), at + 1


def encode(kind, record):
    if kind == "CAA":
        flags, tag, value = record
        return bytes((flags, len(tag))) + tag.encode() + value.encode()
    return ipaddress.ip_address(record).packed


def exists(names, name):
    """RFC 8020: what has names below it exists, even without records."""
    return name in names or any(other.endswith(f".{name}") for other in names)


def answer(message, names):
    """The response to one question; None: none at all."""
    name, at = read_name(message, 12)
    question = message[12 : at + 4]
    number = struct.unpack_from("!H", message, at)[0]
    kind = TYPES.get(number)
    known = names.get(name, {})
    if known is None:
        return None
    code, records = NO_ERROR, []
    if known == "SERVFAIL":
        code = SERVER_FAILURE
    elif not exists(names, name):
        code = NO_NAME
    else:
        records = [encode(kind, record) for record in known.get(kind, ())]
    header = message[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(records), 0, 0)
    body = b"".join(
        b"\xc0\x0c" + struct.pack("!HHIH", number, 1, 60, len(data)) + data for data in records
    )
    return header + question + body


def serve(port, path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("", port))
        print("ready", flush=True)
        while True:
            message, client = listener.recvfrom(4096)
            response = answer(message, json.loads(path.read_text(encoding="ascii")))
            if response:
                listener.sendto(response, client)


if __name__ == "__main__":
    serve(int(sys.argv[1]), pathlib.Path(sys.argv[2]))
