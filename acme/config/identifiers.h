/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The names that a certificate is wanted for, as the user gave them. */
#ifndef ACME_CONFIG_IDENTIFIERS_H
#define ACME_CONFIG_IDENTIFIERS_H

#include <stddef.h>

#include "common/identifier.h"

struct failure;
struct string_list;

/*
 * Parse `texts`, each a name or several with commas between.  A name that is there twice counts once.
 * *ret_names is a new array of 1 to CSR_NAMES_MAX.  0, or -1 with `failure` filled in.
 */
int identifiers_parse(struct identifier **ret_names, size_t *ret_count, const char *const *texts,
		      size_t text_count, struct failure *failure);

/* The names as texts, for string_list_done().  0, or -ENOMEM with an empty list. */
int identifiers_to_list(struct string_list *ret_list, const struct identifier *identifiers,
			size_t count);

/* Parse one name.  0, or -1 with `failure` filled in. */
int identifiers_parse_one(struct identifier *ret_name, const char *text, struct failure *failure);

#endif
