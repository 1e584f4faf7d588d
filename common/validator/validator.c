// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/validator/validator.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>

#include "common/clock.h"
#include "common/validator/hello.h"
#include "common/validator/route.h"

#define ACME_PROTOCOL "acme-tls/1"
#define RECORD_MAX    (16384 + 256 + 5) /* RFC 8446 section 5.2 */

/* --- TLS on memory ---------------------------------------------------------------------------- */

static int bio_write(BIO *bio, const char *bytes, int size)
{
	struct validator *validator = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if ((size_t)size > sizeof(validator->out) - validator->out_end)
		return -1;
	memcpy(validator->out + validator->out_end, bytes, (size_t)size);
	validator->out_end += (size_t)size;
	return size;
}

static int bio_read(BIO *bio, char *bytes, int size)
{
	struct validator *validator = BIO_get_data(bio);
	size_t there = (size_t)(validator->in.end - validator->in.at);

	BIO_clear_retry_flags(bio);
	if (!there) {
		BIO_set_retry_read(bio);
		return -1;
	}
	if ((size_t)size < there)
		there = (size_t)size;
	memcpy(bytes, validator->in.at, there);
	validator->in.at += there;
	return (int)there;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio, (void)number, (void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method;

static void __attribute__((constructor)) make_bio_method(void)
{
	bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "validator");
	if (!bio_method || !BIO_meth_set_write(bio_method, bio_write) ||
	    !BIO_meth_set_read(bio_method, bio_read) || !BIO_meth_set_ctrl(bio_method, bio_control))
		abort();
}

static void __attribute__((destructor)) free_bio_method(void)
{
	BIO_meth_free(bio_method);
}

static uint32_t get_24(const uint8_t *at)
{
	return (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
}

/*
 * Keep the certificate as it came, before any library has read it: RFC 8446 section
 * 4.4.2, RFC 5246 section 7.4.2.  What contradicts itself counts as no certificate.
 */
static void take_chain(struct validator *validator, const uint8_t *message, size_t size,
		       bool with_extensions)
{
	const uint8_t *at = message + 4, *end = message + size;

	if (with_extensions && at < end)
		at += 1 + *at; /* certificate_request_context */
	if (end - at < 3)
		return;
	at += 3; /* the list's length: OpenSSL has taken it */
	while (end - at >= 3 && get_24(at) <= (size_t)(end - at) - 3) {
		uint32_t length = get_24(at);

		at += 3;
		if (!validator->chain_length++) {
			validator->leaf = malloc(length ? length : 1);
			validator->leaf_size = validator->leaf ? length : 0;
			if (validator->leaf)
				memcpy(validator->leaf, at, length);
		}
		at += length;
		if (with_extensions && end - at >= 2)
			at += 2 + (at[0] << 8 | at[1]);
	}
}

static void see_message(int sent, int version, int type, const void *message, size_t size, SSL *ssl,
			void *argument)
{
	struct validator *validator = argument;
	const uint8_t *bytes = message;

	(void)version;
	if (!sent && type == SSL3_RT_HANDSHAKE && size > 4 && bytes[0] == SSL3_MT_CERTIFICATE &&
	    !validator->chain_length)
		take_chain(validator, bytes, size, SSL_version(ssl) == TLS1_3_VERSION);
}

static int begin_tls(struct validator *validator, const struct hello *hello, uint64_t random)
{
	BIO *bio;
	int err = hello_client(hello, validator->subject.identifier.sni, random, &validator->ssl);

	if (err)
		return err;
	bio = BIO_new(bio_method);
	if (!bio)
		return -ENOMEM;
	BIO_set_data(bio, validator);
	BIO_set_init(bio, 1);
	SSL_set_bio(validator->ssl, bio, bio);
	SSL_set_msg_callback(validator->ssl, see_message);
	SSL_set_msg_callback_arg(validator->ssl, validator);
	validator->split = hello->shape == HELLO_SPLIT;
	return 0;
}

/* --- what it comes to ------------------------------------------------------------------------ */

static enum outcome outcome_of_tls_error(void)
{
	unsigned long error = ERR_peek_error();
	int reason = ERR_GET_REASON(error);

	ERR_clear_error();
	if (ERR_GET_LIB(error) != ERR_LIB_SSL)
		return OUTCOME_TLS;
	if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + OUTCOME_ALERTS)
		return OUTCOME_ALERT + (unsigned int)(reason - SSL_AD_REASON_OFFSET);
	if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST)
		return OUTCOME_NOT_TLS;
	return OUTCOME_TLS;
}

/* What the server has shown in a complete handshake (RFC 8737 section 3). */
static enum outcome judge(const struct validator *validator)
{
	const unsigned char *protocol;
	unsigned int size;
	struct verify_expected expected;
	enum verify_result result;

	SSL_get0_alpn_selected(validator->ssl, &protocol, &size);
	if (size != strlen(ACME_PROTOCOL) || memcmp(protocol, ACME_PROTOCOL, size) != 0)
		return OUTCOME_NO_ALPN;
	if (!validator->leaf)
		return OUTCOME_NO_CERTIFICATE;
	if (validator->chain_length != 1)
		return OUTCOME_CHAIN;
	expected = subject_expected(&validator->subject);
	result = verify_parsed(SSL_get0_peer_certificate(validator->ssl), validator->leaf,
			       validator->leaf_size, &expected);
	return result == VERIFY_OK ? OUTCOME_OK : OUTCOME_CERTIFICATE + (enum outcome)result;
}

/* --- the connection --------------------------------------------------------------------------- */

/* Where the first segment ends: within the server name, where it says least. */
static size_t split_at(const struct validator *validator)
{
	const char *name = validator->subject.identifier.sni;
	const uint8_t *at = memmem(validator->out, validator->out_end, name, strlen(name));

	assert(at);
	return (size_t)(at - validator->out) + strlen(name) / 2;
}

/* Send what there is.  -EAGAIN: the rest when the socket is writable. */
static int flush(struct validator *validator)
{
	size_t end;
	ssize_t sent;

	while (validator->out_begin < validator->out_end) {
		end = validator->split ? split_at(validator) : validator->out_end;
		sent = send(validator->fd, validator->out + validator->out_begin,
			    end - validator->out_begin, MSG_NOSIGNAL);
		if (sent < 0)
			return -errno;
		validator->out_begin += (size_t)sent;
		if (validator->out_begin == end)
			validator->split = false;
	}
	validator->out_begin = validator->out_end = 0;
	return 0;
}

static enum validator_step end_with(enum outcome outcome, enum outcome *ret_outcome)
{
	*ret_outcome = outcome;
	return VALIDATOR_ENDED;
}

/* Let OpenSSL go on with what has arrived. */
static enum validator_step shake(struct validator *validator, enum outcome *ret_outcome)
{
	int done, err;

	ERR_clear_error();
	done = SSL_do_handshake(validator->ssl);
	if (done == 1) {
		validator->done_ns = clock_monotonic_ns();
		validator->version = SSL_version(validator->ssl);
		/* The alert goes with the last flight, as a validator's that closes at once. */
		SSL_shutdown(validator->ssl);
	}
	err = flush(validator);
	if (done == 1) {
		*ret_outcome = judge(validator);
		/* The server never got the Finished: it was reset, or something broke. */
		if (err && *ret_outcome == OUTCOME_OK)
			*ret_outcome = outcome_of_errno(-err);
		return VALIDATOR_ENDED;
	}
	if (SSL_get_error(validator->ssl, done) != SSL_ERROR_WANT_READ)
		return end_with(outcome_of_tls_error(), ret_outcome);
	if (err && err != -EAGAIN)
		return end_with(outcome_of_errno(-err), ret_outcome);
	return VALIDATOR_GOES_ON;
}

/* Read until there is no more.  Edge-triggered, so nothing may be left. */
static enum validator_step receive(struct validator *validator, enum outcome *ret_outcome)
{
	static _Thread_local uint8_t buffer[RECORD_MAX];
	enum validator_step step = VALIDATOR_GOES_ON;
	ssize_t size;

	while (step == VALIDATOR_GOES_ON) {
		size = recv(validator->fd, buffer, sizeof(buffer), 0);
		if (size < 0 && errno == EAGAIN)
			return VALIDATOR_GOES_ON;
		if (size < 0)
			return end_with(outcome_of_errno(errno), ret_outcome);
		if (!size)
			return end_with(OUTCOME_CLOSED, ret_outcome);
		validator->in.at = buffer;
		validator->in.end = buffer + size;
		step = shake(validator, ret_outcome);
	}
	return step;
}

enum validator_step validator_proceed(struct validator *validator, bool readable,
				      enum outcome *ret_outcome)
{
	socklen_t size = sizeof(int);
	int error = 0, err;

	/* The first event of all: connected or refused. */
	if (validator->state == VALIDATOR_CONNECTING) {
		getsockopt(validator->fd, SOL_SOCKET, SO_ERROR, &error, &size);
		if (error)
			return end_with(outcome_of_errno(error), ret_outcome);
		validator->state = VALIDATOR_SHAKING;
	}
	if (validator->out_end) {
		err = flush(validator);
		if (err && err != -EAGAIN)
			return end_with(outcome_of_errno(-err), ret_outcome);
	}
	return readable ? receive(validator, ret_outcome) : VALIDATOR_GOES_ON;
}

static int open_socket(struct validator *validator, const struct route *route)
{
	int family = route->destination.any.sa_family, one = 1;

	validator->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (validator->fd < 0)
		return -errno;
	setsockopt(validator->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!route->source.size)
		return 0;
	/* The port at connect(), where it need only be free towards this destination. */
	setsockopt(validator->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	return bind(validator->fd, &route->source.any, route->source.size) ? -errno : 0;
}

enum validator_step validator_begin(struct validator *validator, const struct route *route,
				    const struct hello *hello, uint64_t random,
				    enum outcome *ret_outcome)
{
	int err;

	validator->state = VALIDATOR_CONNECTING;
	validator->ssl = NULL;
	validator->leaf = NULL;
	validator->leaf_size = 0;
	validator->chain_length = 0;
	validator->version = 0;
	validator->in.at = validator->in.end = NULL;
	validator->out_begin = validator->out_end = 0;

	err = open_socket(validator, route);
	if (err == -EADDRNOTAVAIL)
		return end_with(OUTCOME_NO_SOURCE, ret_outcome);
	if (err)
		return end_with(outcome_of_errno(-err), ret_outcome);
	if (connect(validator->fd, &route->destination.any, route->destination.size) &&
	    errno != EINPROGRESS)
		return end_with(outcome_of_errno(errno), ret_outcome);
	/* The hello is made while the SYN is on its way. */
	if (begin_tls(validator, hello, random) ||
	    SSL_get_error(validator->ssl, SSL_do_handshake(validator->ssl)) !=
		    SSL_ERROR_WANT_READ) {
		ERR_clear_error();
		return end_with(OUTCOME_LOCAL, ret_outcome);
	}
	return VALIDATOR_GOES_ON;
}

enum outcome validator_timeout(const struct validator *validator)
{
	return validator->state == VALIDATOR_CONNECTING ? OUTCOME_CONNECT_TIMEOUT
							: OUTCOME_HANDSHAKE_TIMEOUT;
}

void validator_end(struct validator *validator, bool reset)
{
	static const struct linger at_once = {.l_onoff = 1};

	if (validator->fd >= 0) {
		if (reset)
			setsockopt(validator->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(validator->fd);
	}
	SSL_free(validator->ssl);
	free(validator->leaf);
	validator->fd = -1;
	validator->ssl = NULL;
	validator->leaf = NULL;
}
