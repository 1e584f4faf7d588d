// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Simulated processes: coroutines that run sidestep_main().  A process runs until it waits for
 * something; then the next event has its turn.  kill -9 is: it is never resumed.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <ucontext.h>
#include <unistd.h>

#include "acme/cmd/sidestep.h"
#include "acme/util/output.h"
#include "common/clock.h"
#include "tests/sim/internal.h"

#define STACK_SIZE     (1024 * 1024)
#define ARGUMENTS_MAX  32
#define FIRST_PID      1000
#define REPORT_SIZE    2000
#define PATIENCE_TURNS 2000000 /* of one process at one moment: it turns in circles */

/* What a process has written. */
struct text {
	char *bytes; /* ends in a zero */
	size_t size, capacity;
};

struct sim_process {
	TAILQ_ENTRY(sim_process) link;
	char *name;
	pid_t pid;
	char *arguments[ARGUMENTS_MAX + 4];
	int argument_count;
	ucontext_t context; /* to begin with */
	jmp_buf place; /* where it goes on: unlike swapcontext(3) without a call of the kernel */
	bool has_begun;
	void *stack; /* NULL: it has ended */
	struct sim_event *wake; /* NULL: nothing will wake it */
	uint64_t caught, pending; /* signals, 1 << number each */
	uint64_t seams, kill_at;
	uint64_t turn_ns, turns; /* how often it ran at one moment */
	bool is_over; /* it will not be resumed */
	int status;
	FILE *out; /* its stdout, which writes to process_write() */
	struct text out_text, err_text;
	struct output_state output;
};

TAILQ_HEAD(process_list, sim_process);

static struct {
	const struct sim_world *world;
	struct process_list processes;
	struct sim_process *current; /* NULL while the world answers it, too */
	struct sim_process *on_cpu;
	jmp_buf outside;
	FILE *out; /* the runner's stdout */
	pid_t last_pid;
	unsigned int verbs;
} sim;

const struct sim_world *world_of(void)
{
	return sim.world;
}

struct sim_process *sim_current(void)
{
	return sim.current;
}

bool process_is_alive(const struct sim_process *process)
{
	return process->stack != NULL;
}

bool sim_is_running(const struct sim_process *process)
{
	return process_is_alive(process);
}

const char *sim_name(const struct sim_process *process)
{
	return process->name;
}

pid_t process_pid(const struct sim_process *process)
{
	return process->pid;
}

int sim_status(const struct sim_process *process)
{
	return process->status;
}

const char *sim_output(const struct sim_process *process)
{
	fflush(process->out);
	return process->out_text.bytes;
}

const char *sim_errors(const struct sim_process *process)
{
	return process->err_text.bytes;
}

void sim_forget_output(struct sim_process *process)
{
	fflush(process->out);
	process->out_text.size = process->err_text.size = 0;
	process->out_text.bytes[0] = process->err_text.bytes[0] = '\0';
}

uint64_t sim_process_seams(const struct sim_process *process)
{
	return process->seams;
}

void sim_kill_at(struct sim_process *process, uint64_t number)
{
	process->kill_at = number;
}

uint64_t process_count_seam(struct sim_process *process)
{
	if (++process->seams == process->kill_at)
		process_die(SIGKILL);
	return process->seams;
}

/* --- switching ----------------------------------------------------------------------------------- */

/* Where the process runs, stdout is its own, and so is what output.c keeps. */
static void enter(struct sim_process *process)
{
	sim.current = sim.on_cpu = process;
	stdout = process->out;
	output_state = process->output;
	if (_setjmp(sim.outside) == 0) {
		if (process->has_begun)
			_longjmp(process->place, 1);
		process->has_begun = true;
		setcontext(&process->context);
	}
	/* Here from leave(), which has lost the locals. */
	sim.on_cpu->output = output_state;
	stdout = sim.out;
	sim.current = sim.on_cpu = NULL;
}

static void leave(void)
{
	if (_setjmp(sim.on_cpu->place) == 0)
		_longjmp(sim.outside, 1);
}

struct sim_process *process_step_out(void)
{
	sim.current = NULL;
	return sim.on_cpu;
}

void process_step_in(struct sim_process *process)
{
	sim.current = process;
	if (process && process->pending & UINT64_C(1) << SIGKILL)
		process_die(SIGKILL);
}

static void check_turns(struct sim_process *process)
{
	if (process->turn_ns != clock_monotonic_ns()) {
		process->turn_ns = clock_monotonic_ns();
		process->turns = 0;
	}
	if (++process->turns > PATIENCE_TURNS)
		sim_fail("%s turns in circles", process->name);
}

/* Forget the stack once nothing runs on it any more. */
static void bury(struct sim_process *process)
{
	const struct sim_world *world = sim.world;

	if (process->wake)
		sim_event_cancel(process->wake);
	process->wake = NULL;
	munmap(process->stack, STACK_SIZE);
	process->stack = NULL;
	database_drop(process);
	files_close(process);
	if (process->status < 0)
		sim_log("%s was ended by signal %d", process->name, -process->status);
	else
		sim_log("%s ended with %d", process->name, process->status);
	if (world->ended)
		world->ended(world->context, process);
}

static void resume(void *context)
{
	struct sim_process *process = context;

	process->wake = NULL;
	check_turns(process);
	enter(process);
	if (process->is_over)
		bury(process);
}

void process_wake(struct sim_process *process)
{
	if (!process_is_alive(process) || process == sim.on_cpu)
		return;
	if (process->wake)
		sim_event_cancel(process->wake);
	process->wake = event_at(clock_monotonic_ns(), resume, process);
}

void process_block(uint64_t until_ns)
{
	struct sim_process *process = sim.current;

	if (until_ns != NEVER_NS)
		process->wake = event_at(until_ns, resume, process);
	leave();
	/* A signal that nobody catches ends it where it stands. */
	if (process->pending & ~process->caught)
		process_die(__builtin_ctzll(process->pending & ~process->caught));
}

/* --- signals ------------------------------------------------------------------------------------- */

void process_die(int signal)
{
	struct sim_process *process = sim.current;

	process->status = -signal;
	process->is_over = true;
	leave();
	abort();
}

void process_catch(struct sim_process *process, uint64_t mask)
{
	process->caught = mask;
}

int process_take_signal(struct sim_process *process)
{
	uint64_t pending = process->pending & process->caught;
	int signal = pending ? __builtin_ctzll(pending) : 0;

	if (signal)
		process->pending &= ~(UINT64_C(1) << signal);
	return signal;
}

void sim_signal(struct sim_process *process, int signal)
{
	if (!process_is_alive(process))
		return;
	sim_log("%s gets signal %d", process->name, signal);
	if (signal != SIGKILL || process == sim.on_cpu) {
		process->pending |= UINT64_C(1) << signal;
		process_wake(process);
		return;
	}
	process->status = -SIGKILL;
	process->is_over = true;
	bury(process);
}

/* --- starting and ending ------------------------------------------------------------------------- */

static void run(void)
{
	struct sim_process *process = sim.current;

	if (process->pending)
		process_die(__builtin_ctzll(process->pending));
	process->status = sidestep_main(process->argument_count, process->arguments);
	process->is_over = true;
	leave();
}

static void *check(void *memory)
{
	if (!memory || memory == MAP_FAILED)
		abort();
	return memory;
}

static void text_add(struct text *text, const char *bytes, size_t size)
{
	if (text->size + size + 1 > text->capacity) {
		text->capacity = 2 * text->capacity + size + 256;
		text->bytes = check(realloc(text->bytes, text->capacity));
	}
	memcpy(text->bytes + text->size, bytes, size);
	text->size += size;
	text->bytes[text->size] = '\0';
}

static void log_lines(const struct sim_process *process, const char *text, size_t size)
{
	const char *end;

	for (; sim_logs() && size; size -= (size_t)(end - text), text = end) {
		end = memchr(text, '\n', size);
		sim_log_line("%s: %.*s", process->name, (int)(end ? end - text : (ssize_t)size),
			     text);
		end = end ? end + 1 : text + size;
	}
}

void process_write(struct sim_process *process, int fd, const char *text, size_t size)
{
	text_add(fd == STDERR_FILENO ? &process->err_text : &process->out_text, text, size);
	log_lines(process, text, size);
}

static ssize_t write_out(void *cookie, const char *text, size_t size)
{
	process_write(cookie, STDOUT_FILENO, text, size);
	return (ssize_t)size;
}

static void add_argument(struct sim_process *process, const char *text)
{
	if (process->argument_count > ARGUMENTS_MAX)
		sim_fail("too many arguments for %s", process->name);
	process->arguments[process->argument_count++] = check(strdup(text));
}

struct sim_process *sim_start(const char *name, const char *const *arguments)
{
	struct sim_process *process = check(calloc(1, sizeof(*process)));

	process->name = check(strdup(name));
	process->pid = ++sim.last_pid;
	add_argument(process, "sidestep");
	add_argument(process, *arguments++);
	add_argument(process, "--root");
	add_argument(process, sim_root());
	while (*arguments)
		add_argument(process, *arguments++);
	process->out =
		check(fopencookie(process, "w", (cookie_io_functions_t){.write = write_out}));
	setvbuf(process->out, NULL, _IOLBF, 0);
	text_add(&process->out_text, "", 0);
	text_add(&process->err_text, "", 0);
	process->stack = check(mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	getcontext(&process->context);
	process->context.uc_stack.ss_sp = process->stack;
	process->context.uc_stack.ss_size = STACK_SIZE;
	makecontext(&process->context, run, 0);
	TAILQ_INSERT_TAIL(&sim.processes, process, link);
	process_wake(process);
	sim_log("%s starts: sidestep %s", name, process->arguments[1]);
	return process;
}

struct sim_process *sim_verb(const char *verb, ...)
{
	const char *arguments[ARGUMENTS_MAX] = {verb};
	char name[64];
	va_list list;
	int count = 1;

	va_start(list, verb);
	while (count < ARGUMENTS_MAX - 1 && (arguments[count] = va_arg(list, const char *)))
		count++;
	va_end(list);
	snprintf(name, sizeof(name), "%s#%u", verb, ++sim.verbs);
	return sim_start(name, arguments);
}

static bool has_ended(void *context)
{
	return !process_is_alive(context);
}

int sim_wait(struct sim_process *process, uint64_t max_ms)
{
	if (!sim_run_until(has_ended, process, max_ms))
		sim_fail("%s has not ended after %llu s", process->name,
			 (unsigned long long)(max_ms / SIM_SECOND));
	return process->status;
}

static const char *last_lines(const char *text)
{
	size_t size = strlen(text);

	return text + (size > REPORT_SIZE ? size - REPORT_SIZE : 0);
}

void process_report(FILE *file)
{
	struct sim_process *process;

	for (process = TAILQ_FIRST(&sim.processes); process; process = TAILQ_NEXT(process, link))
		fprintf(file, "--- %s: %s, %llu seams, status %d\n%s%s", process->name,
			process_is_alive(process) ? "runs" : "has ended",
			(unsigned long long)process->seams, process->status,
			last_lines(sim_output(process)), last_lines(sim_errors(process)));
}

/* --- the world ----------------------------------------------------------------------------------- */

void sim_begin(uint64_t seed, int64_t wall_s, const struct sim_world *world)
{
	sim.world = world;
	TAILQ_INIT(&sim.processes);
	sim.out = stdout;
	sim.last_pid = FIRST_PID;
	sim.verbs = 0;
	events_begin(seed, wall_s);
	faults_begin();
	files_begin(seed);
	database_begin();
	table_begin();
	http_begin();
}

static void process_free(struct sim_process *process)
{
	TAILQ_REMOVE(&sim.processes, process, link);
	fclose(process->out);
	free(process->out_text.bytes);
	free(process->err_text.bytes);
	while (process->argument_count)
		free(process->arguments[--process->argument_count]);
	free(process->name);
	free(process);
}

void sim_end(void)
{
	struct sim_process *process;

	for (process = TAILQ_FIRST(&sim.processes); process; process = TAILQ_NEXT(process, link))
		sim_signal(process, SIGKILL);
	http_end();
	table_end();
	files_end();
	events_end();
	while ((process = TAILQ_FIRST(&sim.processes)))
		process_free(process);
}
