/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The ClientHello vectors of tests/data/hello: what real clients and others send
 * as their first data, and what the classifier must make of it.  Read by the
 * unit tests and by the BPF tests, so that both judge the same bytes.
 *
 * A vector is a text file: "what:", "verdict:" and "server_name:" lines, then
 * bytes in hexadecimal.  From '#' on a line is comment.
 */
#ifndef HELLO_VECTORS_H
#define HELLO_VECTORS_H

#include <stddef.h>
#include <stdint.h>

#include "bpf/client_hello.h"

struct hello_vector {
	char *name; /* of the file, without directory and ".hello" */
	char *what;
	enum client_hello_verdict verdict; /* on all of the bytes */
	char *server_name; /* as it is on the wire; "" when it is not among the bytes */
	uint8_t *data;
	size_t size;
};

struct hello_vectors {
	struct hello_vector *list; /* by name */
	size_t count;
};

/*
 * Read all vectors.  Ends the test program, saying why, when one cannot be read:
 * a test with fewer vectors than there are would prove less than it says.
 */
void hello_vectors_load(struct hello_vectors *ret_vectors);
void hello_vectors_free(struct hello_vectors *vectors);

/* The vector of this name; ends the test program when there is none. */
const struct hello_vector *hello_vectors_find(const struct hello_vectors *vectors,
					      const char *name);

/* "acme", "other", "truncated" or "malformed". */
const char *hello_verdict_name(enum client_hello_verdict verdict);

#endif
