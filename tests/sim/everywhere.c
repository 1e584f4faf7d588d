// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/sim/everywhere.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/sim/internal.h"

#define RUNS_AT_ONCE 2
#define FAULTY       (SIM_FILES | SIM_OPEN | SIM_SQL_WRITE | SIM_SQL_SYNC | SIM_SQL_READ)

/* What one run does. */
struct trial {
	const struct everywhere *work;
	uint64_t seam; /* from 1; 0: nothing happens */
	int error; /* 0: it is killed */
	uint64_t for_ms;
};

/* Written by the child that counts. */
static uint64_t *shared_count;

static void end_fault(void *context)
{
	sim_fault_remove((unsigned int)(uintptr_t)context);
}

static void arm(const struct trial *trial, struct sim_process *process, uint64_t before)
{
	struct sim_fault fault = {.seams = FAULTY, .error = trial->error};
	unsigned int number;

	if (!trial->seam)
		return;
	if (!trial->error) {
		sim_kill_at(process, before + trial->seam);
		return;
	}
	fault.skip = trial->seam - 1;
	fault.count = trial->for_ms ? 0 : 1;
	number = sim_fault_add(&fault);
	if (trial->for_ms)
		sim_after(trial->for_ms, end_fault, (void *)(uintptr_t)number);
}

static void run_trial(const struct trial *trial)
{
	struct sim_process *process;
	uint64_t before;

	trial->work->begin();
	process = trial->work->start();
	before = trial->error ? sim_seams_of(FAULTY) : sim_process_seams(process);
	arm(trial, process, before);
	trial->work->settle(process);
	*shared_count = (trial->error ? sim_seams_of(FAULTY) : sim_process_seams(process)) - before;
	trial->work->finish(process);
}

static pid_t start_trial(const struct trial *trial)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	run_trial(trial);
	exit(EXIT_SUCCESS);
}

static void run_all(struct trial trial)
{
	uint64_t count, failures = 0;
	unsigned int running = 0;

	runner_stop_logging();
	start_trial(&trial);
	if (!runner_reap(NULL))
		sim_fail("it fails without any trouble");
	count = *shared_count;
	for (trial.seam = 1; trial.seam <= count; trial.seam++) {
		if (running == RUNS_AT_ONCE) {
			failures += !runner_reap(NULL);
			running--;
		}
		runner_set_seam(trial.seam);
		start_trial(&trial);
		running++;
	}
	runner_set_seam(0);
	for (; running; running--)
		failures += !runner_reap(NULL);
	if (failures)
		sim_fail("%" PRIu64 " of %" PRIu64 " seams fail", failures, count);
}

static void everywhere(struct trial trial)
{
	shared_count = mmap(NULL, sizeof(*shared_count), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared_count == MAP_FAILED)
		abort();
	trial.seam = runner_seam();
	if (trial.seam)
		run_trial(&trial);
	else
		run_all(trial);
	munmap(shared_count, sizeof(*shared_count));
}

void everywhere_kill(const struct everywhere *work)
{
	everywhere((struct trial){.work = work});
}

void everywhere_fail(const struct everywhere *work, int error, unsigned long for_ms)
{
	everywhere((struct trial){.work = work, .error = error, .for_ms = for_ms});
}
