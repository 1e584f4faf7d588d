// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * sidestep-bench: plays the validators of certificate authorities against an address
 * that the user names.  Watches the load, and tells what came of it.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "bench/validators/load.h"
#include "bench/validators/report.h"
#include "bench/validators/results.h"
#include "bench/validators/settings.h"
#include "bench/validators/tally.h"
#include "common/process.h"

#define PROGRAM "sidestep-bench"

#define LOOK_NS        50000000
#define TERMINAL_LOOKS 5 /* a quarter of a second */
#define PLAIN_LOOKS    200 /* ten seconds */

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number)
{
	(void)signal_number;
	interrupted = 1;
}

/* The first interrupt ends the run with its results, a second one at once. */
static void catch_interrupts(void)
{
	struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* As many descriptors as the system lets us have. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static uint64_t own_cpu_ns(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * CLOCK_NS_PER_S + (uint64_t)used.tv_nsec;
}

/* One line that is written over and over on a terminal, line after line elsewhere. */
static void show(const struct load_progress *now, const struct load_progress *before, bool terminal)
{
	double passed_s = (double)(now->elapsed_ns - before->elapsed_ns) / (double)CLOCK_NS_PER_S;

	fprintf(stderr,
		"%s%.1f s: %" PRIu64 " started, %" PRIu64 " validated (%.0f/s), %" PRIu64
		" failed, %" PRIu64 " open%s",
		terminal ? "\r" : "", (double)now->elapsed_ns / (double)CLOCK_NS_PER_S,
		now->started, now->validated,
		passed_s > 0 ? (double)(now->validated - before->validated) / passed_s : 0,
		now->failed, now->open, terminal ? "\033[K" : "\n");
}

static void watch(struct load *load, bool quiet)
{
	const struct timespec pause = {.tv_nsec = LOOK_NS};
	bool terminal = isatty(STDERR_FILENO);
	unsigned int looks = 0;
	struct load_progress now, before = {0};

	for (now = load_progress(load); !now.over; now = load_progress(load)) {
		nanosleep(&pause, NULL);
		if (interrupted)
			load_stop(load);
		if (quiet || ++looks % (terminal ? TERMINAL_LOOKS : PLAIN_LOOKS))
			continue;
		now = load_progress(load);
		show(&now, &before, terminal);
		before = now;
	}
	if (!quiet && terminal)
		fputs("\r\033[K", stderr);
}

static int tell(const struct results *results)
{
	const char *directory = results->settings->report;
	bool plotted;
	int err = 0;

	if (results->settings->json)
		err = results_print_json(results, stdout);
	else
		results_print(results, stdout);
	if (err || fflush(stdout)) {
		fprintf(stderr, PROGRAM ": writing the results: %s\n",
			strerror(err ? -err : errno));
		return -EIO;
	}
	if (!directory)
		return 0;
	err = report_write(results, directory, &plotted);
	if (err)
		fprintf(stderr, PROGRAM ": writing the report in %s: %s\n", directory,
			strerror(-err));
	else if (!plotted && tally_validated(results->tally))
		fprintf(stderr,
			PROGRAM ": the report has no plots: gnuplot is missing or failed; install "
				"it, and run\n'gnuplot plots.gnuplot' in %s\n",
			directory);
	return err;
}

/* The whole run; an exit status. */
static int run(const struct settings *settings)
{
	static struct tally tally;
	struct results results = {.settings = settings, .tally = &tally};
	uint64_t cpu_ns = own_cpu_ns();
	struct load *load;
	int err;

	if (settings->report) {
		err = report_prepare(settings->report);
		if (err) {
			fprintf(stderr, PROGRAM ": --report %s: %s\n", settings->report,
				strerror(-err));
			return EXIT_FAILED;
		}
	}
	err = load_start(&load, settings);
	if (err) {
		fprintf(stderr, PROGRAM ": starting the load: %s\n", strerror(-err));
		return EXIT_FAILED;
	}
	watch(load, settings->quiet || settings->json);
	err = load_finish(load, &tally, &results.elapsed_ns);
	load_free(load);
	results.own_cpu_ns = own_cpu_ns() - cpu_ns;
	results.interrupted = interrupted;
	if (err)
		fprintf(stderr, PROGRAM ": the load ended early: %s\n", strerror(-err));
	if (tell(&results))
		err = -EIO;
	if (!err && (tally_failed(&tally) || !tally_validated(&tally)))
		err = -EPROTO;
	tally_done(&tally);
	return err ? EXIT_FAILED : EXIT_DONE;
}

int main(int argc, char **argv)
{
	struct settings settings;
	int status;

	if (process_open_standard_descriptors())
		return EXIT_FAILED;
	switch (settings_parse(&settings, argc, argv)) {
	case SETTINGS_SHOWN:
		return EXIT_DONE;
	case SETTINGS_WRONG:
		return EXIT_USAGE;
	case SETTINGS_NO_MEMORY:
		fputs(PROGRAM ": out of memory\n", stderr);
		return EXIT_FAILED;
	case SETTINGS_RUN:
		break;
	}
	catch_interrupts();
	raise_descriptor_limit();
	status = run(&settings);
	settings_done(&settings);
	return status;
}
