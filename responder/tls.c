// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/tls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <wolfssl/error-ssl.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/memory.h>

#include "common/challenge_cert.h"
#include "common/challenge_table.h"
#include "common/clock.h"
#include "common/evidence.h"
#include "responder/tls_memory.h"

#define ACME_TLS_1 "acme-tls/1" /* RFC 8737 section 3 */

/*
 * What authenticated encryption there is for an ECDSA key, the fastest first: processors have
 * instructions for SHA-256, and none for SHA-384.
 */
#define CIPHER_SUITES                                                   \
	"TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384:"              \
	"TLS13-CHACHA20-POLY1305-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:" \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305"

/* RFC 8446 section 6.2 */
#define ALERT_UNRECOGNIZED_NAME       112
#define ALERT_NO_APPLICATION_PROTOCOL 120

struct tls_context {
	WOLFSSL_CTX *wolfssl;
	struct challenge_table *table;
};

/* --- wolfSSL's callbacks ------------------------------------------------------- */

static int receive(WOLFSSL *ssl, char *buffer, int size, void *argument)
{
	struct tls *tls = argument;
	size_t taken = (size_t)size < tls->input_size ? (size_t)size : tls->input_size;

	(void)ssl;
	if (!taken)
		return WOLFSSL_CBIO_ERR_WANT_READ;
	memcpy(buffer, tls->input, taken);
	tls->input += taken;
	tls->input_size -= taken;
	return (int)taken;
}

static int send_out(WOLFSSL *ssl, char *buffer, int size, void *argument)
{
	struct tls *tls = argument;
	struct tls_output *output = tls->output;
	size_t room = output->capacity - output->end;
	size_t taken = (size_t)size < room ? (size_t)size : room;

	(void)ssl;
	if (!taken)
		return WOLFSSL_CBIO_ERR_WANT_WRITE;
	memcpy(output->bytes + output->end, buffer, taken);
	output->end += taken;
	return (int)taken;
}

/* Is acme-tls/1 the one and only protocol that the client offers? */
static bool offers_only_acme(WOLFSSL *ssl)
{
	unsigned short size = 0;
	char *list = NULL;
	bool only;

	if (wolfSSL_ALPN_GetPeerProtocol(ssl, &list, &size) != WOLFSSL_SUCCESS)
		return false;
	only = size == strlen(ACME_TLS_1) && !memcmp(list, ACME_TLS_1, size);
	wolfSSL_ALPN_FreePeerProtocol(ssl, &list);
	return only;
}

/* Give this handshake the certificate for the name that the client asks for. */
static int use_certificate(struct tls *tls)
{
	uint8_t der[CHALLENGE_CERT_DER_MAX];
	struct challenge challenge;
	void *name = NULL;
	size_t size;
	int length;

	length = wolfSSL_SNI_GetRequest(tls->ssl, WOLFSSL_SNI_HOST_NAME, &name);
	if (tls->server_name_size && tls->server_name_size != (size_t)length)
		return -ENOENT;
	if (!length || challenge_table_find(tls->context->table, name, (size_t)length, &challenge))
		return -ENOENT;
	size = challenge_cert_der(challenge_table_key(tls->context->table), &challenge.cert, der);
	if (wolfSSL_use_certificate_buffer(tls->ssl, der, (long)size, WOLFSSL_FILETYPE_ASN1) !=
	    WOLFSSL_SUCCESS)
		return -EIO;
	tls->armed_ns = challenge.published_ns;
	return 0;
}

/* The ClientHello has been read: the moment to choose the certificate, or to refuse. */
static int on_server_name(WOLFSSL *ssl, int *ret_alert, void *argument)
{
	struct tls *tls = wolfSSL_GetIOReadCtx(ssl);

	(void)argument;
	if (!offers_only_acme(ssl)) {
		tls->failure = TLS_NO_ALPN;
		*ret_alert = ALERT_NO_APPLICATION_PROTOCOL;
		return fatal_return;
	}
	if (use_certificate(tls)) {
		tls->failure = TLS_NOT_PENDING;
		*ret_alert = ALERT_UNRECOGNIZED_NAME;
		return fatal_return;
	}
	tls->has_certificate = true;
	return 0;
}

/* --- memory --------------------------------------------------------------------- */

/* Before main(): what wolfSSL has allocated in one way it must not free in another. */
__attribute__((constructor)) static void set_allocators(void)
{
	wolfSSL_SetAllocators(tls_memory_alloc, tls_memory_free, tls_memory_realloc);
}

/* --- the context --------------------------------------------------------------- */

/*
 * The key of all challenge certificates, and a certificate that fits it and is
 * never sent: wolfSSL makes its list of cipher suites from that.
 */
static int load_key(struct tls_context *context)
{
	const struct challenge_key *key = challenge_table_key(context->table);
	uint8_t cert_der[CHALLENGE_CERT_DER_MAX], key_der[CHALLENGE_KEY_DER_MAX];
	struct challenge_cert cert = {.issued_at = (uint32_t)clock_now_s()};
	struct challenge_signer *signer;
	int err, key_size;
	size_t cert_size;

	identifier_parse(&cert.identifier, "sidestep.invalid");
	err = challenge_signer_new(&signer, key);
	if (err)
		return err;
	err = challenge_cert_sign(signer, &cert);
	challenge_signer_free(signer);
	if (err)
		return err;
	cert_size = challenge_cert_der(key, &cert, cert_der);
	key_size = challenge_key_der(key, key_der);
	if (key_size < 0)
		return key_size;
	if (wolfSSL_CTX_use_certificate_buffer(context->wolfssl, cert_der, (long)cert_size,
					       WOLFSSL_FILETYPE_ASN1) != WOLFSSL_SUCCESS ||
	    wolfSSL_CTX_use_PrivateKey_buffer(context->wolfssl, key_der, key_size,
					      WOLFSSL_FILETYPE_ASN1) != WOLFSSL_SUCCESS)
		return -EIO;
	return 0;
}

int tls_context_new(struct challenge_table *table, struct tls_context **ret_context)
{
	int groups[] = {WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1, WOLFSSL_ECC_SECP384R1,
			WOLFSSL_ECC_SECP521R1, WOLFSSL_X25519MLKEM768};
	struct tls_context *context = calloc(1, sizeof(*context));
	int err;

	if (!context)
		return -ENOMEM;
	context->table = table;
	wolfSSL_Init();
	context->wolfssl = wolfSSL_CTX_new(wolfSSLv23_server_method());
	if (!context->wolfssl) {
		err = -ENOMEM;
		goto out;
	}
	wolfSSL_CTX_SetMinVersion(context->wolfssl, WOLFSSL_TLSV1_2);
	wolfSSL_CTX_set_session_cache_mode(context->wolfssl, WOLFSSL_SESS_CACHE_OFF);
	wolfSSL_CTX_set_verify(context->wolfssl, WOLFSSL_VERIFY_NONE, NULL);
	wolfSSL_CTX_set_group_messages(context->wolfssl);
	wolfSSL_CTX_SetIORecv(context->wolfssl, receive);
	wolfSSL_CTX_SetIOSend(context->wolfssl, send_out);
	wolfSSL_CTX_set_servername_callback(context->wolfssl, on_server_name);
	/*
	 * The fastest first.  The others are for clients that offer nothing else: without them
	 * wolfSSL asks such a client for a group that it did not offer (RFC 8446 section 4.1.4).
	 */
	err = wolfSSL_CTX_set_groups(context->wolfssl, groups,
				     sizeof(groups) / sizeof(groups[0])) == WOLFSSL_SUCCESS
		      ? 0
		      : -EIO;
	if (!err)
		err = load_key(context);
	/* After the key, which makes wolfSSL choose the suites by itself. */
	if (!err && wolfSSL_CTX_set_cipher_list(context->wolfssl, CIPHER_SUITES) != WOLFSSL_SUCCESS)
		err = -EIO;
out:
	if (err) {
		tls_context_free(context);
		return err;
	}
	*ret_context = context;
	return 0;
}

void tls_context_free(struct tls_context *context)
{
	if (!context)
		return;
	wolfSSL_CTX_free(context->wolfssl);
	wolfSSL_Cleanup();
	free(context);
}

/* --- one handshake ------------------------------------------------------------- */

int tls_begin(struct tls *tls, struct tls_context *context, struct tls_output *output)
{
	char protocols[] = ACME_TLS_1;

	*tls = (struct tls){.context = context, .output = output};
	tls->ssl = wolfSSL_new(context->wolfssl);
	if (!tls->ssl)
		return -ENOMEM;
	wolfSSL_SetIOReadCtx(tls->ssl, tls);
	wolfSSL_SetIOWriteCtx(tls->ssl, tls);
	if (wolfSSL_UseALPN(tls->ssl, protocols, strlen(protocols),
			    WOLFSSL_ALPN_FAILED_ON_MISMATCH) != WOLFSSL_SUCCESS) {
		tls_end(tls);
		return -ENOMEM;
	}
	return 0;
}

/* wolfSSL does not count a refused ALPN as fatal in every version: look at what was agreed. */
static bool agreed_on_acme(const struct tls *tls)
{
	unsigned short size = 0;
	char *name = NULL;

	return wolfSSL_ALPN_GetProtocol(tls->ssl, &name, &size) == WOLFSSL_SUCCESS &&
	       size == strlen(ACME_TLS_1) && !memcmp(name, ACME_TLS_1, size);
}

enum tls_status tls_step(struct tls *tls, const uint8_t *input, size_t size)
{
	int err;

	tls->input = input;
	tls->input_size = size;
	if (wolfSSL_accept(tls->ssl) == WOLFSSL_SUCCESS) {
		if (agreed_on_acme(tls))
			return TLS_DONE;
		tls->failure = TLS_NO_ALPN;
		return TLS_FAILED;
	}
	err = wolfSSL_get_error(tls->ssl, WOLFSSL_FATAL_ERROR);
	if (err == WOLFSSL_ERROR_WANT_READ || err == WOLFSSL_ERROR_WANT_WRITE) {
		if (tls->has_certificate || !tls->output->end)
			return TLS_WANT_IO;
		/* wolfSSL does not ask on_server_name() when the client sends no extension at all. */
		tls->output->end = 0;
		tls->failure = TLS_NO_ALPN;
	}
	if (tls->failure == TLS_FAILURE_NONE)
		tls->failure = TLS_PROTOCOL;
	return TLS_FAILED;
}

void tls_say_goodbye(struct tls *tls)
{
	tls->input_size = 0;
	wolfSSL_shutdown(tls->ssl);
}

static uint16_t agreed_version(const struct tls *tls)
{
	switch (wolfSSL_GetVersion(tls->ssl)) {
	case WOLFSSL_TLSV1_2:
		return TLS_1_2;
	case WOLFSSL_TLSV1_3:
		return TLS_1_3;
	default:
		return 0;
	}
}

static uint8_t alert_code(const WOLFSSL_ALERT *alert)
{
	return alert->code >= 0 && alert->code < EVIDENCE_NO_ALERT ? (uint8_t)alert->code
								   : EVIDENCE_NO_ALERT;
}

bool tls_describe(const struct tls *tls, struct tls_facts *ret_facts)
{
	WOLFSSL_ALERT_HISTORY alerts = {.last_rx = {.code = -1}, .last_tx = {.code = -1}};
	void *name = NULL;
	int size;

	if (!tls->has_certificate)
		return false;
	size = wolfSSL_SNI_GetRequest(tls->ssl, WOLFSSL_SNI_HOST_NAME, &name);
	if (size <= 0)
		return false;
	wolfSSL_get_alert_history(tls->ssl, &alerts);
	*ret_facts = (struct tls_facts){
		.server_name = name,
		.server_name_size = (size_t)size,
		.armed_ns = tls->armed_ns,
		.version = agreed_version(tls),
		.alert_received = alert_code(&alerts.last_rx),
		.alert_sent = alert_code(&alerts.last_tx),
	};
	return true;
}

void tls_end(struct tls *tls)
{
	wolfSSL_free(tls->ssl);
	tls->ssl = NULL;
}
