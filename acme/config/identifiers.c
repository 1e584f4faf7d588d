// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/config/identifiers.h"

#include <errno.h>
#include <idn2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "acme/util/failure.h"
#include "acme/util/string_list.h"
#include "acme/crypto/csr.h"

static bool is_ascii(const char *text)
{
	while (*text && (unsigned char)*text < 0x80)
		text++;
	return !*text;
}

int identifiers_parse_one(struct identifier *ret_name, const char *text, struct failure *failure)
{
	enum identifier_error err;
	uint8_t *a_label;
	int result;

	/*
	 * A-labels are taken as they are: the DNS has names that IDNA 2008 would not make, and
	 * certificates are for them.
	 */
	if (is_ascii(text)) {
		err = identifier_parse(ret_name, text);
	} else {
		result = idn2_lookup_u8((const uint8_t *)text, &a_label,
					IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
		if (result) {
			failure_set(failure, NULL, "'%s' is not a valid internationalized name: %s",
				    text, idn2_strerror(result));
			return -1;
		}
		err = identifier_parse(ret_name, (const char *)a_label);
		idn2_free(a_label);
	}
	/* Without a dot: private CAs issue for such names. */
	if (err == IDENTIFIER_OK || err == IDENTIFIER_SINGLE_LABEL)
		return 0;
	failure_set(failure, NULL, "'%s': %s", text, identifier_error_text(err));
	return -1;
}

static bool has_name(const struct identifier *names, size_t count, const char *value)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (strcmp(names[i].value, value) == 0)
			return true;
	return false;
}

/* Add the names of a text, which is cut at its commas. */
static int add_names(struct identifier *names, size_t *count, char *text, struct failure *failure)
{
	struct identifier name;
	char *part;

	while ((part = strsep(&text, ","))) {
		if (identifiers_parse_one(&name, part, failure))
			return -1;
		if (has_name(names, *count, name.value))
			continue;
		if (*count == CSR_NAMES_MAX) {
			failure_set(failure, "spread them over several certificates",
				    "one certificate cannot have more than %d names",
				    CSR_NAMES_MAX);
			return -1;
		}
		names[(*count)++] = name;
	}
	return 0;
}

int identifiers_parse(struct identifier **ret_names, size_t *ret_count, const char *const *texts,
		      size_t text_count, struct failure *failure)
{
	struct identifier *names = calloc(CSR_NAMES_MAX, sizeof(*names));
	size_t count = 0, i;
	char *copy;

	if (!names)
		failure_set_errno(failure, ENOMEM, "reading the names");
	for (i = 0; names && i < text_count; i++) {
		copy = strdup(texts[i]);
		if (!copy)
			failure_set_errno(failure, ENOMEM, "reading the names");
		else
			add_names(names, &count, copy, failure);
		free(copy);
	}
	if (count == 0)
		failure_set(failure, "name at least one with -d", "no name is given");
	if (failure_is_set(failure)) {
		free(names);
		return -1;
	}
	*ret_names = names;
	*ret_count = count;
	return 0;
}

int identifiers_to_list(struct string_list *ret_list, const struct identifier *identifiers,
			size_t count)
{
	size_t i;

	*ret_list = (struct string_list){0};
	for (i = 0; i < count; i++)
		if (string_list_add(ret_list, identifiers[i].value)) {
			string_list_done(ret_list);
			return -ENOMEM;
		}
	return 0;
}
