// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/config/known_cas.h"

#include <stddef.h>
#include <string.h>

/*
 * Where a CA has a directory for each type of key, its name means the one for ECDSA, our default.
 * What else is particular to a CA (its terms, an external account binding, profiles) its directory
 * says itself.
 */
static const struct known_ca {
	const char *name, *url;
	const char *staging; /* the name of its staging environment; NULL: it has none */
	bool is_staging;
} cas[] = {
	{"letsencrypt", "https://acme-v02.api.letsencrypt.org/directory", "letsencrypt-staging",
	 false},
	{"letsencrypt-staging", "https://acme-staging-v02.api.letsencrypt.org/directory", NULL,
	 true},
	{"zerossl", "https://acme.zerossl.com/v2/DV90", NULL, false},
	{"google", "https://dv.acme-v02.api.pki.goog/directory", "google-staging", false},
	{"google-staging", "https://dv.acme-v02.test-api.pki.goog/directory", NULL, true},
	{"buypass", "https://api.buypass.com/acme/directory", "buypass-staging", false},
	{"buypass-staging", "https://api.test4.buypass.no/acme/directory", NULL, true},
	{"ssl.com", "https://acme.ssl.com/sslcom-dv-ecc", NULL, false},
	{"ssl.com-rsa", "https://acme.ssl.com/sslcom-dv-rsa", NULL, false},
	{"actalis", "https://acme-api.actalis.com/acme/directory", NULL, false},
};

#define COUNT (sizeof(cas) / sizeof(*cas))

static const struct known_ca *find_by_url(const char *url)
{
	size_t i;

	for (i = 0; i < COUNT; i++)
		if (strcmp(cas[i].url, url) == 0)
			return &cas[i];
	return NULL;
}

const char *known_ca_url(const char *name)
{
	size_t i;

	for (i = 0; i < COUNT; i++)
		if (strcmp(cas[i].name, name) == 0)
			return cas[i].url;
	return NULL;
}

const char *known_ca_name(const char *url)
{
	const struct known_ca *ca = find_by_url(url);

	return ca ? ca->name : NULL;
}

const char *known_ca_staging(const char *url)
{
	const struct known_ca *ca = find_by_url(url);

	return ca && ca->staging ? known_ca_url(ca->staging) : NULL;
}

bool known_ca_is_staging(const char *url)
{
	const struct known_ca *ca = find_by_url(url);

	return ca && ca->is_staging;
}
