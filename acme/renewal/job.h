/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One certificate's order, from the moment at which it is taken to its end in the state.  The engine
 * owns the jobs.  What ends a job is in the state before `ended` is called; while that cannot be written the job
 * stays, and job_write_again() tries again, so that no end is forgotten.
 */
#ifndef ACME_RENEWAL_JOB_H
#define ACME_RENEWAL_JOB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct ca_pool;
struct challenge_table;
struct engine_result;
struct failure;
struct issue_env;
struct job;
struct loop;
struct scheduler;
struct settings;
struct state;
struct state_lineage;

TAILQ_HEAD(jobs, job);

/* What all jobs of an engine use, and whom they tell. */
struct job_env {
	const struct settings *settings; /* those of now */
	struct loop *loop;
	struct ca_pool *ca_pool;
	struct state *state;
	struct scheduler *scheduler;
	const struct issue_env *issue_env;
	bool shows_progress;
	/* Called once, perhaps within job_begin(): the state has what follows.  Not the place for
	   job_free(). */
	void (*ended)(void *context, struct job *job, const struct engine_result *result);
	/* This host's clock is so far ahead of the CA's; negative: behind. */
	void (*clock_differs)(void *context, const char *server, int64_t ahead_s);
	/* What follows cannot be written now. */
	void (*stuck)(void *context, struct job *job);
	void *context;
};

/*
 * Read the lineage, and what its last process has left.  `is_chosen`: somebody asks for it, so limits
 * do not hold it back.  0; -ENOENT: there is no such lineage; or -errno of the state, or -ENOMEM.
 */
int job_new(struct job **ret_job, const struct job_env *env, int64_t lineage, bool is_chosen);

/* Nothing stays armed or half-written.  Not within a callback of the job. */
void job_free(struct job *job);

/* The same, but a later process can resume the order. */
void job_suspend(struct job *job);

/* It may end before this returns. */
void job_begin(struct job *job);

/* It has ended, and what follows is not written: try again.  True: `ended` was called. */
bool job_write_again(struct job *job);
bool job_is_unwritten(const struct job *job);

/* Call `ended` all the same: the next process finds the order in flight, and what came of it. */
void job_give_up(struct job *job);

/* As it was when the job was made. */
const struct state_lineage *job_lineage(const struct job *job);

/* Lists of jobs: each is in one at most. */
void jobs_add(struct jobs *jobs, struct job *job);
void jobs_remove(struct jobs *jobs, struct job *job);
struct job *jobs_next(const struct jobs *jobs, const struct job *job); /* NULL: the first */

#endif
