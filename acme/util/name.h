/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of certificates and accounts, which operators choose and which are file names too. */
#ifndef ACME_UTIL_NAME_H
#define ACME_UTIL_NAME_H

#include <stdbool.h>

#define CERTIFICATE_NAME_MAX 253
#define ACCOUNT_NAME_MAX     64
#define ACCOUNT_DEFAULT      "default"

/* Letters, digits and "._-:", with no dot or hyphen at the beginning. */
bool certificate_name_is_valid(const char *name);

/* Letters, digits, hyphens and underscores, with no hyphen at the beginning. */
bool account_name_is_valid(const char *name);

#endif
