/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One validation: a TCP connection, a TLS handshake, a certificate to verify.  TLS works
 * on memory, so that which bytes go into which segment is decided here.  Nothing blocks:
 * load.c waits for the socket and counts the outcome.
 */
#ifndef BENCH_VALIDATOR_H
#define BENCH_VALIDATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "common/validator/outcome.h"
#include "common/validator/subject.h"

struct hello;
struct route;

#define VALIDATOR_OUT_SIZE 4096 /* the longest flight is a hello */

enum validator_state { VALIDATOR_CONNECTING, VALIDATOR_SHAKING };

struct validator {
	struct subject subject; /* set by the owner before validator_begin() */
	int fd;
	enum validator_state state;
	SSL *ssl;
	bool split; /* the first flight, into two segments */
	uint8_t *leaf; /* the server's first certificate in DER, as it came; NULL: none yet */
	size_t leaf_size;
	unsigned int chain_length;
	int version; /* as TLS1_3_VERSION; 0: none yet */
	uint64_t done_ns; /* CLOCK_MONOTONIC: when the handshake was complete */
	struct { /* received, not yet read by TLS; points into the caller's buffer */
		const uint8_t *at, *end;
	} in;
	size_t out_begin, out_end; /* of `out`: not yet sent */
	uint8_t out[VALIDATOR_OUT_SIZE];
};

/* How far it has got. */
enum validator_step { VALIDATOR_GOES_ON, VALIDATOR_ENDED };

/*
 * Begin to connect.  When it goes on, `fd` is to be watched for reading and writing,
 * edge-triggered.
 */
enum validator_step validator_begin(struct validator *validator, const struct route *route,
				    const struct hello *hello, uint64_t random,
				    enum outcome *ret_outcome);

/* The socket is writable; or `readable`, which an error or an end is too. */
enum validator_step validator_proceed(struct validator *validator, bool readable,
				      enum outcome *ret_outcome);

/* Its time is over: what that means. */
enum outcome validator_timeout(const struct validator *validator);

/*
 * After the end: close the connection, free everything.  With `reset` by RST: what was
 * sent is on its way, and nothing is left of the connection here.
 */
void validator_end(struct validator *validator, bool reset);

#endif
