/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The walk through a TLS ClientHello, as far as steering needs it: the server
 * name, and whether acme-tls/1 is the one and only protocol offered.
 *
 * Pure: reads its buffer, keeps nothing.  The same code runs in the classifier
 * and, under test, on the host.  Every read is bounded twice: by the lengths
 * that the message states, and by a mask that the BPF verifier understands.
 */
#ifndef BPF_CLIENT_HELLO_H
#define BPF_CLIENT_HELLO_H

#include <linux/types.h>

/* Bytes looked at.  Server name and ALPN come before the key shares in every client known. */
#define CLIENT_HELLO_WINDOW 4096
/* The buffer: room for the widest single read behind the last byte of the window. */
#define CLIENT_HELLO_BUFFER_SIZE (CLIENT_HELLO_WINDOW + 16)
/* Extensions walked at most: the busiest browser sends about 20. */
#define CLIENT_HELLO_EXTENSIONS_MAX 40

#define TLS_RECORD_HEADER_SIZE    5 /* RFC 8446 section 5.1 */
#define TLS_RECORD_HANDSHAKE      22
#define TLS_RECORD_LENGTH_MAX     16384
#define TLS_MAJOR_VERSION         3
#define TLS_HANDSHAKE_HEADER_SIZE 4 /* RFC 8446 section 4 */
#define TLS_CLIENT_HELLO          1
#define TLS_VERSION_AND_RANDOM    34 /* RFC 8446 section 4.1.2 */
#define TLS_SESSION_ID_MAX        32
#define TLS_EXTENSION_SERVER_NAME 0 /* RFC 6066 section 3 */
#define TLS_NAME_TYPE_HOST_NAME   0
#define TLS_EXTENSION_ALPN        16 /* RFC 7301 section 3.1 */
#define ACME_TLS_1_ALPN_SIZE      13 /* list length, name length, "acme-tls/1" */

enum client_hello_verdict {
	CLIENT_HELLO_ACME, /* acme-tls/1 alone, and a server name */
	CLIENT_HELLO_OTHER, /* a ClientHello, but not for us */
	CLIENT_HELLO_TRUNCATED, /* what decides is not in the buffer (or in another record) */
	CLIENT_HELLO_MALFORMED, /* not a ClientHello, or contradicts itself */
};

/*
 * What was seen, and the cursor of the walk.  In the classifier it lies in a
 * map, where the verifier does not follow values: that keeps the walk's many
 * ways from multiplying into paths.
 */
struct client_hello {
	__u32 server_name_offset; /* into the data */
	__u32 server_name_length; /* 0: none seen */
	__u32 acme_alpn; /* 1: the ALPN extension was seen, and it is acme-tls/1 alone */
	__u32 at; /* next byte of data to read */
	__u32 end; /* of what is being read, by the lengths stated so far */
	__u32 available; /* bytes of data */
};

#define HELLO_INLINE static __attribute__((always_inline)) inline

/* Can `size` bytes be read?  0, or the verdict when not. */
HELLO_INLINE int hello_lacks(const struct client_hello *c, __u32 size)
{
	if (c->at + size > c->end)
		return CLIENT_HELLO_MALFORMED;
	if (c->at + size > c->available)
		return CLIENT_HELLO_TRUNCATED;
	return 0;
}

HELLO_INLINE __u32 hello_u8(const __u8 *data, const struct client_hello *c, __u32 offset)
{
	return data[(c->at + offset) & (CLIENT_HELLO_WINDOW - 1)];
}

HELLO_INLINE __u32 hello_u16(const __u8 *data, const struct client_hello *c, __u32 offset)
{
	const __u8 *p = data + ((c->at + offset) & (CLIENT_HELLO_WINDOW - 1));

	return (__u32)p[0] << 8 | p[1];
}

/* TLSPlaintext, RFC 8446 section 5.1: leaves the cursor at its fragment. */
HELLO_INLINE int hello_record(const __u8 *data, struct client_hello *c)
{
	__u32 length;

	/* Decided by the first byte where possible: plain HTTP is not "truncated". */
	if (c->available < 1)
		return CLIENT_HELLO_TRUNCATED;
	if (hello_u8(data, c, 0) != TLS_RECORD_HANDSHAKE)
		return CLIENT_HELLO_MALFORMED;
	if (hello_lacks(c, TLS_RECORD_HEADER_SIZE))
		return CLIENT_HELLO_TRUNCATED;
	length = hello_u16(data, c, 3);
	if (hello_u8(data, c, 1) != TLS_MAJOR_VERSION || !length || length > TLS_RECORD_LENGTH_MAX)
		return CLIENT_HELLO_MALFORMED;
	c->at += TLS_RECORD_HEADER_SIZE;
	/* What lies behind this record is not joined to it: a fragmented hello reads as truncated. */
	if (c->available > c->at + length)
		c->available = c->at + length;
	return 0;
}

/* Handshake and ClientHello up to its extensions, RFC 8446 sections 4 and 4.1.2. */
HELLO_INLINE int hello_before_extensions(const __u8 *data, struct client_hello *c)
{
	__u32 length;
	int lacks;

	lacks = hello_lacks(c, TLS_HANDSHAKE_HEADER_SIZE);
	if (lacks)
		return lacks;
	if (hello_u8(data, c, 0) != TLS_CLIENT_HELLO)
		return CLIENT_HELLO_MALFORMED;
	length = hello_u8(data, c, 1) << 16 | hello_u16(data, c, 2);
	c->at += TLS_HANDSHAKE_HEADER_SIZE;
	c->end = c->at + length;

	lacks = hello_lacks(c, TLS_VERSION_AND_RANDOM + 1);
	if (lacks)
		return lacks;
	c->at += TLS_VERSION_AND_RANDOM;
	length = hello_u8(data, c, 0); /* legacy_session_id<0..32> */
	if (length > TLS_SESSION_ID_MAX)
		return CLIENT_HELLO_MALFORMED;
	c->at += 1 + length;

	lacks = hello_lacks(c, 2);
	if (lacks)
		return lacks;
	c->at += 2 + hello_u16(data, c, 0); /* cipher_suites<2..2^16-2> */

	lacks = hello_lacks(c, 1);
	if (lacks)
		return lacks;
	c->at += 1 + hello_u8(data, c, 0); /* legacy_compression_methods<1..2^8-1> */

	/* No extensions at all is legal in TLS 1.2, and not for us. */
	if (c->at == c->end)
		return CLIENT_HELLO_OTHER;
	lacks = hello_lacks(c, 2);
	if (lacks)
		return lacks;
	length = hello_u16(data, c, 0);
	c->at += 2;
	if (c->at + length != c->end)
		return CLIENT_HELLO_MALFORMED;
	return 0;
}

/* ServerNameList, RFC 6066 section 3, of `size` bytes: the first entry, a host name. */
HELLO_INLINE int hello_server_name(const __u8 *data, struct client_hello *c, __u32 size)
{
	__u32 length;

	if (size < 6)
		return CLIENT_HELLO_MALFORMED;
	length = hello_u16(data, c, 3);
	if (hello_u16(data, c, 0) != size - 2 || hello_u8(data, c, 2) != TLS_NAME_TYPE_HOST_NAME ||
	    !length || length > size - 5)
		return CLIENT_HELLO_MALFORMED;
	c->server_name_offset = c->at + 5;
	c->server_name_length = length;
	return 0;
}

/*
 * ProtocolNameList, RFC 7301 section 3.1: exactly acme-tls/1?  Compared without
 * branches: a chain of comparisons would give the verifier 2^13 paths.
 */
HELLO_INLINE __u32 hello_is_acme_alpn(const __u8 *data, const struct client_hello *c)
{
	const __u8 *p = data + (c->at & (CLIENT_HELLO_WINDOW - 1));
	__u32 difference = 0;

	difference |= p[0] ^ 0;
	difference |= p[1] ^ (ACME_TLS_1_ALPN_SIZE - 2);
	difference |= p[2] ^ (ACME_TLS_1_ALPN_SIZE - 3);
	difference |= p[3] ^ 'a';
	difference |= p[4] ^ 'c';
	difference |= p[5] ^ 'm';
	difference |= p[6] ^ 'e';
	difference |= p[7] ^ '-';
	difference |= p[8] ^ 't';
	difference |= p[9] ^ 'l';
	difference |= p[10] ^ 's';
	difference |= p[11] ^ '/';
	difference |= p[12] ^ '1';
	return !difference;
}

/* One Extension, RFC 8446 section 4.2; 0 to go on. */
HELLO_INLINE int hello_extension(const __u8 *data, struct client_hello *c)
{
	__u32 type, size;
	int lacks;

	lacks = hello_lacks(c, 4);
	if (lacks)
		return lacks;
	type = hello_u16(data, c, 0);
	size = hello_u16(data, c, 2);
	c->at += 4;
	if (type == TLS_EXTENSION_ALPN && size != ACME_TLS_1_ALPN_SIZE)
		return CLIENT_HELLO_OTHER;
	lacks = hello_lacks(c, size);
	if (lacks == CLIENT_HELLO_MALFORMED)
		return lacks;
	if (type == TLS_EXTENSION_SERVER_NAME || type == TLS_EXTENSION_ALPN) {
		if (lacks)
			return lacks;
		if (type == TLS_EXTENSION_ALPN) {
			if (!hello_is_acme_alpn(data, c))
				return CLIENT_HELLO_OTHER;
			c->acme_alpn = 1;
		} else if (hello_server_name(data, c, size)) {
			return CLIENT_HELLO_MALFORMED;
		}
	}
	c->at += size;
	return 0;
}

/*
 * Read `length` bytes, at most CLIENT_HELLO_WINDOW of them, from `data`, a
 * buffer of CLIENT_HELLO_BUFFER_SIZE.  *ret says what was seen, whatever the
 * verdict; of an ACME one, all of it.
 */
HELLO_INLINE enum client_hello_verdict client_hello_parse(const __u8 *data, __u32 length,
							  struct client_hello *ret)
{
	int verdict, i;

	ret->server_name_offset = 0;
	ret->server_name_length = 0;
	ret->acme_alpn = 0;
	ret->at = 0;
	ret->end = CLIENT_HELLO_WINDOW;
	ret->available = length < CLIENT_HELLO_WINDOW ? length : CLIENT_HELLO_WINDOW;
	verdict = hello_record(data, ret);
	if (verdict)
		return verdict;
	verdict = hello_before_extensions(data, ret);
	if (verdict)
		return verdict;
	for (i = 0; i < CLIENT_HELLO_EXTENSIONS_MAX; i++) {
		if (ret->at == ret->end)
			return CLIENT_HELLO_OTHER;
		verdict = hello_extension(data, ret);
		if (verdict)
			return verdict;
		if (ret->acme_alpn && ret->server_name_length)
			return CLIENT_HELLO_ACME;
		/* Nothing of the walk stays in registers: each round looks the same to the verifier. */
		asm volatile("" ::: "memory");
	}
	return CLIENT_HELLO_TRUNCATED;
}

#endif
