/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One TLS-ALPN-01 handshake (RFC 8737) with wolfSSL, from bytes to bytes. It owns no descriptor and
 * never blocks.
 */
#ifndef RESPONDER_TLS_H
#define RESPONDER_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 5246 section 6.2.1, RFC 8446 section 4.2.1 */
#define TLS_1_2 0x0303
#define TLS_1_3 0x0304

struct challenge_table;
struct tls_context;
struct WOLFSSL;

enum tls_status {
	TLS_DONE, /* the client has the certificate and has finished the handshake */
	TLS_WANT_IO, /* more bytes, or room for output */
	TLS_FAILED, /* an alert for the client may be in the output */
};

enum tls_failure { TLS_FAILURE_NONE, TLS_NOT_PENDING, TLS_NO_ALPN, TLS_PROTOCOL };

/* Where output goes: a buffer of the caller's, filled from `end` on. */
struct tls_output {
	uint8_t *bytes;
	size_t end, capacity;
};

struct tls {
	struct WOLFSSL *ssl;
	struct tls_context *context;
	const uint8_t *input; /* during tls_step() only */
	size_t input_size;
	struct tls_output *output;
	/* As the hello says, when that is known; 0: not.  wolfSSL ends the name at its first NUL. */
	size_t server_name_size;
	enum tls_failure failure;
	bool has_certificate; /* the one for the name that the client asks for */
	uint64_t armed_ns; /* when that name was published; CLOCK_BOOTTIME */
};

/* What there is to tell of a handshake for a pending name.  Texts are the handshake's. */
struct tls_facts {
	const char *server_name; /* as the client spelled it; not terminated */
	size_t server_name_size; /* at least 1 */
	uint64_t armed_ns;
	uint16_t version; /* agreed: TLS_1_2 or TLS_1_3; 0: none */
	uint8_t alert_received, alert_sent; /* RFC 8446 section 6, or EVIDENCE_NO_ALERT */
};

/*
 * What all handshakes of one thread share.  `table` stays the caller's and must
 * outlive it.  0, -ENOMEM, or -EIO when wolfSSL refuses the table's key.
 */
int tls_context_new(struct challenge_table *table, struct tls_context **ret_context);
void tls_context_free(struct tls_context *context);

/* Begin a handshake that writes to `output`.  0 or -ENOMEM. */
int tls_begin(struct tls *tls, struct tls_context *context, struct tls_output *output);

/* Continue with `size` received bytes and take all of them, or with none when output has room again. */
enum tls_status tls_step(struct tls *tls, const uint8_t *input, size_t size);

/* Put a close_notify into the output, after TLS_DONE. */
void tls_say_goodbye(struct tls *tls);

/* False: it was not, or not yet, for a pending name. */
bool tls_describe(const struct tls *tls, struct tls_facts *ret_facts);

/* Free the handshake; allowed on one that never began. */
void tls_end(struct tls *tls);

#endif
