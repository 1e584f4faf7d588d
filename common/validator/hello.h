/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The client side of TLS and the shape of its ClientHello, by OpenSSL: a validator must
 * not be the library that answers it.  SIDESTEP-BENCH.md says what of a shape is like
 * the real thing.
 */
#ifndef BENCH_HELLO_H
#define BENCH_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

enum hello_shape {
	HELLO_GO, /* as long as Go 1.26's, server name and ALPN in front */
	HELLO_SMALL, /* one cipher suite, group and signature algorithm of each kind */
	HELLO_SPLIT, /* as small, in two segments: the cut is within the server name */
	HELLO_SHUFFLED, /* as long as Chrome's; where the long extension lies is drawn */
	HELLO_SHAPES
};

/* A group of versions to offer. */
enum hello_tls { HELLO_TLS_ANY, HELLO_TLS_12, HELLO_TLS_13, HELLO_TLS };

const char *hello_shape_name(enum hello_shape shape);
const char *hello_tls_name(enum hello_tls tls);

/* Where the bytes lie that make a hello long: before, between or behind server name and ALPN. */
enum hello_filler {
	HELLO_FILLER_NONE,
	HELLO_FILLER_FRONT,
	HELLO_FILLER_BETWEEN,
	HELLO_FILLER_BEHIND,
	HELLO_FILLERS
};

/* What clients of one thread are made with: a shape has as many variants as places for filler. */
struct hello {
	enum hello_shape shape;
	struct hello_variant {
		SSL_CTX *context;
		enum hello_filler where;
	} variants[HELLO_FILLERS];
	size_t variant_count; /* at least 1 */
};

/* Whether this OpenSSL offers X25519MLKEM768 itself (3.5 and newer), so that nothing need fill. */
bool hello_has_mlkem(void);

/* 0, -ENOMEM, or -ENOTSUP when OpenSSL refuses the parameters. */
int hello_init(struct hello *ret_hello, enum hello_shape shape, enum hello_tls tls);
void hello_done(struct hello *hello);

/*
 * A client that will ask for `server_name` by acme-tls/1.  `random` draws what the shape
 * leaves open.  0 or -ENOMEM; the caller frees by SSL_free().
 */
int hello_client(const struct hello *hello, const char *server_name, uint64_t random,
		 SSL **ret_client);

#endif
