/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Public CAs by name, which need no section in the configuration. */
#ifndef ACME_CONFIG_KNOWN_CAS_H
#define ACME_CONFIG_KNOWN_CAS_H

#include <stdbool.h>

/* For messages: all names. */
#define KNOWN_CA_NAMES                                                                 \
	"letsencrypt, letsencrypt-staging, zerossl, google, google-staging, buypass, " \
	"buypass-staging, ssl.com, ssl.com-rsa, actalis"

/* The directory URL of the CA of this name, or the name of the CA with this URL; NULL: unknown. */
const char *known_ca_url(const char *name);
const char *known_ca_name(const char *url);

/* The directory URL of this CA's staging environment; NULL: unknown, or it has none. */
const char *known_ca_staging(const char *url);

/* Whether the URL is that of a staging environment, whose certificates nobody trusts. */
bool known_ca_is_staging(const char *url);

#endif
