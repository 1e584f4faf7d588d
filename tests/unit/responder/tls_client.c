// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/unit/responder/tls_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wolfssl/error-ssl.h>
#include <wolfssl/ssl.h>

/* End the test program: without a client nothing can be tested. */
static void need(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "tls_client: %s\n", what);
	exit(1);
}

static int receive(WOLFSSL *ssl, char *buffer, int size, void *argument)
{
	struct tls_client *client = argument;
	size_t taken = (size_t)size < client->input_size ? (size_t)size : client->input_size;

	(void)ssl;
	if (!taken)
		return WOLFSSL_CBIO_ERR_WANT_READ;
	memcpy(buffer, client->input, taken);
	client->input += taken;
	client->input_size -= taken;
	return (int)taken;
}

static int send_out(WOLFSSL *ssl, char *buffer, int size, void *argument)
{
	struct tls_client *client = argument;

	(void)ssl;
	need((size_t)size <= sizeof(client->output) - client->output_size, "output is full");
	memcpy(client->output + client->output_size, buffer, (size_t)size);
	client->output_size += (size_t)size;
	return size;
}

/*
 * wolfSSL refuses the self-signed certificate and its critical extension, as any
 * client must that is no validator.  The test is the judge.
 */
static int take_certificate(int verified, WOLFSSL_X509_STORE_CTX *store)
{
	struct tls_client *client = store->userCtx;

	(void)verified;
	need(store->totalCerts == 1 && store->certs[0].length <= sizeof(client->certificate),
	     "the server must send one certificate");
	client->certificate_size = store->certs[0].length;
	memcpy(client->certificate, store->certs[0].buffer, client->certificate_size);
	return 1;
}

void tls_client_init(struct tls_client *client, const struct tls_client_options *options)
{
	int group = options->group;

	*client = (struct tls_client){.alert = -1};
	client->context = wolfSSL_CTX_new(options->tls12 ? wolfTLSv1_2_client_method()
							 : wolfTLSv1_3_client_method());
	need(client->context, "context");
	wolfSSL_CTX_set_verify(client->context, WOLFSSL_VERIFY_PEER, take_certificate);
	wolfSSL_CTX_SetIORecv(client->context, receive);
	wolfSSL_CTX_SetIOSend(client->context, send_out);
	if (group)
		need(wolfSSL_CTX_set_groups(client->context, &group, 1) == WOLFSSL_SUCCESS,
		     "group");
	client->ssl = wolfSSL_new(client->context);
	need(client->ssl, "session");
	wolfSSL_SetCertCbCtx(client->ssl, client);
	wolfSSL_SetIOReadCtx(client->ssl, client);
	wolfSSL_SetIOWriteCtx(client->ssl, client);
	if (options->server_name)
		need(wolfSSL_UseSNI(client->ssl, WOLFSSL_SNI_HOST_NAME, options->server_name,
				    (unsigned short)strlen(options->server_name)) ==
			     WOLFSSL_SUCCESS,
		     "server name");
	if (options->protocols) {
		char protocols[64];

		snprintf(protocols, sizeof(protocols), "%s", options->protocols);
		need(wolfSSL_UseALPN(client->ssl, protocols, (unsigned int)strlen(protocols),
				     WOLFSSL_ALPN_CONTINUE_ON_MISMATCH) == WOLFSSL_SUCCESS,
		     "protocols");
	}
	need(tls_client_step(client, NULL, 0) && client->output_size, "ClientHello");
}

void tls_client_done(struct tls_client *client)
{
	wolfSSL_free(client->ssl);
	wolfSSL_CTX_free(client->context);
}

/* Note what came behind the handshake: nothing but a goodbye is expected. */
static bool read_goodbye(struct tls_client *client)
{
	char byte;
	int error, size = wolfSSL_read(client->ssl, &byte, 1);

	if (size > 0)
		return false;
	error = wolfSSL_get_error(client->ssl, size);
	client->said_goodbye = error == WOLFSSL_ERROR_ZERO_RETURN;
	return client->said_goodbye || error == WOLFSSL_ERROR_WANT_READ;
}

bool tls_client_step(struct tls_client *client, const uint8_t *bytes, size_t size)
{
	WOLFSSL_ALERT_HISTORY alerts;
	int result, error;

	client->input = bytes;
	client->input_size = size;
	if (!client->done) {
		result = wolfSSL_connect(client->ssl);
		client->done = result == WOLFSSL_SUCCESS;
		error = wolfSSL_get_error(client->ssl, result);
		if (!client->done && error != WOLFSSL_ERROR_WANT_READ) {
			if (wolfSSL_get_alert_history(client->ssl, &alerts) == WOLFSSL_SUCCESS)
				client->alert = alerts.last_rx.code;
			return false;
		}
	}
	return !client->done || read_goodbye(client);
}
