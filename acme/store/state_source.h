/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the state has of a source (certificate_spec.source), for comparing it with what the source
 * names now.  The caller may do so in steps, each with a batch of its own.
 */
#ifndef ACME_STORE_STATE_SOURCE_H
#define ACME_STORE_STATE_SOURCE_H

#include <stddef.h>
#include <stdint.h>

struct state;

struct state_source_row {
	int64_t id;
	int64_t digest; /* certificate_spec.digest */
	const char *name; /* lives until the callback returns */
};

/*
 * Look at the next `max` rows behind *last_id (0: the first), and give those that are of the source
 * and not retired to `each`.  *last_id becomes that of the last row; 0: there is no more.  0 or
 * -errno, or what `each` returned.
 */
int state_source_rows(struct state *state, const char *source, int64_t *last_id, size_t max,
		      int (*each)(void *context, const struct state_source_row *row),
		      void *context);

/*
 * Around a batch of many that need not be on the disk when it ends, but when a later batch is: a power
 * cut leaves what a killed process would.  `err` is what the batch's writes returned: 0 commits.  The
 * log of such batches grows until state_source_checkpoint() moves it into the database, which takes as
 * long as the disk does: after some thousand rows, in a turn of its own.
 */
int state_source_begin(struct state *state);
int state_source_end(struct state *state, int err);
int state_source_checkpoint(struct state *state);

/* The source names this lineage no longer; one that is of another source by now stays as it is. */
int state_source_retire(struct state *state, const char *source, int64_t id);

#endif
