/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A validator's TLS client over memory, for the tests of who answers it: bytes
 * go in, bytes come out.
 */
#ifndef TLS_CLIENT_H
#define TLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/challenge_cert.h"

#define TLS_CLIENT_BUFFER_SIZE 65536

struct tls_client_options {
	const char *server_name; /* NULL: none */
	const char *protocols; /* of ALPN, with commas between; NULL: none */
	int group; /* WOLFSSL_ECC_...; 0: wolfSSL's choice */
	bool tls12; /* else TLS 1.3 */
};

struct tls_client {
	struct WOLFSSL_CTX *context;
	struct WOLFSSL *ssl;
	bool done; /* the handshake is complete */
	bool said_goodbye; /* the server has: a close_notify came */
	int alert; /* that came, or -1 */
	size_t certificate_size; /* of the server's: 0 until it came */
	uint8_t certificate[CHALLENGE_CERT_DER_MAX];
	const uint8_t *input;
	size_t input_size;
	size_t output_size; /* to be sent, then set to 0 by who sent it */
	uint8_t output[TLS_CLIENT_BUFFER_SIZE];
};

/* Begin: the ClientHello is in the output. */
void tls_client_init(struct tls_client *client, const struct tls_client_options *options);
void tls_client_done(struct tls_client *client);

/* Take bytes from the server.  False when the handshake has failed. */
bool tls_client_step(struct tls_client *client, const uint8_t *bytes, size_t size);

#endif
