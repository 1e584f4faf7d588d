// SPDX-License-Identifier: GPL-3.0-or-later
/* The machinery itself, without a CA: what every other scenario relies on. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "tests/sim/scenarios.h"
#include "tests/sim/sim.h"

#define START_S INT64_C(1800000000)

static void refuse(void *context, struct sim_call *call)
{
	(void)context;
	sim_answer(call, 1, &(struct sim_reply){.error = HTTP_NOT_CONNECTED});
}

static int no_hook(void *context, struct sim_hook *hook)
{
	(void)context;
	(void)hook;
	return -ENOENT;
}

static void no_name(void *context, const struct sim_question *question, struct sim_dns *ret_answer)
{
	(void)context;
	(void)question;
	ret_answer->status = DNS_NO_NAME;
}

static enum probe_kind no_server(void *context, struct sim_process *from,
				 const struct identifier *identifier,
				 const uint8_t digest[CHALLENGE_DIGEST_SIZE],
				 uint64_t *ret_delay_ms)
{
	(void)context;
	(void)from;
	(void)identifier;
	(void)digest;
	(void)ret_delay_ms;
	return PROBE_REFUSED;
}

static const struct sim_world empty_world = {
	.transport = refuse, .hook = no_hook, .dns = no_name, .probe = no_server};

static void expect(bool is_true, const char *what)
{
	if (!is_true)
		sim_fail("%s", what);
}

static const char config[] = "[sidestep]\n"
			     "agree-tos = yes\n"
			     "ca = model\n"
			     "[ca model]\n"
			     "server = https://ca.test/directory\n"
			     "[certificate example]\n"
			     "names = example.test\n";

/* A daemon waits, takes SIGHUP, keeps a second one out, and ends by SIGTERM. */
static void daemon_lives(void)
{
	struct sim_process *daemon, *other;

	sim_file_write("etc/sidestep/sidestep.conf", config);
	daemon = sim_start("daemon", (const char *const[]){"run", NULL});
	sim_run_for(SIM_HOUR);
	expect(sim_is_running(daemon), "the daemon runs");
	expect(strstr(sim_output(daemon), "ready") != NULL, "the daemon says that it is ready");
	other = sim_verb("run", NULL);
	expect(sim_wait(other, SIM_MINUTE) == 1, "a second daemon is refused");
	sim_signal(daemon, SIGHUP);
	sim_run_for(SIM_MINUTE);
	expect(strstr(sim_output(daemon), "configuration is in use") != NULL, "SIGHUP is taken");
	sim_signal(daemon, SIGTERM);
	expect(sim_wait(daemon, SIM_MINUTE) == 0, "SIGTERM ends the daemon");
}

/* A process that is killed holds nothing any more. */
static void killed_holds_nothing(void)
{
	struct sim_process *first, *second;

	first = sim_start("daemon", (const char *const[]){"run", NULL});
	sim_run_for(SIM_HOUR);
	sim_signal(first, SIGKILL);
	expect(sim_status(first) == -SIGKILL, "it is dead");
	second = sim_start("daemon", (const char *const[]){"run", NULL});
	sim_run_for(SIM_HOUR);
	expect(sim_is_running(second), "its lock is free");
	expect(sim_wait(sim_verb("plan", NULL), SIM_MINUTE) == 0, "its database can be read");
	sim_signal(second, SIGTERM);
	expect(sim_wait(second, SIM_MINUTE) == 0, "SIGTERM ends the daemon");
}

static void faults_fail(void)
{
	unsigned int fault = sim_fault_add(
		&(struct sim_fault){.seams = SIM_CREATE, .error = ENOSPC, .path = "run.lock"});
	struct sim_process *process = sim_verb("run", NULL);

	expect(sim_wait(process, SIM_MINUTE) == 1, "a full disk stops it");
	expect(strstr(sim_errors(process), "No space left") != NULL, "it says why");
	sim_fault_remove(fault);
}

void scenario_machinery(void)
{
	sim_begin(1, START_S, &empty_world);
	faults_fail();
	daemon_lives();
	killed_holds_nothing();
	expect(sim_wall_s() >= START_S + 3 * 3600, "hours have passed");
	sim_end();
}
