// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/validator/hello.h"

#include <errno.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

/*
 * Go has offered X25519MLKEM768 since 1.24: a key share of 1,216 bytes.  With this much
 * in its place a hello is as long as Go 1.26's to the byte: 1,525 and the server name.
 */
#define GO_FILLER_SIZE 1239
/* Chrome's hello has 1.7 KB: what comes behind the long extension is in a second segment. */
#define SHUFFLED_FILLER_SIZE 1420

/* RFC 8701: values of this kind are reserved for what servers must ignore. */
#define GREASE_EXTENSION 0x3a3a

/* Go 1.26 without TLS 1.3's: crypto/tls, in its order. */
#define GO_CIPHERS                                                                                 \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" \
	"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"   \
	"ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:" \
	"AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA:AES256-SHA"
#define GO_GROUPS       "X25519:P-256:P-384:P-521"
#define GO_GROUPS_MLKEM "*X25519MLKEM768:*X25519:P-256:P-384:P-521"
#define GO_SIGNATURES                                                                       \
	"rsa_pss_rsae_sha256:ECDSA+SHA256:ed25519:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:" \
	"RSA+SHA256:RSA+SHA384:RSA+SHA512:ECDSA+SHA384:ECDSA+SHA512"

/* One of each kind that a server of either key may need. */
#define SMALL_CIPHERS    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
#define SMALL_GROUPS     "X25519:P-256"
#define SMALL_SIGNATURES "ECDSA+SHA256:rsa_pss_rsae_sha256:RSA+SHA256"
#define SMALL_CIPHERS_13 "TLS_AES_128_GCM_SHA256"

static const unsigned char protocols[] = "\x0a"
					 "acme-tls/1";

static const uint8_t filler[SHUFFLED_FILLER_SIZE];
_Static_assert(GO_FILLER_SIZE <= sizeof(filler), "room for both");

const char *hello_shape_name(enum hello_shape shape)
{
	static const char *const names[HELLO_SHAPES] = {
		[HELLO_GO] = "go",
		[HELLO_SMALL] = "small",
		[HELLO_SPLIT] = "split",
		[HELLO_SHUFFLED] = "shuffled",
	};

	return names[shape];
}

const char *hello_tls_name(enum hello_tls tls)
{
	static const char *const names[HELLO_TLS] = {
		[HELLO_TLS_ANY] = "any", [HELLO_TLS_12] = "1.2", [HELLO_TLS_13] = "1.3"};

	return names[tls];
}

bool hello_has_mlkem(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	bool has = context && SSL_CTX_set1_groups_list(context, GO_GROUPS_MLKEM) == 1;

	SSL_CTX_free(context);
	ERR_clear_error();
	return has;
}

/* SSL_CTX_add_custom_ext()'s callback: OpenSSL writes such extensions before all others. */
static int add_grease(SSL *ssl, unsigned int type, unsigned int where, const unsigned char **out,
		      size_t *out_size, X509 *certificate, size_t index, int *alert, void *argument)
{
	(void)ssl, (void)type, (void)where, (void)certificate, (void)index, (void)alert,
		(void)argument;
	*out = filler;
	*out_size = sizeof(filler);
	return 1;
}

/*
 * RFC 8446 section 4.2.4: certificate_authorities, which OpenSSL writes behind the key
 * shares.  One name, of one attribute as long as the filler.
 */
static int fill_behind(SSL_CTX *context, int size)
{
	STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
	X509_NAME *name = X509_NAME_new();

	if (!names || !name ||
	    !X509_NAME_add_entry_by_NID(name, NID_organizationName, V_ASN1_UTF8STRING, filler, size,
					-1, 0) ||
	    !sk_X509_NAME_push(names, name)) {
		X509_NAME_free(name);
		sk_X509_NAME_free(names);
		return -ENOMEM;
	}
	SSL_CTX_set0_CA_list(context, names);
	return 0;
}

/*
 * RFC 6066 section 8: an OCSP request with a nonce as long as the filler, in
 * status_request, which OpenSSL writes between server name and ALPN.  No server that
 * staples looks at it.
 */
static int fill_between(SSL *client)
{
	STACK_OF(X509_EXTENSION) *extensions = NULL;
	ASN1_OCTET_STRING *nonce = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension = NULL;
	int err = -ENOMEM;

	if (nonce && ASN1_OCTET_STRING_set(nonce, filler, sizeof(filler)))
		extension = X509_EXTENSION_create_by_NID(NULL, NID_id_pkix_OCSP_Nonce, 0, nonce);
	if (extension && X509v3_add_ext(&extensions, extension, -1)) {
		SSL_set_tlsext_status_type(client, TLSEXT_STATUSTYPE_ocsp);
		SSL_set_tlsext_status_exts(client, extensions); /* which owns them now */
		err = 0;
	}
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(nonce);
	return err;
}

/* As far as it is of the context; hello_client() does the rest. */
static int fill(SSL_CTX *context, enum hello_shape shape, enum hello_filler where)
{
	if (where == HELLO_FILLER_FRONT &&
	    SSL_CTX_add_custom_ext(context, GREASE_EXTENSION, SSL_EXT_CLIENT_HELLO, add_grease,
				   NULL, NULL, NULL, NULL) != 1)
		return -ENOTSUP;
	if (where != HELLO_FILLER_BEHIND)
		return 0;
	return fill_behind(context, shape == HELLO_GO ? GO_FILLER_SIZE : SHUFFLED_FILLER_SIZE);
}

/* In place of the search for a trusted issuer: validators trust nobody, and look themselves. */
static int take_any_chain(X509_STORE_CTX *store, void *argument)
{
	(void)store, (void)argument;
	return 1;
}

static bool set_lists(SSL_CTX *context, enum hello_shape shape)
{
	const char *groups = shape == HELLO_GO && hello_has_mlkem() ? GO_GROUPS_MLKEM : GO_GROUPS;

	if (shape == HELLO_SMALL || shape == HELLO_SPLIT)
		return SSL_CTX_set_cipher_list(context, SMALL_CIPHERS) == 1 &&
		       SSL_CTX_set_ciphersuites(context, SMALL_CIPHERS_13) == 1 &&
		       SSL_CTX_set1_groups_list(context, SMALL_GROUPS) == 1 &&
		       SSL_CTX_set1_sigalgs_list(context, SMALL_SIGNATURES) == 1;
	return SSL_CTX_set_cipher_list(context, GO_CIPHERS) == 1 &&
	       SSL_CTX_set1_groups_list(context, groups) == 1 &&
	       SSL_CTX_set1_sigalgs_list(context, GO_SIGNATURES) == 1;
}

static bool set_versions(SSL_CTX *context, enum hello_tls tls)
{
	int least = tls == HELLO_TLS_13 ? TLS1_3_VERSION : TLS1_2_VERSION;
	int most = tls == HELLO_TLS_12 ? TLS1_2_VERSION : TLS1_3_VERSION;

	return SSL_CTX_set_min_proto_version(context, least) == 1 &&
	       SSL_CTX_set_max_proto_version(context, most) == 1;
}

static int make_context(SSL_CTX **ret_context, enum hello_shape shape, enum hello_tls tls,
			enum hello_filler where)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	int err = -ENOTSUP;

	if (!context)
		return -ENOMEM;
	SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
#ifdef SSL_OP_NO_RX_CERTIFICATE_COMPRESSION /* 3.2 and newer; the certificate is wanted as it is */
	SSL_CTX_set_options(context, SSL_OP_NO_RX_CERTIFICATE_COMPRESSION);
#endif
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_cert_verify_callback(context, take_any_chain, NULL);
	/* 0: done, as nowhere else. */
	if (set_lists(context, shape) && set_versions(context, tls) &&
	    SSL_CTX_set_alpn_protos(context, protocols, sizeof(protocols) - 1) == 0)
		err = fill(context, shape, where);
	if (err) {
		ERR_clear_error();
		SSL_CTX_free(context);
		return err;
	}
	*ret_context = context;
	return 0;
}

/* Whether a shape's hellos may have their filler there. */
static bool may_fill(enum hello_shape shape, enum hello_tls tls, enum hello_filler where)
{
	/* certificate_authorities and long key shares are TLS 1.3's. */
	bool tls13 = tls != HELLO_TLS_12;

	if (shape == HELLO_SHUFFLED)
		return where == HELLO_FILLER_FRONT || where == HELLO_FILLER_BETWEEN ||
		       (where == HELLO_FILLER_BEHIND && tls13);
	if (shape == HELLO_GO && tls13 && !hello_has_mlkem())
		return where == HELLO_FILLER_BEHIND;
	return where == HELLO_FILLER_NONE;
}

int hello_init(struct hello *ret_hello, enum hello_shape shape, enum hello_tls tls)
{
	struct hello hello = {.shape = shape};
	enum hello_filler where;
	int err = 0;

	for (where = 0; !err && where < HELLO_FILLERS; where++) {
		struct hello_variant *variant = &hello.variants[hello.variant_count];

		if (!may_fill(shape, tls, where))
			continue;
		variant->where = where;
		err = make_context(&variant->context, shape, tls, where);
		hello.variant_count += !err;
	}
	if (err) {
		hello_done(&hello);
		return err;
	}
	*ret_hello = hello;
	return 0;
}

void hello_done(struct hello *hello)
{
	while (hello->variant_count)
		SSL_CTX_free(hello->variants[--hello->variant_count].context);
}

int hello_client(const struct hello *hello, const char *server_name, uint64_t random,
		 SSL **ret_client)
{
	const struct hello_variant *variant = &hello->variants[random % hello->variant_count];
	SSL *client = SSL_new(variant->context);

	if (!client)
		return -ENOMEM;
	SSL_set_connect_state(client);
	if (SSL_set_tlsext_host_name(client, server_name) != 1 ||
	    (variant->where == HELLO_FILLER_BETWEEN && fill_between(client))) {
		SSL_free(client);
		return -ENOMEM;
	}
	*ret_client = client;
	return 0;
}
