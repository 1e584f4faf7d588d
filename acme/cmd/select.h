/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which certificates a verb is for: those that are named, or those that a filter finds. */
#ifndef ACME_CMD_SELECT_H
#define ACME_CMD_SELECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arguments;
struct failure;
struct settings;
struct state;
struct state_lineage;

struct selection {
	const char *const *names;
	size_t name_count; /* 0: by the filter */
	const char *ca; /* directory URL: would be asked next; NULL: any */
	const char *tenant; /* NULL: any */
	bool failed; /* only those whose last attempt failed, or that are paused */
};

/* Of the command line.  0, or -1 with `failure` filled in: there is no such CA. */
int select_begin(struct selection *ret_selection, const struct arguments *arguments,
		 const struct settings *settings, struct failure *failure);

/* Whether anything narrows the selection down. */
bool select_is_some(const struct selection *selection);

bool select_has(const struct selection *selection, const struct state_lineage *lineage);

/*
 * The ids of all that are selected, a new array for free().  0, or -1 with `failure` filled in: a name
 * is not known, or the state cannot be read.
 */
int select_ids(const struct selection *selection, struct state *state, int64_t **ret_ids,
	       size_t *ret_count, struct failure *failure);

#endif
