// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/hooks.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acme/renewal/hook_process.h"
#include "acme/util/failure.h"
#include "acme/net/loop.h"
#include "acme/util/output.h"
#include "acme/util/string_list.h"
#include "common/paths.h"

#define VARIABLES   3
#define PROGRAM_MAX (PATHS_MAX + 64 + 256)

struct job {
	TAILQ_ENTRY(job) link;
	char *command, *directory; /* as in hooks_call */
	char *variables[VARIABLES + 1]; /* as in hook_process_options */
	void (*done)(void *context, struct failure *failure);
	void *context;
	struct dirent **programs; /* of a directory */
	int program_count, next; /* -1: the directory has not been read */
	struct failure failure;
};

struct hooks {
	struct loop *loop;
	const struct paths *paths;
	TAILQ_HEAD(job_list, job) jobs; /* the first is under way */
	struct timer timer; /* begins the first job */
	struct hook_process *process; /* NULL: no program runs */
	char program[PROGRAM_MAX]; /* that runs, for messages */
};

static void hooks_step(void *context);

/* --- jobs ------------------------------------------------------------------------------------- */

static void call_free(struct job *job)
{
	while (job->program_count > 0)
		free(job->programs[--job->program_count]);
	free(job->programs);
	free(job->command);
	free(job->directory);
	for (size_t i = 0; i < VARIABLES; i++)
		free(job->variables[i]);
	failure_done(&job->failure);
	free(job);
}

/* Make "NAME=VALUE", or "NAME", which is taken out of the environment.  0 or -ENOMEM. */
static int set_variable(char **variable, const char *name, const char *value)
{
	if (asprintf(variable, "%s%s%s", name, value ? "=" : "", value ? value : "") >= 0)
		return 0;
	*variable = NULL;
	return -ENOMEM;
}

static int set_domains(char **variable, const char *name, const struct string_list *domains)
{
	char *text;
	int err;

	if (!domains)
		return set_variable(variable, name, NULL);
	text = string_list_join(domains, ' ');
	err = text ? set_variable(variable, name, text) : -ENOMEM;
	free(text);
	return err;
}

/* Copy what the call says. */
static int job_fill(struct job *job, const struct hooks_call *call)
{
	job->done = call->done;
	job->context = call->context;
	job->command = call->command ? strdup(call->command) : NULL;
	job->directory = call->directory ? strdup(call->directory) : NULL;
	if ((call->command && !job->command) || (call->directory && !job->directory) ||
	    set_variable(&job->variables[0], "RENEWED_LINEAGE", call->lineage) ||
	    set_domains(&job->variables[1], "RENEWED_DOMAINS", call->renewed) ||
	    set_domains(&job->variables[2], "FAILED_DOMAINS", call->failed))
		return -ENOMEM;
	return 0;
}

int hooks_run(struct hooks *hooks, const struct hooks_call *call)
{
	struct job *job = calloc(1, sizeof(*job));
	bool is_first = TAILQ_EMPTY(&hooks->jobs);

	if (!job)
		return -ENOMEM;
	job->program_count = job->next = -1;
	if (job_fill(job, call)) {
		call_free(job);
		return -ENOMEM;
	}
	TAILQ_INSERT_TAIL(&hooks->jobs, job, link);
	if (is_first)
		loop_timer_start(hooks->loop, &hooks->timer, 0, hooks_step, hooks);
	return 0;
}

static void end_job(struct hooks *hooks, struct job *job)
{
	TAILQ_REMOVE(&hooks->jobs, job, link);
	if (!TAILQ_EMPTY(&hooks->jobs))
		loop_timer_start(hooks->loop, &hooks->timer, 0, hooks_step, hooks);
	job->done(job->context, &job->failure);
	call_free(job);
}

/* --- one program ------------------------------------------------------------------------------ */

static void explain_end(const struct hooks *hooks, const struct hook_process_end *end,
			struct failure *failure)
{
	const char *next_step =
		"correct the hook, then run it by hand: the certificate is in place";

	if (end->is_late)
		failure_set(failure, next_step, "the hook was ended, as it took more than %d s: %s",
			    HOOKS_TIME_MAX_S, hooks->program);
	else if (end->signal)
		failure_set(failure, next_step, "the hook was ended by signal %d: %s", end->signal,
			    hooks->program);
	else if (end->status)
		failure_set(failure, next_step, "the hook failed with status %d: %s", end->status,
			    hooks->program);
}

static void on_program_end(void *context, const struct hook_process_end *end)
{
	struct hooks *hooks = context;

	hooks->process = NULL;
	explain_end(hooks, end, &TAILQ_FIRST(&hooks->jobs)->failure);
	hooks_step(hooks);
}

/* 0 or -errno. */
static int program_start(struct hooks *hooks, const struct job *job, const char *program,
			 char *const arguments[])
{
	const struct hook_process_options options = {.loop = hooks->loop,
						     .program = program,
						     .arguments = arguments,
						     .variables = job->variables,
						     .time_max_s = HOOKS_TIME_MAX_S,
						     .ended = on_program_end,
						     .context = hooks};

	return hook_process_start(&hooks->process, &options);
}

/* --- one call --------------------------------------------------------------------------------- */

static int is_program(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Who may write it may do all that we may. */
static bool may_be_run(const char *path)
{
	struct stat status;

	if (stat(path, &status) || !S_ISREG(status.st_mode) || access(path, X_OK))
		return false;
	if ((status.st_uid == 0 || status.st_uid == geteuid()) &&
	    !(status.st_mode & (S_IWGRP | S_IWOTH)))
		return true;
	output_warning("%s is not run: others than its owner, root or this user, may write it "
		       "(chmod go-w, chown)",
		       path);
	return false;
}

/* 1: a program runs; 0: none is left; -errno. */
static int start_next_program(struct hooks *hooks, struct job *job)
{
	char path[PATHS_MAX + 64];
	char *arguments[] = {hooks->program, NULL};
	int err;

	snprintf(path, sizeof(path), "%s/renewal-hooks/%s", hooks->paths->conf, job->directory);
	if (job->next < 0) {
		job->program_count = scandir(path, &job->programs, is_program, by_bytes);
		job->next = 0;
		if (job->program_count < 0 && errno != ENOENT)
			return -errno;
	}
	while (job->next < job->program_count) {
		snprintf(hooks->program, sizeof(hooks->program), "%s/%s", path,
			 job->programs[job->next++]->d_name);
		if (!may_be_run(hooks->program))
			continue;
		err = program_start(hooks, job, hooks->program, arguments);
		return err ? err : 1;
	}
	return 0;
}

/* The same for a command. */
static int start_command(struct hooks *hooks, struct job *job)
{
	char *const arguments[] = {"sh", "-c", job->command, NULL};
	int err;

	if (job->next == 0)
		return 0;
	job->next = 0;
	snprintf(hooks->program, sizeof(hooks->program), "%s", job->command);
	err = program_start(hooks, job, "/bin/sh", arguments);
	return err ? err : 1;
}

/* Run the first job's next program, or end it. */
static void hooks_step(void *context)
{
	struct hooks *hooks = context;
	struct job *job = TAILQ_FIRST(&hooks->jobs);
	int result;

	do {
		result = job->command ? start_command(hooks, job) : start_next_program(hooks, job);
		if (result < 0)
			failure_set_errno(&job->failure, -result, "cannot run the hook %s",
					  job->command ? job->command : hooks->program);
	} while (result < 0 && job->next < job->program_count);
	if (result != 1)
		end_job(hooks, job);
}

/* --- as a whole ------------------------------------------------------------------------------- */

int hooks_new(struct hooks **ret_hooks, struct loop *loop, const struct paths *paths)
{
	struct hooks *hooks = calloc(1, sizeof(*hooks));

	if (!hooks)
		return -ENOMEM;
	hooks->loop = loop;
	hooks->paths = paths;
	TAILQ_INIT(&hooks->jobs);
	*ret_hooks = hooks;
	return 0;
}

void hooks_free(struct hooks *hooks)
{
	struct job *job;

	if (!hooks)
		return;
	loop_timer_stop(hooks->loop, &hooks->timer);
	hook_process_free(hooks->process);
	while ((job = TAILQ_FIRST(&hooks->jobs))) {
		TAILQ_REMOVE(&hooks->jobs, job, link);
		call_free(job);
	}
	free(hooks);
}

bool hooks_are_idle(const struct hooks *hooks)
{
	return TAILQ_EMPTY(&hooks->jobs);
}
