/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The run itself: threads that start validations when they are due, wait for all at
 * once, and count.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

struct load;
struct settings;
struct tally;

/* Now, of all threads.  `open` are on their way. */
struct load_progress {
	uint64_t started, validated, failed, open;
	uint64_t elapsed_ns;
	bool over; /* nothing is open, and nothing more will be started */
};

/* Start the threads; `settings` must outlive the load.  0 or -errno. */
int load_start(struct load **ret_load, const struct settings *settings);
struct load_progress load_progress(const struct load *load);
/* Start no more; what is open comes to its end. */
void load_stop(struct load *load);
/*
 * Wait for the end, and add up into `tally`, which must be empty.  ret_elapsed_ns: from
 * the start until the last one ended.  0, or -errno when a thread could not go on.
 */
int load_finish(struct load *load, struct tally *tally, uint64_t *ret_elapsed_ns);
void load_free(struct load *load); /* after load_finish() */

#endif
