/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * In memory: the certificates that the state has of the configuration, and how those that the
 * configuration names now differ from them.  For a million of each: no call takes longer than some
 * milliseconds.
 *
 * A digest stands for all that one place of the configuration says of a certificate.
 */
#ifndef ACME_RENEWAL_WANTED_H
#define ACME_RENEWAL_WANTED_H

#include <stddef.h>
#include <stdint.h>

struct wanted;

/* A certificate that is new, or changed. */
struct wanted_change {
	const char *name;
	const char *identifiers; /* with blanks between */
	size_t section; /* the caller's number */
	int64_t digest;
};

/* Each int is 0 or -ENOMEM, unless it says more. */

int wanted_new(struct wanted **ret_wanted);
void wanted_free(struct wanted *wanted);

/* Known to the state; all of these come first. */
int wanted_add_known(struct wanted *wanted, int64_t id, int64_t digest, const char *name);

/* The configuration has something of this digest.  1: it is known; 0: it is not; -EEXIST: the
 * configuration has named the same certificate before. */
int wanted_keep(struct wanted *wanted, int64_t digest);

/* The configuration has this, which is not known so.  -EEXIST: likewise. */
int wanted_add_change(struct wanted *wanted, const struct wanted_change *change);

/* How many are known, are new or changed, are known and were not named, and were named. */
size_t wanted_known(const struct wanted *wanted);
size_t wanted_changed(const struct wanted *wanted);
size_t wanted_gone(const struct wanted *wanted);
size_t wanted_named(const struct wanted *wanted);

/* To be called when all are added, until it returns 0: sorts a part of the changes by name.  1: there
 * is more. */
int wanted_sort(struct wanted *wanted);

/* The next change, in the order of their names; NULL: that was the last. */
const struct wanted_change *wanted_next_change(struct wanted *wanted);

/* The next that has gone: the id in the state, and its name.  0: that was the last. */
int64_t wanted_next_gone(struct wanted *wanted, const char **ret_name);

#endif
