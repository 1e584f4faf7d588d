// SPDX-License-Identifier: GPL-3.0-or-later
/* Seams: where a process is killed, or told of an error. */
#include <errno.h>
#include <string.h>

#include "tests/sim/internal.h"

#define FAULTS_MAX 32
#define KINDS      16 /* of seams */

static struct {
	struct sim_fault faults[FAULTS_MAX];
	uint64_t seen[FAULTS_MAX]; /* matching seams */
	bool used[FAULTS_MAX];
	uint64_t seams, seams_of[KINDS];
} plan;

static bool fault_matches(unsigned int i, enum sim_seam kind, const char *path)
{
	const struct sim_fault *fault = &plan.faults[i];

	if (!plan.used[i] || !(fault->seams & kind))
		return false;
	if (fault->path && (!path || !strstr(path, fault->path)))
		return false;
	if (plan.seen[i]++ < fault->skip)
		return false;
	return !fault->count || plan.seen[i] <= fault->skip + fault->count;
}

int seam(enum sim_seam kind, const char *path)
{
	struct sim_process *process = sim_current();
	unsigned int i;

	if (!process)
		return 0;
	plan.seams++;
	plan.seams_of[__builtin_ctz(kind)]++;
	process_count_seam(process);
	for (i = 0; i < FAULTS_MAX; i++) {
		if (!fault_matches(i, kind, path))
			continue;
		sim_log("%s: seam %llu (%s) fails: %s", sim_name(process),
			(unsigned long long)sim_process_seams(process), path ? path : "",
			strerror(plan.faults[i].error));
		errno = plan.faults[i].error;
		return errno;
	}
	return 0;
}

uint64_t sim_seams(void)
{
	return plan.seams;
}

uint64_t sim_seams_of(unsigned int seams)
{
	uint64_t count = 0;
	unsigned int i;

	for (i = 0; i < KINDS; i++)
		if (seams & 1u << i)
			count += plan.seams_of[i];
	return count;
}

unsigned int sim_fault_add(const struct sim_fault *fault)
{
	unsigned int i;

	for (i = 0; i < FAULTS_MAX; i++) {
		if (plan.used[i])
			continue;
		plan.faults[i] = *fault;
		plan.used[i] = true;
		plan.seen[i] = 0;
		sim_log("fault %u: %s from now on", i, strerror(fault->error));
		return i;
	}
	sim_fail("too many faults at once");
}

void sim_fault_remove(unsigned int number)
{
	plan.used[number] = false;
	sim_log("fault %u is over", number);
}

void faults_begin(void)
{
	memset(&plan, 0, sizeof(plan));
}
