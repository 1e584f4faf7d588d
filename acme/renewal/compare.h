/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Compares the state with the disk, in steps beside everything else:
 *
 *	a certificate is gone, damaged, or its key does not fit	a new one is due at once
 *	links below live/ are missing				they are made again
 *	another generation is in use than the state knows	the state learns of it, hooks run
 *	what is wanted is not beside the certificate		it is written there (store_wanted.h)
 *
 * Each lineage is read, so that a damaged database is found.
 */
#ifndef ACME_RENEWAL_COMPARE_H
#define ACME_RENEWAL_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

struct compare;
struct failure;
struct loop;
struct paths;
struct state;

/* Between two comparisons. */
#define COMPARE_PAUSE_S 86400

struct compare_options {
	struct loop *loop;
	const struct paths *paths;
	struct state *state;
	/* Something was wrong with a certificate; NULL: with none alone. */
	void (*found)(void *context, const char *name, const struct failure *failure);
	/* All have been compared, or the state cannot be read.  Orders and hooks may be due now. */
	void (*done)(void *context);
	void *context;
};

/* What it is given must outlive it.  0 or -ENOMEM. */
int compare_new(struct compare **ret_compare, const struct compare_options *options);
void compare_free(struct compare *compare);

/* Begin, or begin again. */
void compare_start(struct compare *compare);

/* Whether the last one, by this process or another, is so old that the next is due. */
bool compare_is_due(struct compare *compare);

#endif
