// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/hooks.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acme/renewal/hook_process.h"
#include "acme/renewal/hook_variables.h"
#include "acme/util/failure.h"
#include "acme/net/loop.h"
#include "acme/util/output.h"
#include "acme/util/string_list.h"
#include "common/paths.h"

#define PROGRAM_MAX (PATHS_MAX + 64 + 256)

struct job {
	TAILQ_ENTRY(job) link;
	char *command, *directory, *lineage; /* as in hooks_call */
	struct string_list renewed, failed;
	bool has_renewed, has_failed;
	struct hook_variables variables; /* once the job has begun */
	bool has_begun, is_refused;
	void (*done)(void *context, enum hooks_result result, struct failure *failure);
	void *context;
	struct dirent **programs; /* of a directory */
	int program_count, next; /* -1: the directory has not been read */
	struct failure failure;
};

struct hooks {
	struct loop *loop;
	const struct paths *paths;
	uint32_t timeout_s;
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
	free(job->lineage);
	string_list_done(&job->renewed);
	string_list_done(&job->failed);
	hook_variables_done(&job->variables);
	failure_done(&job->failure);
	free(job);
}

static int copy_text(char **copy, const char *text)
{
	*copy = text ? strdup(text) : NULL;
	return text && !*copy ? -ENOMEM : 0;
}

/* Copy what the call says. */
static int job_fill(struct job *job, const struct hooks_call *call)
{
	job->done = call->done;
	job->context = call->context;
	job->has_renewed = call->renewed;
	job->has_failed = call->failed;
	if (copy_text(&job->command, call->command) ||
	    copy_text(&job->directory, call->directory) ||
	    copy_text(&job->lineage, call->lineage) ||
	    (call->renewed && string_list_append(&job->renewed, call->renewed)) ||
	    (call->failed && string_list_append(&job->failed, call->failed)))
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
	enum hooks_result result = job->is_refused                 ? HOOKS_REFUSED
				   : failure_is_set(&job->failure) ? HOOKS_FAILED
								   : HOOKS_DONE;

	TAILQ_REMOVE(&hooks->jobs, job, link);
	if (!TAILQ_EMPTY(&hooks->jobs))
		loop_timer_start(hooks->loop, &hooks->timer, 0, hooks_step, hooks);
	job->done(job->context, result, &job->failure);
	call_free(job);
}

/* --- one program ------------------------------------------------------------------------------ */

/* What a hook may do is what this process may: under the shipped unit that is little. */
static const char *next_step_of_failure(void)
{
	if (getenv("INVOCATION_ID") && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return "read what it says above. The service may not become root, write outside of "
		       "/var/lib/sidestep, or see /home, /root and /tmp, and neither may its hooks: "
		       "`systemctl edit sidestep`, [Service], with ReadWritePaths=, ProtectHome=no, "
		       "SupplementaryGroups= or User=root lifts that. The hooks run again later";
	return "correct the hook: the certificate is in place, and the hooks run again later "
	       "(`sidestep plan`)";
}

static void explain_end(const struct hooks *hooks, struct job *job,
			const struct hook_process_end *end)
{
	struct failure *failure = &job->failure;
	const char *next_step = next_step_of_failure();

	if (end->is_late) {
		failure_set(failure, "make it faster, or give it more time with hook-timeout",
			    "the hook was ended, as it took more than %u s: %s", hooks->timeout_s,
			    hooks->program);
	} else if (end->signal) {
		failure_set(failure, next_step, "the hook was ended by signal %d: %s", end->signal,
			    hooks->program);
	} else if (end->status == HOOKS_STATUS_REFUSED && job->directory) {
		/* This counts for more than the failure of another hook. */
		if (!job->is_refused)
			failure_done(failure);
		job->is_refused = true;
		failure_set(failure, "correct what it reports above",
			    "the configuration test failed, says the hook %s", hooks->program);
	} else if (end->status) {
		failure_set(failure, next_step, "the hook failed with status %d: %s", end->status,
			    hooks->program);
	}
}

static void on_program_end(void *context, const struct hook_process_end *end)
{
	struct hooks *hooks = context;

	hooks->process = NULL;
	explain_end(hooks, TAILQ_FIRST(&hooks->jobs), end);
	hooks_step(hooks);
}

/* Files are made for calls that are about many names.  0 or -errno. */
static int job_begin(struct hooks *hooks, struct job *job)
{
	if (job->has_begun)
		return 0;
	job->has_begun = true;
	return hook_variables_fill(&job->variables, hooks->paths, job->lineage,
				   job->has_renewed ? &job->renewed : NULL,
				   job->has_failed ? &job->failed : NULL, !job->lineage);
}

/* 0 or -errno. */
static int program_start(struct hooks *hooks, struct job *job, const char *program,
			 char *const arguments[])
{
	const struct hook_process_options options = {.loop = hooks->loop,
						     .program = program,
						     .arguments = arguments,
						     .variables = job->variables.items,
						     .time_max_s = hooks->timeout_s,
						     .ended = on_program_end,
						     .context = hooks};
	int err = job_begin(hooks, job);

	if (!err)
		err = hook_process_start(&hooks->process, &options);
	if (err != -E2BIG)
		return err;
	/* The environment is long for another reason: the lists are in their files. */
	err = hook_variables_shorten(&job->variables);
	return err ? err : hook_process_start(&hooks->process, &options);
}

/* --- one call --------------------------------------------------------------------------------- */

/* Copies of editors and package managers are no hooks: run-parts(8) leaves them out, too. */
static int is_program(const struct dirent *entry)
{
	static const char *const ends[] = {".dpkg-old", ".dpkg-new", ".dpkg-dist", ".dpkg-tmp",
					   ".dpkg-bak", ".ucf-old",  ".ucf-new",   ".ucf-dist",
					   ".rpmsave",  ".rpmnew",   ".rpmorig",   ".bak",
					   ".orig",     ".swp",      ".tmp",       ".disabled"};
	const char *name = entry->d_name, *c;
	size_t length = strlen(name), i, end;

	for (c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("_-.", *c))
			return 0;
	for (i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		end = strlen(ends[i]);
		if (length > end && strcmp(name + length - end, ends[i]) == 0)
			return 0;
	}
	return name[0] != '.';
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

static void explain_start(const struct hooks *hooks, struct job *job, int err)
{
	const char *what = job->command ? job->command : hooks->program;

	if (err == ENOENT || err == ENOEXEC)
		failure_set(&job->failure,
			    "its first line must name a program that is there, such as #!/bin/sh",
			    "cannot run the hook %s: %s", what, strerror(err));
	else
		failure_set_errno(&job->failure, err, "cannot run the hook %s", what);
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
			explain_start(hooks, job, -result);
	} while (result < 0 && job->next < job->program_count);
	if (result != 1)
		end_job(hooks, job);
}

/* --- before it is needed ------------------------------------------------------------------------ */

int hooks_judge(const char *command, struct failure *failure)
{
	size_t length = strcspn(command, " \t\n;&|<>()$`\\\"'*?[#~=%");
	char *program;
	int err = 0;

	/* A word that the shell changes before it is a path, or no path at all. */
	if (strchr(" \t\n;&|<>", command[length]) == NULL || !memchr(command, '/', length))
		return 0;
	program = strndup(command, length);
	if (!program) {
		failure_set_errno(failure, ENOMEM, "looking for the hook");
		return -1;
	}
	if (program[0] != '/')
		failure_set(failure, "write the hook's path from / on",
			    "the hook %s is a relative path", program);
	else if (access(program, X_OK))
		err = errno;
	if (err == ENOENT || err == ENOTDIR)
		failure_set(failure, "correct the path, or install the program",
			    "the hook %s does not exist", program);
	else if (err == EACCES)
		failure_set(failure,
			    "make it executable (chmod +x), and its directories accessible for the "
			    "user that runs this",
			    "the hook %s cannot be run", program);
	else if (err)
		failure_set_errno(failure, err, "cannot look at the hook %s", program);
	free(program);
	return failure_is_set(failure) ? -1 : 0;
}

/* --- as a whole ------------------------------------------------------------------------------- */

int hooks_new(struct hooks **ret_hooks, struct loop *loop, const struct paths *paths,
	      uint32_t timeout_s)
{
	struct hooks *hooks = calloc(1, sizeof(*hooks));

	if (!hooks)
		return -ENOMEM;
	hooks->loop = loop;
	hooks->paths = paths;
	hooks->timeout_s = timeout_s;
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

void hooks_set_timeout(struct hooks *hooks, uint32_t timeout_s)
{
	hooks->timeout_s = timeout_s;
}

bool hooks_are_idle(const struct hooks *hooks)
{
	return TAILQ_EMPTY(&hooks->jobs);
}
