// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/validator/outcome.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/ssl.h>

static const struct {
	const char *name, *text;
} plain[OUTCOME_ALERT] = {
	[OUTCOME_OK] = {"ok", "validated"},
	[OUTCOME_NO_LOCAL_PORT] =
		{"no_local_port",
		 "this machine has no free port left: closed connections wait for a minute. Use "
		 "--close reset, more --source addresses, or a lower --rate"},
	[OUTCOME_NO_DESCRIPTOR] = {"no_descriptor",
				   "this process may open no more sockets: raise 'ulimit -n' or "
				   "lower --max-open"},
	[OUTCOME_NO_SOURCE] = {"no_source",
			       "an address of --source is not one of this machine's: add it to an "
			       "interface"},
	[OUTCOME_REFUSED] = {"refused", "nothing listens there"},
	[OUTCOME_UNREACHABLE] = {"unreachable", "there is no way to the address, or a firewall "
						"refuses it"},
	[OUTCOME_CONNECT_TIMEOUT] = {"connect_timeout",
				     "no answer to the SYN in time: a firewall, or an overloaded "
				     "listener"},
	[OUTCOME_HANDSHAKE_TIMEOUT] = {"handshake_timeout",
				       "connected, but the handshake did not end in time"},
	[OUTCOME_RESET] = {"reset", "the server reset the connection during the handshake"},
	[OUTCOME_CLOSED] = {"closed", "the server closed the connection during the handshake"},
	[OUTCOME_NOT_TLS] = {"not_tls", "what answered does not speak TLS"},
	[OUTCOME_TLS] = {"tls", "the server broke the TLS protocol, or shares no parameters with "
				"this client"},
	[OUTCOME_NO_ALPN] = {"no_alpn",
			     "the server did not choose acme-tls/1: production answered. "
			     "Is the name armed on this host?"},
	[OUTCOME_NO_CERTIFICATE] = {"no_certificate", "the server sent no certificate"},
	[OUTCOME_CHAIN] = {"chain", "the server sent more than one certificate"},
	[OUTCOME_LOCAL] = {"local", "this machine refused to make the connection"},
};

enum outcome outcome_of_errno(int error)
{
	switch (error) {
	case EADDRNOTAVAIL:
		return OUTCOME_NO_LOCAL_PORT;
	case EMFILE:
	case ENFILE:
		return OUTCOME_NO_DESCRIPTOR;
	case ECONNREFUSED:
		return OUTCOME_REFUSED;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case EACCES:
	case EPERM:
		return OUTCOME_UNREACHABLE;
	case ETIMEDOUT:
		return OUTCOME_CONNECT_TIMEOUT;
	case ECONNRESET:
	case EPIPE:
		return OUTCOME_RESET;
	default:
		return OUTCOME_LOCAL;
	}
}

struct outcome_name outcome_name(enum outcome outcome)
{
	struct outcome_name name;
	const char *alert;
	char *at;

	if (outcome < OUTCOME_ALERT) {
		snprintf(name.text, sizeof(name.text), "%s", plain[outcome].name);
	} else if (outcome >= OUTCOME_CERTIFICATE) {
		snprintf(name.text, sizeof(name.text), "certificate_%s",
			 verify_name((enum verify_result)(outcome - OUTCOME_CERTIFICATE)));
	} else {
		alert = SSL_alert_desc_string_long(outcome - OUTCOME_ALERT);
		snprintf(name.text, sizeof(name.text), "alert_%s", alert);
		if (strcmp(alert, "unknown") == 0) /* to OpenSSL */
			snprintf(name.text, sizeof(name.text), "alert_%d", outcome - OUTCOME_ALERT);
		while ((at = strchr(name.text, ' ')))
			*at = '_';
	}
	return name;
}

const char *outcome_text(enum outcome outcome)
{
	if (outcome < OUTCOME_ALERT)
		return plain[outcome].text;
	if (outcome >= OUTCOME_CERTIFICATE)
		return verify_text((enum verify_result)(outcome - OUTCOME_CERTIFICATE));
	switch (outcome - OUTCOME_ALERT) {
	case SSL_AD_NO_APPLICATION_PROTOCOL:
		return "the server does not speak acme-tls/1: production answered. Is the name "
		       "armed on this host?";
	case SSL_AD_UNRECOGNIZED_NAME:
		return "the server does not know the name: is it armed on this host?";
	default:
		return "the server ended the handshake by this alert";
	}
}
