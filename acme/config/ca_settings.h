/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What can be set for a CA and for the account there. */
#ifndef ACME_CONFIG_CA_SETTINGS_H
#define ACME_CONFIG_CA_SETTINGS_H

#include "acme/util/setting.h"

/*
 * The settings that several places may give.
 *
 *	X(KIND, member, "name", sections)
 *
 * `sections` is ONLY_CA, ALSO_DEFAULT for [ca] and [sidestep], or ALSO_ANYWHERE.
 */
#define CA_SETTINGS(X)                                           \
	X(PATH, cacert, "cacert", ALSO_DEFAULT)                  \
	X(TEXT, email, "email", ALSO_DEFAULT)                    \
	X(TEXT, account, "account", ALSO_ANYWHERE)               \
	X(TEXT, eab_kid, "eab-kid", ONLY_CA)                     \
	X(PATH, eab_hmac_key_file, "eab-hmac-key-file", ONLY_CA) \
	X(FLAG, agree_tos, "agree-tos", ALSO_DEFAULT)

/* The values that hold. */
struct ca_settings {
	CA_SETTINGS(SETTING_VALUE)
};

/* What one place gives. */
struct ca_settings_given {
	CA_SETTINGS(SETTING_GIVEN)
};

#endif
