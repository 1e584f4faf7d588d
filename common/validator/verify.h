/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether a certificate answers a TLS-ALPN-01 challenge (RFC 8737 section 3, RFC 8738),
 * as the strictest validator would see it: every check that Boulder, Vault or Go's
 * crypto/x509 makes, and RFC 5280's, at once.  DER in, verdict out.  Shares no code with
 * what makes the certificates: an independent judge.
 */
#ifndef BENCH_VERIFY_H
#define BENCH_VERIFY_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct x509_st; /* OpenSSL's X509 */

#define VERIFY_DIGEST_SIZE 32

/* In the order in which they are looked at: the first that fails is the verdict. */
enum verify_result {
	VERIFY_OK,
	VERIFY_NOT_DER,
	VERIFY_TRAILING_BYTES,
	VERIFY_NOT_A_CERTIFICATE,
	VERIFY_VERSION,
	VERIFY_SERIAL_NOT_POSITIVE,
	VERIFY_SERIAL_TOO_LONG,
	VERIFY_ALGORITHMS_DIFFER,
	VERIFY_NOT_SELF_ISSUED,
	VERIFY_KEY,
	VERIFY_SIGNATURE_WEAK,
	VERIFY_SIGNATURE,
	VERIFY_NOT_YET_VALID,
	VERIFY_EXPIRED,
	VERIFY_EXTENSION_TWICE,
	VERIFY_ACME_MISSING, /* before the others: it marks another server's certificate */
	VERIFY_EXTENSION_OTHER,
	VERIFY_SAN_MISSING,
	VERIFY_SAN_MALFORMED,
	VERIFY_SAN_NOT_ONE,
	VERIFY_SAN_TYPE,
	VERIFY_SAN_SPELLING,
	VERIFY_SAN_OTHER,
	VERIFY_ACME_NOT_CRITICAL,
	VERIFY_ACME_MALFORMED,
	VERIFY_ACME_DIGEST,
	VERIFY_RESULTS,
};

/* The choices of a GeneralName (RFC 5280 section 4.2.1.6) that identifiers come as. */
enum verify_name_type { VERIFY_DNS_NAME = 0x82, VERIFY_IP_ADDRESS = 0x87 };

struct verify_expected {
	enum verify_name_type type;
	const uint8_t *name; /* a domain name in lower case, or an address in network order */
	size_t name_size;
	const uint8_t *digest; /* VERIFY_DIGEST_SIZE bytes; NULL: any */
	time_t now;
};

enum verify_result verify_certificate(const uint8_t *der, size_t size,
				      const struct verify_expected *expected);
/* The same with what a TLS library has parsed of these very bytes already, to save the time. */
enum verify_result verify_parsed(struct x509_st *certificate, const uint8_t *der, size_t size,
				 const struct verify_expected *expected);

/* A word for tables and JSON ("san_other"), and a sentence for the user; static storage. */
const char *verify_name(enum verify_result result);
const char *verify_text(enum verify_result result);

#endif
