// SPDX-License-Identifier: GPL-3.0-or-later
/* Replaces acme/renewal/hook_process.c: the world says what a hook does and how it ends. */
#include "acme/renewal/hook_process.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "acme/net/loop.h"
#include "tests/sim/internal.h"

#define KILL_AFTER_S 10

struct program {
	struct sim_hook hook; /* first: the world has its address */
	struct hook_process *process; /* NULL: nobody waits for its end */
	char *path;
	char **arguments, **variables;
};

struct hook_process {
	struct loop *loop;
	struct timer timer; /* the time limit, then the report of the end */
	struct program *program; /* NULL: it has ended */
	struct hook_process_end end;
	void (*ended)(void *context, const struct hook_process_end *end);
	void *context;
};

static char **copy_list(char *const *list)
{
	size_t count = 0, i;
	char **copy;

	while (list[count])
		count++;
	copy = calloc(count + 1, sizeof(*copy));
	for (i = 0; copy && i < count; i++)
		copy[i] = strdup(list[i]);
	if (!copy)
		abort();
	return copy;
}

static void free_list(char **list)
{
	size_t i;

	for (i = 0; list[i]; i++)
		free(list[i]);
	free(list);
}

static void program_free(struct program *program)
{
	free_list(program->arguments);
	free_list(program->variables);
	free(program->path);
	free(program);
}

static void on_process_end(void *context)
{
	struct hook_process *process = context, ended = *process;

	seam(SIM_HOOK, NULL);
	hook_process_free(process);
	ended.ended(ended.context, &ended.end);
}

/* SIGKILL ends it, whatever the world has in mind. */
static void on_process_killed(void *context)
{
	struct hook_process *process = context;

	process->program->process = NULL;
	process->program = NULL;
	process->end.signal = SIGKILL;
	on_process_end(process);
}

static void on_process_late(void *context)
{
	struct hook_process *process = context;

	process->program->hook.is_late = process->end.is_late = true;
	loop_timer_start(process->loop, &process->timer, KILL_AFTER_S * SIM_SECOND,
			 on_process_killed, process);
}

static int start_program(struct program *program)
{
	const struct sim_world *world = world_of();
	struct sim_process *process = process_step_out();
	int err = world->hook(world->context, &program->hook);

	sim_log("%s: hook %s: %s", sim_name(process), program->hook.program,
		err ? strerror(-err) : "starts");
	process_step_in(process);
	return err;
}

int hook_process_start(struct hook_process **ret_process,
		       const struct hook_process_options *options)
{
	struct hook_process *process = calloc(1, sizeof(*process));
	struct program *program = calloc(1, sizeof(*program));
	int err;

	if (!process || !program)
		abort();
	program->process = process;
	program->path = strdup(options->program);
	program->arguments = copy_list(options->arguments);
	program->variables = copy_list(options->variables);
	program->hook = (struct sim_hook){.from = sim_current(),
					  .program = program->path,
					  .arguments = program->arguments,
					  .variables = program->variables};
	process->loop = options->loop;
	process->program = program;
	process->ended = options->ended;
	process->context = options->context;
	err = -seam(SIM_HOOK, options->program);
	if (!err)
		err = start_program(program);
	if (err) {
		program_free(program);
		free(process);
		return err;
	}
	loop_timer_start(process->loop, &process->timer, options->time_max_s * SIM_SECOND,
			 on_process_late, process);
	*ret_process = process;
	return 0;
}

void hook_process_free(struct hook_process *process)
{
	if (!process)
		return;
	loop_timer_stop(process->loop, &process->timer);
	if (process->program)
		process->program->process = NULL;
	free(process);
}

const char *sim_hook_variable(const struct sim_hook *hook, const char *name)
{
	size_t length = strlen(name), i;

	for (i = 0; hook->variables[i]; i++)
		if (strncmp(hook->variables[i], name, length) == 0 &&
		    hook->variables[i][length] == '=')
			return hook->variables[i] + length + 1;
	return NULL;
}

void sim_hook_end(struct sim_hook *hook, int status, int signal)
{
	struct program *program = (struct program *)hook;
	struct hook_process *process = program->process;

	sim_log("hook %s: ends with %s %d", hook->program, signal ? "signal" : "status",
		signal ? signal : status);
	if (process && process_is_alive(hook->from)) {
		process->end.status = status;
		process->end.signal = signal;
		process->program = NULL;
		loop_timer_start(process->loop, &process->timer, 0, on_process_end, process);
	}
	program_free(program);
}
