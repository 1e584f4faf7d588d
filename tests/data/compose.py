#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the vectors that no client sends by itself into tests/data/hello/: compose.py

Shortened, split and bent forms of captured hellos, hellos built field by field,
and what is no TLS at all.  The same captures give the same files.
"""

import hashlib

import hello_text

NAME = "www.example.org"
LONGEST = ".".join(["a" * 63] * 3 + ["b" * 61])
SERVER_NAME, ALPN, PADDING, UNASSIGNED = 0, 16, 21, 0x8000


def vector(length_size, data):
    """RFC 8446 section 3.4."""
    return len(data).to_bytes(length_size, "big") + data


def extension(kind, data):
    return kind.to_bytes(2, "big") + vector(2, data)


def server_name(name, name_type=0):
    return extension(SERVER_NAME, vector(2, bytes([name_type]) + vector(2, name.encode())))


def alpn(*protocols):
    return extension(ALPN, vector(2, b"".join(vector(1, name.encode()) for name in protocols)))


def record(fragment, kind=22, version=0x0301):
    return bytes([kind]) + version.to_bytes(2, "big") + vector(2, fragment)


def client_hello(*extensions, session_id=b"", kind=1, after=b""):
    """The handshake message; with None for extensions, without that field."""
    body = b"\x03\x03" + bytes(range(32)) + vector(1, session_id)
    body += vector(2, bytes.fromhex("1301 1302 1303 c02b c02f")) + vector(1, b"\0")
    if extensions != (None,):
        body += vector(2, b"".join(extensions))
    return bytes([kind]) + vector(3, body + after)


def in_records(hello, *sizes):
    """A record's bytes again as records with fragments of `sizes`, and the rest."""
    fragment, out = hello[5:], b""
    for size in (*sizes, len(fragment)):
        part, fragment = fragment[:size], fragment[size:]
        out += record(part)
    return out


def replaced(data, old, new):
    """Bend one place; what is not there exactly once is an error."""
    if data.count(old) != 1:
        raise ValueError(f"{old.hex()} is there {data.count(old)} times")
    return data.replace(old, new)


def with_acme_alpn(hello):
    """A captured hello with acme-tls/1 for its protocols, and the server name moved to its end."""
    at = 5 + 4 + 34
    at += 1 + hello[at]
    at += 2 + int.from_bytes(hello[at : at + 2], "big")
    at += 1 + hello[at] + 2
    head, extensions = hello[5 + 4 : at - 2], {}
    while at < len(hello):
        kind = int.from_bytes(hello[at : at + 2], "big")
        end = at + 4 + int.from_bytes(hello[at + 2 : at + 4], "big")
        extensions[kind] = hello[at:end]
        at = end
    extensions[ALPN] = alpn("acme-tls/1")
    extensions[SERVER_NAME] = extensions.pop(SERVER_NAME)
    return record(b"\x01" + vector(3, head + vector(2, b"".join(extensions.values()))))


def write(name, what, verdict, data, name_in_it=NAME, comment=None):
    hello_text.write(name, what, verdict, name_in_it, data, comment)


def write_shortened():
    pebble = hello_text.read("pebble-dns")
    chromium = with_acme_alpn(hello_text.read("chromium"))
    gnutls = hello_text.read("gnutls-acme")
    alpn_end = pebble.index(b"acme-tls/1") + len(b"acme-tls/1")
    write(
        "pebble-dns-first-segment",
        "pebble-dns, cut after 1,400 bytes",
        "acme",
        pebble[:1400],
        comment="Since Go 1.24 the key shares make a hello longer than a segment: "
        "server name and ALPN, which come first, must suffice.",
    )
    write("pebble-dns-to-alpn", "pebble-dns, cut behind its ALPN", "acme", pebble[:alpn_end])
    write(
        "pebble-dns-short-of-alpn",
        "pebble-dns, cut one byte short of its ALPN's end",
        "truncated",
        pebble[: alpn_end - 1],
    )
    write("cut-in-server-name", "pebble-dns, cut in its server name", "truncated", pebble[:140], "")
    write("cut-in-random", "pebble-dns, cut in the random", "truncated", pebble[:20], "")
    write("cut-in-record-header", "pebble-dns, cut in the header", "truncated", pebble[:3], "")
    write(
        "shuffled-acme",
        "chromium's hello with acme-tls/1 for its protocols and the server name last",
        "acme",
        chromium,
        comment="Clients shuffle their extensions: the server name may come behind the key shares.",
    )
    write(
        "shuffled-acme-first-segment",
        "shuffled-acme, cut after 1,400 bytes",
        "truncated",
        chromium[:1400],
        "",
        comment="The server name is behind the cut.",
    )
    write(
        "gnutls-acme-and-more-data",
        "gnutls-acme with a change_cipher_spec record behind it",
        "acme",
        gnutls + record(b"\x01", kind=20, version=0x0303),
    )


def write_fragmented():
    pebble, other = hello_text.read("pebble-dns"), hello_text.read("openssl-h2-and-http11")
    write(
        "records-split-behind-alpn",
        "pebble-dns in two records, split behind the ALPN",
        "acme",
        in_records(pebble, 600),
    )
    write(
        "records-split-in-server-name",
        "pebble-dns in two records, split in the server name",
        "truncated",
        in_records(pebble, 135),
        "",
        comment="RFC 8446 section 5.1 lets a message span records.  Records are not joined.",
    )
    write(
        "records-of-one-byte",
        "openssl-acme-tls13 in records of one byte",
        "truncated",
        in_records(hello_text.read("openssl-acme-tls13"), *[1] * 260),
        "",
    )
    write(
        "records-split-other",
        "openssl-h2-and-http11 in two records, split behind the ALPN",
        "other",
        in_records(other, other.index(b"http/1.1") + len(b"http/1.1") - 5),
    )


def write_built():
    acme = alpn("acme-tls/1")
    sni = server_name(NAME)
    many = [extension(UNASSIGNED + i, b"") for i in range(60)]
    for name, what, verdict, message, name_in_it in (
        ("built-acme", "the shortest hello that is for us", "acme", (sni, acme), NAME),
        ("built-alpn-first", "ALPN before the server name", "acme", (acme, sni), NAME),
        ("built-longest-name", "a name of 253", "acme", (server_name(LONGEST), acme), LONGEST),
        ("built-one-letter", "a name of one letter", "acme", (server_name("a"), acme), "a"),
        ("built-acme-twice", "acme-tls/1 twice", "other", (sni, alpn(*["acme-tls/1"] * 2)), NAME),
        ("built-alpn-prefix", "a protocol acme-tls/", "other", (sni, alpn("acme-tls/")), NAME),
        ("built-alpn-suffix", "a protocol acme-tls/1x", "other", (sni, alpn("acme-tls/1x")), NAME),
        ("built-alpn-upper", "ALPN is case-sensitive", "other", (sni, alpn("ACME-TLS/1")), NAME),
        ("built-alpn-2", "a protocol acme-tls/2", "other", (sni, alpn("acme-tls/2")), NAME),
        ("built-empty-extensions", "no extension at all", "other", (), ""),
        ("built-no-extensions", "no extensions field, as TLS 1.2 allows", "other", (None,), ""),
        ("built-many-other", "60 extensions, h2", "other", (sni, alpn("h2"), *many), NAME),
    ):
        write(name, what, verdict, record(client_hello(*message)), name_in_it)
    write(
        "built-alpn-behind-60",
        "ALPN behind 60 other extensions",
        "truncated",
        record(client_hello(sni, *many, acme)),
        comment="More extensions than are walked: undecided, and so production's.",
    )
    write(
        "built-alpn-behind-4096",
        "ALPN behind 4,200 bytes of padding",
        "truncated",
        record(client_hello(sni, extension(PADDING, bytes(4200)), acme)),
        comment="Farther than is looked: undecided, and so production's.",
    )
    write(
        "built-session-id-32",
        "a session identifier of 32 bytes",
        "acme",
        record(client_hello(sni, acme, session_id=bytes(32))),
    )


def write_malformed():
    acme, sni = alpn("acme-tls/1"), server_name(NAME)
    good = record(client_hello(sni, acme))
    size = len(good)
    for name, what, data in (
        ("bad-record-empty", "a record of no bytes", b"\x16\x03\x01\x00\x00" + good),
        ("bad-record-too-long", "a record over 2^14 bytes", b"\x16\x03\x01\x40\x01" + good[5:]),
        ("bad-record-version", "a record of version 2.1", b"\x16\x02\x01" + good[3:]),
        ("bad-record-type", "an application_data record", b"\x17" + good[1:]),
        ("bad-alert", "an alert", record(b"\x02\x28", kind=21)),
        ("bad-handshake-type", "a ServerHello", record(client_hello(sni, acme, kind=2))),
        ("bad-session-id", "a session identifier of 33 bytes",
         record(client_hello(sni, acme, session_id=bytes(33)))),
        ("bad-message-short", "extensions run past the message",
         replaced(good, good[5:9], b"\x01" + (size - 9 - 1).to_bytes(3, "big"))),
        ("bad-message-long", "bytes of the message behind the extensions",
         record(client_hello(sni, acme, after=b"\0\0"))),
        ("bad-extension-long", "an extension runs past the extensions",
         replaced(good, acme, b"\x00\x11" + acme[2:3] + b"\x40" + acme[4:])),
        ("bad-sni-list-long", "the ServerNameList is longer than its extension",
         replaced(good, sni[4:6], (len(sni) - 6 + 1).to_bytes(2, "big"))),
        ("bad-sni-name-long", "the HostName is longer than its list",
         replaced(good, sni[7:9], (len(NAME) + 1).to_bytes(2, "big"))),
        ("bad-sni-empty-name", "a HostName of no bytes",
         record(client_hello(server_name(""), acme))),
        ("bad-sni-type", "a name that is no host_name",
         record(client_hello(server_name(NAME, name_type=1), acme))),
        ("bad-sni-empty", "a server_name extension of no bytes",
         record(client_hello(extension(SERVER_NAME, b""), acme))),
        ("bad-sni-two-bytes", "a server_name extension of two bytes",
         record(client_hello(extension(SERVER_NAME, bytes(2)), acme))),
        ("bad-sni-one-past", "the last extension takes a byte from behind the message",
         record(client_hello(acme, sni).replace(sni, server_name(NAME + "x")))),
        ("bad-sslv2", "an SSLv2 CLIENT-HELLO",
         bytes.fromhex("802e 01 0002 0015 0000 0010"
                       "010080 020080 030080 040080 050080 060040 0700c0")
         + bytes(range(16))),
        ("bad-http", "an HTTP request without TLS",
         b"GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n"),
        ("bad-ssh", "an SSH client", b"SSH-2.0-OpenSSH_10.0\r\n"),
        ("bad-proxy-v1", "a PROXY protocol line before the hello",
         b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 443\r\n" + good),
        ("bad-random", "512 random bytes", hashlib.shake_128(b"sidestep").digest(512)),
        ("bad-zeros", "64 zeros", bytes(64)),
    ):  # fmt: skip
        write(name, what, "malformed", data, NAME if sni in data else "")


def main():
    write_shortened()
    write_fragmented()
    write_built()
    write_malformed()


if __name__ == "__main__":
    main()
