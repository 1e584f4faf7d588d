// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/crypto/csr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/rsa.h>

#include "acme/crypto/key.h"
#include "common/identifier.h"

#define CSR_DER_MAX (CTC_MAX_ALT_SIZE + 2048) /* the names, and key and signature of RSA-4096 */

/* RFC 5280 section 4.2.1.6: GeneralName. */
#define TAG_SEQUENCE    0x30
#define TAG_DNS_NAME    0x82
#define TAG_IP_ADDRESS  0x87
#define LENGTH_2_BYTES  0x82
#define LENGTH_1_BYTE   0x81
#define SEQUENCE_HEADER 4 /* with a length of two bytes */

/* Write one name at `out`.  An identifier has at most 253 bytes.  Returns the size. */
static size_t put_name(uint8_t *out, const struct identifier *identifier)
{
	const void *value = identifier->address;
	size_t size = identifier->type == IDENTIFIER_IPV4 ? 4 : 16, used = 0;

	if (identifier->type == IDENTIFIER_DNS) {
		value = identifier->value;
		size = strlen(identifier->value);
	}
	out[used++] = identifier->type == IDENTIFIER_DNS ? TAG_DNS_NAME : TAG_IP_ADDRESS;
	if (size > 0x7f)
		out[used++] = LENGTH_1_BYTE;
	out[used++] = (uint8_t)size;
	memcpy(out + used, value, size);
	return used + size;
}

/* Write the value of a subjectAltName extension.  0, or -E2BIG when it does not fit. */
static int put_names(Cert *cert, const struct identifier *identifiers, size_t count)
{
	uint8_t name[sizeof(identifiers->value) + 3], *out = cert->altNames;
	size_t used = SEQUENCE_HEADER, size, i;

	for (i = 0; i < count; i++) {
		size = put_name(name, &identifiers[i]);
		if (used + size > sizeof(cert->altNames))
			return -E2BIG;
		memcpy(out + used, name, size);
		used += size;
	}
	size = used - SEQUENCE_HEADER;
	/* DER requires the shortest length: move the names down when one or two bytes suffice. */
	used = 0;
	out[used++] = TAG_SEQUENCE;
	if (size > 0xff) {
		out[used++] = LENGTH_2_BYTES;
		out[used++] = (uint8_t)(size >> 8);
	} else if (size > 0x7f) {
		out[used++] = LENGTH_1_BYTE;
	}
	out[used++] = (uint8_t)size;
	memmove(out + used, out + SEQUENCE_HEADER, size);
	cert->altNamesSz = (int)(used + size);
	return 0;
}

/* RSA and P-256 sign with SHA-256; P-384 signs with SHA-384. */
static int signature_type(const struct key *key)
{
	switch (key_type_of(key)) {
	case KEY_P256:
		return CTC_SHA256wECDSA;
	case KEY_P384:
		return CTC_SHA384wECDSA;
	default:
		return CTC_SHA256wRSA;
	}
}

static int csr_sign(uint8_t *der, Cert *cert, struct key *key)
{
	WC_RNG random;
	int size;

	if (wc_InitRng(&random))
		return -EIO;
	size = wc_MakeCertReq(cert, der, CSR_DER_MAX, key_rsa(key), key_ecc(key));
	if (size > 0)
		size = wc_SignCert(cert->bodySz, cert->sigType, der, CSR_DER_MAX, key_rsa(key),
				   key_ecc(key), &random);
	wc_FreeRng(&random);
	return size > 0 ? size : -EIO;
}

int csr_make(uint8_t **ret_der, size_t *ret_size, struct key *key,
	     const struct identifier *identifiers, size_t count)
{
	Cert *cert = malloc(sizeof(*cert));
	uint8_t *der = malloc(CSR_DER_MAX);
	int err = -ENOMEM, size;

	if (!cert || !der)
		goto out;
	err = -EIO;
	if (wc_InitCert(cert))
		goto out;
	cert->version = 0; /* RFC 2986 section 4.1: v1 */
	cert->sigType = signature_type(key);
	err = put_names(cert, identifiers, count);
	if (err)
		goto out;
	size = csr_sign(der, cert, key);
	err = size < 0 ? size : 0;
	if (err)
		goto out;
	*ret_der = der;
	*ret_size = (size_t)size;
	der = NULL;
out:
	free(der);
	free(cert);
	return err;
}
