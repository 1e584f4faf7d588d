/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a hook learns by its environment: RENEWED_LINEAGE, RENEWED_DOMAINS and FAILED_DOMAINS, as
 * Certbot gives them.  Lists of any length are also in files, one name a line: RENEWED_DOMAINS_FILE
 * and FAILED_DOMAINS_FILE.  A list that is too long for the kernel is in the file only.
 */
#ifndef ACME_RENEWAL_HOOK_VARIABLES_H
#define ACME_RENEWAL_HOOK_VARIABLES_H

#include <stdbool.h>
#include <stddef.h>

struct paths;
struct string_list;

#define HOOK_VARIABLES 5

struct hook_variables {
	char *items[HOOK_VARIABLES + 1]; /* for hook_process_options */
	char *files[2]; /* full paths; NULL: none */
};

/*
 * A list of NULL is not set.  Files, which need a write to the state directory, are made when
 * `with_files`, or when a list is too long.  0 or -errno: nothing is left.
 */
int hook_variables_fill(struct hook_variables *ret_variables, const struct paths *paths,
			const char *lineage, const struct string_list *renewed,
			const struct string_list *failed, bool with_files);

/* The kernel refused their length (E2BIG): leave the lists to their files.  0 or -errno. */
int hook_variables_shorten(struct hook_variables *variables);

/* Removes the files, too. */
void hook_variables_done(struct hook_variables *variables);

#endif
