# SPDX-License-Identifier: GPL-3.0-or-later
"""The text form of a ClientHello vector: bytes with the names of what they are.

capture.py and compose.py write tests/data/hello/*.hello with it;
tests/hello_vectors.c reads those files.  The annotations are made from the bytes,
so they are right even where a vector is cut short or contradicts itself.
"""

import pathlib
import textwrap

DIRECTORY = pathlib.Path(__file__).parent / "hello"

EXTENSIONS = {
    0: "server_name, RFC 6066 section 3",
    5: "status_request, RFC 6066 section 8",
    10: "supported_groups, RFC 8446 section 4.2.7",
    11: "ec_point_formats, RFC 8422 section 5.1.2",
    13: "signature_algorithms, RFC 8446 section 4.2.3",
    16: "application_layer_protocol_negotiation, RFC 7301 section 3.1",
    18: "signed_certificate_timestamp, RFC 6962 section 3.3.1",
    21: "padding, RFC 7685",
    22: "encrypt_then_mac, RFC 7366",
    23: "extended_master_secret, RFC 7627",
    27: "compress_certificate, RFC 8879",
    28: "record_size_limit, RFC 8449",
    35: "session_ticket, RFC 5077",
    43: "supported_versions, RFC 8446 section 4.2.1",
    45: "psk_key_exchange_modes, RFC 8446 section 4.2.9",
    49: "post_handshake_auth, RFC 8446 section 4.2.6",
    50: "signature_algorithms_cert, RFC 8446 section 4.2.3",
    51: "key_share, RFC 8446 section 4.2.8",
    17613: "application_settings",
    51764: "trust_anchors, draft-ietf-tls-trust-anchor-ids",
    65037: "encrypted_client_hello, RFC 9849",
    65281: "renegotiation_info, RFC 5746 section 3.2",
}
BYTES_PER_LINE = 16


class Annotator:
    """Walks over the bytes and writes them down; runs out quietly."""

    def __init__(self, data):
        self.data = data
        self.at = 0
        self.lines = []

    def left(self):
        return len(self.data) - self.at

    def say(self, text):
        if self.left():
            self.lines.append(f"# {text}")

    def bytes(self, count, comment):
        """Write up to `count` bytes; the comment goes beside the first line."""
        part = self.data[self.at : self.at + count]
        self.at += len(part)
        for start in range(0, len(part), BYTES_PER_LINE):
            text = part[start : start + BYTES_PER_LINE].hex(" ")
            if start == 0 and comment:
                text = f"{text:<{BYTES_PER_LINE * 3}} # {comment}"
            self.lines.append(text)
        return part

    def number(self, size, comment):
        """A big-endian number, written with its value; 0 where bytes lack."""
        value = int.from_bytes(self.data[self.at : self.at + size], "big")
        self.bytes(size, f"{comment}: {value}")
        return value

    def vector(self, length_size, comment):
        """A length and what it counts (RFC 8446 section 3.4)."""
        self.bytes(self.number(length_size, f"{comment}, bytes"), None)


def annotate_server_name(walk):
    walk.number(2, "server_name_list, bytes")
    walk.number(1, "name_type (0: host_name)")
    length = walk.number(2, "HostName, bytes")
    walk.bytes(length, "the name")


def annotate_alpn(walk, size):
    walk.number(2, "protocol_name_list, bytes")
    end = walk.at + size - 2
    while walk.at < end and walk.left():
        length = walk.number(1, "ProtocolName, bytes")
        name = walk.data[walk.at : walk.at + length]
        walk.bytes(length, ascii(name.decode("latin-1"))[1:-1])


def annotate_extension(walk):
    kind = int.from_bytes(walk.data[walk.at : walk.at + 2], "big")
    grease = kind & 0x0F0F == 0x0A0A and kind >> 8 == kind & 0xFF
    name = "GREASE, RFC 8701" if grease else EXTENSIONS.get(kind, "not known to this script")
    walk.bytes(2, f"extension_type {kind}: {name}")
    size = walk.number(2, "extension_data, bytes")
    end = min(walk.at + size, len(walk.data))
    if kind == 0 and size:
        annotate_server_name(walk)
    elif kind == 16:
        annotate_alpn(walk, size)
    walk.bytes(end - walk.at, None)


def annotate_client_hello(walk):
    walk.say("ClientHello, RFC 8446 section 4.1.2")
    walk.bytes(2, "legacy_version")
    walk.bytes(32, "random")
    walk.vector(1, "legacy_session_id")
    walk.vector(2, "cipher_suites")
    walk.vector(1, "legacy_compression_methods")
    end = walk.number(2, "extensions, bytes") + walk.at
    while walk.at < end and walk.left():
        annotate_extension(walk)


def annotate(data):
    """The lines for a first flight of bytes.  What is no ClientHello stays bare hex."""
    walk = Annotator(data)
    if data[:1] == b"\x16" and data[5:6] == b"\x01":
        walk.say("TLSPlaintext, RFC 8446 section 5.1")
        walk.bytes(1, "type: handshake")
        walk.bytes(2, "legacy_record_version")
        record_end = walk.number(2, "length") + walk.at
        walk.say("Handshake, RFC 8446 section 4")
        walk.bytes(1, "msg_type: client_hello")
        message_end = walk.number(3, "length") + walk.at
        # The annotations follow the structure within one record only.
        if message_end <= record_end:
            annotate_client_hello(walk)
    walk.bytes(walk.left(), None)
    return walk.lines


def write(name, what, verdict, server_name, data, comment=None):
    """Write DIRECTORY/name.hello."""
    head = ["# SPDX-License-Identifier: GPL-3.0-or-later"]
    if comment:
        head += [f"# {line}" for line in textwrap.wrap(comment, 90)]
    head += [f"what: {what}", f"verdict: {verdict}", f"server_name: {server_name}".rstrip(), ""]
    DIRECTORY.mkdir(exist_ok=True)
    path = DIRECTORY / f"{name}.hello"
    path.write_text("\n".join(head + annotate(data)) + "\n", encoding="ascii")


def read(name):
    """The bytes of DIRECTORY/name.hello."""
    data = bytearray()
    for line in (DIRECTORY / f"{name}.hello").read_text(encoding="ascii").splitlines():
        line = line.split("#")[0]
        if ":" not in line:
            data += bytes.fromhex(line)
    return bytes(data)
