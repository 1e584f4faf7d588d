// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * `sim`: runs seeds, each in a process of its own, and named scenarios.
 *
 *   sim --seeds N [--from SEED] [--jobs N]    sim --seed SEED     (with the log)
 *   sim --scenario NAME [--seam N]            sim --list          sim --all (every scenario)
 */
#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/internal.h"
#include "tests/sim/scenarios.h"

#define CPU_MAX_S  60 /* of one seed: it turns in circles */
#define JOBS       2
#define JOBS_MAX   64
#define FAILED_MAX 20 /* named at the end */

static struct {
	char replay[128]; /* the command that runs this again */
	uint64_t seam; /* 0: all */
	bool logs;
	FILE *console; /* standard error, which simulated processes have their own of */
} runner;

bool sim_logs(void)
{
	return runner.logs;
}

void sim_log_line(const char *format, ...)
{
	int64_t now_ms = (int64_t)sim_now_ms();
	va_list arguments;

	fprintf(runner.console, "%4" PRId64 "d %02d:%02d:%02d.%03d  ", now_ms / (int64_t)SIM_DAY,
		(int)(now_ms / (int64_t)SIM_HOUR % 24), (int)(now_ms / (int64_t)SIM_MINUTE % 60),
		(int)(now_ms / (int64_t)SIM_SECOND % 60), (int)(now_ms % 1000));
	va_start(arguments, format);
	vfprintf(runner.console, format, arguments);
	va_end(arguments);
	fputc('\n', runner.console);
}

void sim_fail(const char *format, ...)
{
	va_list arguments;

	process_report(runner.console);
	fprintf(runner.console, "sim: %s: day %.3f: ", runner.replay,
		(double)sim_now_ms() / SIM_DAY);
	va_start(arguments, format);
	vfprintf(runner.console, format, arguments);
	va_end(arguments);
	fputc('\n', runner.console);
	files_end();
	_exit(EXIT_FAILURE);
}

/* --- one run --------------------------------------------------------------------------------------- */

static void prepare(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(runner.replay, sizeof(runner.replay), format, arguments);
	va_end(arguments);
}

void runner_stop_logging(void)
{
	runner.logs = false;
}

uint64_t runner_seam(void)
{
	return runner.seam;
}

void runner_set_seam(uint64_t seam)
{
	char *end = strstr(runner.replay, " SEAM=");
	size_t used = end ? (size_t)(end - runner.replay) : strlen(runner.replay);

	runner.replay[used] = '\0';
	if (seam)
		snprintf(runner.replay + used, sizeof(runner.replay) - used, " SEAM=%" PRIu64,
			 seam);
}

static void run_seed(uint64_t seed)
{
	prepare("make sim SEED=%" PRIu64, seed);
	scenario_seed(seed);
}

static void run_scenario(const struct scenario *scenario)
{
	prepare("make sim SCENARIO=%s", scenario->name);
	scenario->run();
}

static pid_t start(void (*run)(const void *what), const void *what)
{
	const struct rlimit cpu = {CPU_MAX_S, CPU_MAX_S};
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	setrlimit(RLIMIT_CPU, &cpu);
	run(what);
	exit(EXIT_SUCCESS);
}

/* --- many runs ------------------------------------------------------------------------------------- */

static void start_seed(const void *what)
{
	run_seed(*(const uint64_t *)what);
}

static void start_scenario(const void *what)
{
	run_scenario(what);
}

/* Remove what a run that was ended by a signal left behind. */
static void clean_up(pid_t pid)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf /dev/shm/sidestep-sim.%08lx.*",
		 (unsigned long)pid);
	if (system(command))
		fprintf(stderr, "sim: cannot run %s\n", command);
}

bool runner_reap(pid_t *ret_pid)
{
	int status;
	pid_t pid;

	do
		pid = wait(&status);
	while (pid < 0 && errno == EINTR);
	if (pid > 0 && WIFSIGNALED(status)) {
		fprintf(stderr, "sim: %s: a run was ended by signal %d\n", runner.replay,
			WTERMSIG(status));
		clean_up(pid);
	}
	if (ret_pid)
		*ret_pid = pid;
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

/* The place of the child that has ended. */
static size_t reap(const pid_t *pids, size_t count, bool *ret_is_good)
{
	pid_t pid;
	size_t i;

	*ret_is_good = runner_reap(&pid);
	for (i = 0; i < count && pids[i] != pid; i++)
		;
	return i;
}

static int run_seeds(uint64_t first, uint64_t count, unsigned int jobs)
{
	uint64_t seeds[JOBS_MAX], failed[FAILED_MAX], started = 0, failures = 0, i;
	pid_t pids[JOBS_MAX] = {0};
	size_t place, running = 0;
	bool is_good;

	while (started < count || running) {
		if (started < count && running < jobs) {
			for (place = 0; pids[place]; place++)
				;
			seeds[place] = first + started++;
			pids[place] = start(start_seed, &seeds[place]);
			running++;
			continue;
		}
		place = reap(pids, jobs, &is_good);
		if (place == jobs)
			continue;
		pids[place] = 0;
		running--;
		if (is_good)
			continue;
		if (failures < FAILED_MAX)
			failed[failures] = seeds[place];
		failures++;
	}
	for (i = 0; i < failures && i < FAILED_MAX; i++)
		printf("failed: make sim SEED=%" PRIu64 "\n", failed[i]);
	printf("sim: %" PRIu64 " seeds, %" PRIu64 " failed\n", count, failures);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* All scenarios, `jobs` at once. */
static int run_all(unsigned int jobs)
{
	const struct scenario *scenario = scenarios, *ended[JOBS_MAX];
	size_t place, running = 0, count = 0, failures = 0;
	pid_t pids[JOBS_MAX] = {0};
	bool is_good;

	while (scenario->name || running) {
		if (scenario->name && running < jobs) {
			for (place = 0; pids[place]; place++)
				;
			ended[place] = scenario;
			pids[place] = start(start_scenario, scenario++);
			running++;
			continue;
		}
		place = reap(pids, jobs, &is_good);
		if (place == jobs)
			continue;
		pids[place] = 0;
		running--;
		count++;
		failures += !is_good;
		printf("%s - %s: %s\n", is_good ? "ok" : "not ok", ended[place]->name,
		       ended[place]->text);
	}
	printf("sim: %zu scenarios, %zu failed\n", count, failures);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

static bool scenario_is_good(const struct scenario *scenario)
{
	pid_t pid = start(start_scenario, scenario);
	bool is_good;

	reap(&pid, 1, &is_good);
	return is_good;
}

static int run_named(const char *name)
{
	const struct scenario *scenario;

	runner.logs = true;
	for (scenario = scenarios; scenario->name; scenario++)
		if (strcmp(scenario->name, name) == 0)
			return scenario_is_good(scenario) ? EXIT_SUCCESS : EXIT_FAILURE;
	fprintf(stderr, "sim: no scenario is called %s: run `sim --list`\n", name);
	return EXIT_FAILURE;
}

static int list(void)
{
	const struct scenario *scenario;

	for (scenario = scenarios; scenario->name; scenario++)
		printf("%s\t%s\n", scenario->name, scenario->text);
	return EXIT_SUCCESS;
}

static void prepare_process(void)
{
	static const char *const variables[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "JOURNAL_STREAM"};
	size_t i;

	for (i = 0; i < sizeof(variables) / sizeof(*variables); i++)
		unsetenv(variables[i]);
	signal(SIGPIPE, SIG_IGN);
	umask(022);
	setvbuf(stderr, NULL, _IOLBF, 0);
	runner.console = stderr;
	/* Once, before all forks: it costs more than a seed. */
	curl_global_init(CURL_GLOBAL_DEFAULT);
	database_init();
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"seeds", required_argument, NULL, 'n'},
						{"from", required_argument, NULL, 'f'},
						{"jobs", required_argument, NULL, 'j'},
						{"seed", required_argument, NULL, 's'},
						{"scenario", required_argument, NULL, 'c'},
						{"list", no_argument, NULL, 'l'},
						{"seam", required_argument, NULL, 'm'},
						{"all", no_argument, NULL, 'a'},
						{"log", no_argument, NULL, 'v'},
						{NULL, 0, NULL, 0}};
	uint64_t first = 1, count = 0, seed;
	const char *scenario = NULL;
	bool all = false;
	unsigned int jobs = JOBS;
	int option;

	prepare_process();
	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (option) {
		case 'n':
			count = strtoull(optarg, NULL, 10);
			break;
		case 'f':
			first = strtoull(optarg, NULL, 10);
			break;
		case 'j':
			jobs = (unsigned int)strtoul(optarg, NULL, 10);
			jobs = jobs < 1 ? 1 : jobs > JOBS_MAX ? JOBS_MAX : jobs;
			break;
		case 'v':
			runner.logs = true;
			break;
		case 's':
			runner.logs = true;
			seed = strtoull(optarg, NULL, 10);
			run_seed(seed);
			return EXIT_SUCCESS;
		case 'c':
			scenario = optarg;
			break;
		case 'm':
			runner.seam = strtoull(optarg, NULL, 10);
			break;
		case 'l':
			return list();
		case 'a':
			all = true;
			break;
		default:
			return EXIT_FAILURE;
		}
	}
	if (scenario)
		return run_named(scenario);
	return all ? run_all(jobs) : run_seeds(first, count, jobs);
}
