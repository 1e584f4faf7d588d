// SPDX-License-Identifier: GPL-3.0-or-later
#include "bench/validators/report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "bench/validators/results.h"
#include "bench/validators/tally.h"
#include "common/clock.h"
#include "common/version.h"

#define NS_PER_MS 1e6
#define PATH_SIZE 4096

extern char **environ;

static const char plot_script[] =
	"set terminal svg size 900,450 dynamic font 'sans,12' background 'white'\n"
	"set grid\n"
	"set key below\n"
	"set output 'latency.svg'\n"
	"set title 'Latency of validations'\n"
	"set xlabel 'percentile'\n"
	"set ylabel 'ms'\n"
	"set logscale x\n"
	"set yrange [0:*]\n"
	"set xtics ('0' 1, '50' 2, '90' 10, '99' 100, '99.9' 1000, '99.99' 10000, "
	"'99.999' 100000)\n"
	"plot 'latency.tsv' using (1 / (1 - $1 / 100)):2 with lines linewidth 2 "
	"title 'from when it was due', "
	"'' using (1 / (1 - $1 / 100)):3 with lines linewidth 2 title 'from when it began'\n"
	"unset logscale x\n"
	"set output 'seconds.svg'\n"
	"set title 'The run, second by second'\n"
	"set xlabel 's'\n"
	"set ylabel 'connections a second'\n"
	"set xtics auto\n"
	"set ytics nomirror\n"
	"set y2tics\n"
	"set y2label 'mean latency, ms'\n"
	"set y2range [0:*]\n"
	"plot 'seconds.tsv' using 1:2 with lines title 'started', "
	"'' using 1:3 with lines linewidth 2 title 'validated', "
	"'' using 1:4 with lines title 'failed', "
	"'' using 1:5 axes x1y2 with lines dashtype 2 title 'mean latency'\n";

/* --- files ------------------------------------------------------------------------------------ */

typedef int write_function(const struct results *results, FILE *file);

static int write_file(const struct results *results, const char *directory, const char *name,
		      write_function *write)
{
	char path[PATH_SIZE];
	FILE *file;
	int err;

	if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	file = fopen(path, "we");
	if (!file)
		return -errno;
	err = write(results, file);
	if (ferror(file) && !err)
		err = -EIO;
	if (fclose(file) && !err)
		err = -errno;
	return err;
}

/* The percentiles at which the distribution's line is drawn: denser towards its end. */
static int write_latency(const struct results *results, FILE *file)
{
	const struct tally *tally = results->tally;
	double beyond;

	fputs("# percentile\tfrom_due_ms\tfrom_begun_ms\n", file);
	if (!tally->latency.count)
		return 0;
	for (beyond = 1; beyond * (double)tally->latency.count >= 0.5; beyond /= 1.05) {
		double percent = 100 * (1 - beyond);

		fprintf(file, "%.6f\t%.6f\t%.6f\n", percent,
			(double)histogram_percentile_ns(&tally->latency, percent) / NS_PER_MS,
			(double)histogram_percentile_ns(&tally->service, percent) / NS_PER_MS);
	}
	return 0;
}

static int write_seconds(const struct results *results, FILE *file)
{
	const struct tally *tally = results->tally;

	fputs("# second\tstarted\tvalidated\tfailed\tlatency_mean_ms\tlatency_max_ms\n", file);
	for (size_t i = 0; i < tally->second_count; i++) {
		const struct tally_second *second = &tally->seconds[i];
		double validated = second->validated ? (double)second->validated : 1;

		fprintf(file, "%zu\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%.6f\t%.6f\n", i,
			second->started, second->validated, second->failed,
			(double)second->latency_sum_ns / validated / NS_PER_MS,
			(double)second->latency_max_ns / NS_PER_MS);
	}
	return 0;
}

static int write_script(const struct results *results, FILE *file)
{
	(void)results;
	fputs(plot_script, file);
	return 0;
}

static void write_row(FILE *file, const char *what, const struct histogram *histogram)
{
	fprintf(file, "| %s | %.3f |", what, (double)histogram->min_ns / NS_PER_MS);
	for (size_t i = 0; i < RESULTS_PERCENTILES; i++)
		fprintf(file, " %.3f |",
			(double)histogram_percentile_ns(histogram, results_percentiles[i].percent) /
				NS_PER_MS);
	fprintf(file, " %.3f |\n", (double)histogram->max_ns / NS_PER_MS);
}

static void write_machine(FILE *file)
{
	struct utsname name;
	time_t now = clock_now_s();
	struct tm utc;
	char date[sizeof("2026-11-23 12:00 UTC")];

	gmtime_r(&now, &utc);
	strftime(date, sizeof(date), "%Y-%m-%d %H:%M UTC", &utc);
	fprintf(file, "%s, sidestep-bench " SIDESTEP_VERSION ", %s", date,
		OpenSSL_version(OPENSSL_VERSION));
	if (!uname(&name))
		fprintf(file, ", %s %s %s", name.sysname, name.release, name.machine);
	fprintf(file, ", %ld CPUs\n\n", sysconf(_SC_NPROCESSORS_ONLN));
}

static int write_text(const struct results *results, FILE *file)
{
	const struct tally *tally = results->tally;

	fputs("# Validations by TLS-ALPN-01\n\n", file);
	write_machine(file);
	results_print_run(results, file);
	fprintf(file,
		"\n| started | validated | failed | validated/s |\n|--:|--:|--:|--:|\n"
		"| %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %.1f |\n",
		tally->started, tally_validated(tally), tally_failed(tally),
		results_per_s(results));
	fputs("\n## Latency of those validated, in ms\n\n| | min |", file);
	for (size_t i = 0; i < RESULTS_PERCENTILES; i++)
		fprintf(file, " %s |", results_percentiles[i].text);
	fputs(" max |\n|---|--:|--:|--:|--:|--:|--:|--:|\n", file);
	write_row(file, "from when it was due", &tally->latency);
	write_row(file, "from when it began", &tally->service);
	if (results_bench_was_late(results))
		fputs("\nOne in a hundred started over 10 ms late: the client was the limit.\n",
		      file);
	if (tally_failed(tally))
		fputs("\n## Failures\n\n| count | cause | |\n|--:|---|---|\n", file);
	for (enum outcome outcome = OUTCOME_OK + 1; outcome < OUTCOMES; outcome++)
		if (tally->outcomes[outcome])
			fprintf(file, "| %" PRIu64 " | %s | %s |\n", tally->outcomes[outcome],
				outcome_name(outcome).text, outcome_text(outcome));
	return 0;
}

static int write_text_with_plots(const struct results *results, FILE *file)
{
	write_text(results, file);
	fputs("\n## Plots\n\n![Latency of validations](latency.svg)\n\n"
	      "![The run, second by second](seconds.svg)\n",
	      file);
	return 0;
}

/* --- plots ------------------------------------------------------------------------------------ */

/* Whether gnuplot ran, in the directory, and was content.  It may say why not. */
static bool plot(const char *directory)
{
	char *words[] = {"gnuplot", "plots.gnuplot", NULL};
	posix_spawn_file_actions_t actions;
	bool plotted = false;
	int status;
	pid_t pid;

	if (posix_spawn_file_actions_init(&actions))
		return false;
	if (!posix_spawn_file_actions_addchdir_np(&actions, directory) &&
	    !posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) &&
	    !posix_spawnp(&pid, words[0], &actions, NULL, words, environ))
		plotted = waitpid(pid, &status, 0) == pid && status == 0;
	posix_spawn_file_actions_destroy(&actions);
	return plotted;
}

int report_prepare(const char *directory)
{
	struct stat status;

	if (!mkdir(directory, 0777))
		return 0;
	if (errno != EEXIST || stat(directory, &status))
		return -errno;
	if (!S_ISDIR(status.st_mode))
		return -ENOTDIR;
	return access(directory, W_OK | X_OK) ? -errno : 0;
}

int report_write(const struct results *results, const char *directory, bool *ret_plotted)
{
	static const struct {
		const char *name;
		write_function *write;
	} files[] = {
		{"results.json", results_print_json},
		{"latency.tsv", write_latency},
		{"seconds.tsv", write_seconds},
		{"plots.gnuplot", write_script},
	};
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(files) / sizeof(*files); i++)
		err = write_file(results, directory, files[i].name, files[i].write);
	if (err)
		return err;
	/* Nothing to draw is a report without plots, and no failure of gnuplot's. */
	*ret_plotted = tally_validated(results->tally) && plot(directory);
	return write_file(results, directory, "report.md",
			  *ret_plotted ? write_text_with_plots : write_text);
}
