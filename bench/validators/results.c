// SPDX-License-Identifier: GPL-3.0-or-later
#include "bench/validators/results.h"

#include <errno.h>
#include <inttypes.h>

#include <jansson.h>

#include "common/clock.h"
#include "common/validator/hello.h"
#include "common/validator/route.h"
#include "bench/validators/settings.h"
#include "common/validator/subject.h"
#include "bench/validators/tally.h"
#include "common/version.h"

#define NS_PER_US 1e3
#define NS_PER_MS 1e6
#define LATE_NS   (CLOCK_NS_PER_S / 100) /* a hundredth of them later than this is late */

const struct results_percentile results_percentiles[RESULTS_PERCENTILES] = {
	{50, "p50", "p50"},       {90, "p90", "p90"},          {99, "p99", "p99"},
	{99.9, "p99.9", "p99_9"}, {99.99, "p99.99", "p99_99"},
};

double results_per_s(const struct results *results)
{
	return results->elapsed_ns ? (double)tally_validated(results->tally) *
					     (double)CLOCK_NS_PER_S / (double)results->elapsed_ns
				   : 0;
}

bool results_bench_was_late(const struct results *results)
{
	return histogram_percentile_ns(&results->tally->lag, 99) > LATE_NS;
}

static double own_cpu_us(const struct results *results)
{
	return results->tally->started
		       ? (double)results->own_cpu_ns / NS_PER_US / (double)results->tally->started
		       : 0;
}

/* --- for people -------------------------------------------------------------------------------- */

void results_print_run(const struct results *results, FILE *file)
{
	const struct settings *settings = results->settings;

	for (size_t i = 0; i < settings->route_count; i++) {
		const struct route *route = &settings->routes[i];

		fprintf(file, "%s%s", i ? ", " : "", endpoint_text(&route->destination).text);
		if (route->source.size)
			fprintf(file, " from %s", endpoint_text(&route->source).text);
	}
	fprintf(file, "; %zu name%s; ", subjects_count(settings->subjects),
		subjects_count(settings->subjects) == 1 ? "" : "s");
	if (settings->rate)
		fprintf(file, "open loop, %g/s, %s arrivals", settings->rate,
			settings->poisson ? "Poisson" : "evenly spaced");
	else
		fprintf(file, "closed loop, %u at a time", settings->concurrency);
	if (settings->ramp_s)
		fprintf(file, ", ramp-up %g s", settings->ramp_s);
	fputs("; hello", file);
	for (size_t i = 0; i < settings->shape_count; i++)
		fprintf(file, " %s", hello_shape_name(settings->shapes[i]));
	fprintf(file, "; TLS %s\n", hello_tls_name(settings->tls));
}

static void print_durations(FILE *file, const char *what, const struct histogram *histogram)
{
	fprintf(file, "%-8s", what);
	if (!histogram->count) {
		fputs(" none\n", file);
		return;
	}
	fprintf(file, " min %.3f  mean %.3f", (double)histogram->min_ns / NS_PER_MS,
		(double)histogram_mean_ns(histogram) / NS_PER_MS);
	for (size_t i = 0; i < RESULTS_PERCENTILES; i++)
		fprintf(file, "  %s %.3f", results_percentiles[i].text,
			(double)histogram_percentile_ns(histogram, results_percentiles[i].percent) /
				NS_PER_MS);
	fprintf(file, "  max %.3f ms\n", (double)histogram->max_ns / NS_PER_MS);
}

static void print_failures(const struct tally *tally, FILE *file)
{
	if (!tally_failed(tally))
		return;
	fputs("failures:\n", file);
	for (enum outcome outcome = OUTCOME_OK + 1; outcome < OUTCOMES; outcome++)
		if (tally->outcomes[outcome])
			fprintf(file, "  %" PRIu64 " %s: %s\n", tally->outcomes[outcome],
				outcome_name(outcome).text, outcome_text(outcome));
}

void results_print(const struct results *results, FILE *file)
{
	const struct tally *tally = results->tally;

	results_print_run(results, file);
	fprintf(file,
		"started %" PRIu64 ", validated %" PRIu64 " (TLS 1.3: %" PRIu64
		", TLS 1.2: %" PRIu64 "), failed %" PRIu64 "%s\n",
		tally->started, tally_validated(tally), tally->tls13, tally->tls12,
		tally_failed(tally), results->interrupted ? "; interrupted" : "");
	fprintf(file, "%.3f s, %.1f validated/s, %.0f us of this client's CPU each\n",
		(double)results->elapsed_ns / (double)CLOCK_NS_PER_S, results_per_s(results),
		own_cpu_us(results));
	print_durations(file, "latency", &tally->latency);
	if (results->settings->rate)
		print_durations(file, "service", &tally->service);
	print_failures(tally, file);
	if (results_bench_was_late(results))
		fputs("note: one in a hundred started over 10 ms late: this client is overloaded, or "
		      "--max-open\nis reached, and the latencies say so rather than what the server "
		      "needs\n",
		      file);
}

/* --- JSON -------------------------------------------------------------------------------------- */

static json_t *durations_json(const struct histogram *histogram)
{
	json_t *json = json_object();

	json_object_set_new(json, "count", json_integer((json_int_t)histogram->count));
	json_object_set_new(json, "min", json_real((double)histogram->min_ns / NS_PER_US));
	json_object_set_new(json, "mean",
			    json_real((double)histogram_mean_ns(histogram) / NS_PER_US));
	for (size_t i = 0; i < RESULTS_PERCENTILES; i++)
		json_object_set_new(json, results_percentiles[i].key,
				    json_real((double)histogram_percentile_ns(
						      histogram, results_percentiles[i].percent) /
					      NS_PER_US));
	json_object_set_new(json, "max", json_real((double)histogram->max_ns / NS_PER_US));
	return json;
}

static json_t *failures_json(const struct tally *tally)
{
	json_t *json = json_object();

	for (enum outcome outcome = OUTCOME_OK + 1; outcome < OUTCOMES; outcome++)
		if (tally->outcomes[outcome])
			json_object_set_new(json, outcome_name(outcome).text,
					    json_integer((json_int_t)tally->outcomes[outcome]));
	return json;
}

static json_t *settings_json(const struct settings *settings)
{
	json_t *json = json_object(), *routes = json_array(), *hellos = json_array();

	for (size_t i = 0; i < settings->route_count; i++) {
		const struct route *route = &settings->routes[i];
		json_t *entry = json_object();

		json_object_set_new(entry, "to",
				    json_string(endpoint_text(&route->destination).text));
		if (route->source.size)
			json_object_set_new(entry, "from",
					    json_string(endpoint_text(&route->source).text));
		json_array_append_new(routes, entry);
	}
	for (size_t i = 0; i < settings->shape_count; i++)
		json_array_append_new(hellos, json_string(hello_shape_name(settings->shapes[i])));
	json_object_set_new(json, "routes", routes);
	json_object_set_new(json, "names",
			    json_integer((json_int_t)subjects_count(settings->subjects)));
	if (settings->rate) {
		json_object_set_new(json, "rate_per_s", json_real(settings->rate));
		json_object_set_new(json, "arrivals",
				    json_string(settings->poisson ? "poisson" : "fixed"));
	} else {
		json_object_set_new(json, "concurrency", json_integer(settings->concurrency));
	}
	json_object_set_new(json, "ramp_up_s", json_real(settings->ramp_s));
	json_object_set_new(json, "threads", json_integer(settings->threads));
	json_object_set_new(json, "hello", hellos);
	json_object_set_new(json, "mlkem", json_boolean(hello_has_mlkem()));
	json_object_set_new(json, "tls", json_string(hello_tls_name(settings->tls)));
	json_object_set_new(json, "close",
			    json_string(settings->close == SETTINGS_CLOSE_RESET ? "reset" : "now"));
	return json;
}

static json_t *seconds_json(const struct tally *tally)
{
	json_t *json = json_array();

	for (size_t i = 0; i < tally->second_count; i++) {
		const struct tally_second *second = &tally->seconds[i];
		double mean_ns = second->validated ? (double)second->latency_sum_ns /
							     (double)second->validated
						   : 0;

		json_array_append_new(json, json_pack("{s:I, s:I, s:I, s:f, s:f}", "started",
						      (json_int_t)second->started, "validated",
						      (json_int_t)second->validated, "failed",
						      (json_int_t)second->failed, "latency_mean_us",
						      mean_ns / NS_PER_US, "latency_max_us",
						      (double)second->latency_max_ns / NS_PER_US));
	}
	return json;
}

int results_print_json(const struct results *results, FILE *file)
{
	const struct tally *tally = results->tally;
	json_t *json;
	int err;

	json = json_pack(
		"{s:s, s:o, s:b, s:f, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:o, s:o, s:o, s:o, s:o}",
		"version", SIDESTEP_VERSION, "run", settings_json(results->settings), "interrupted",
		results->interrupted, "elapsed_s",
		(double)results->elapsed_ns / (double)CLOCK_NS_PER_S, "started",
		(json_int_t)tally->started, "validated", (json_int_t)tally_validated(tally),
		"failed", (json_int_t)tally_failed(tally), "tls12", (json_int_t)tally->tls12,
		"tls13", (json_int_t)tally->tls13, "validated_per_s", results_per_s(results),
		"own_cpu_us", own_cpu_us(results), "latency_us", durations_json(&tally->latency),
		"service_us", durations_json(&tally->service), "lag_us",
		durations_json(&tally->lag), "failures", failures_json(tally), "seconds",
		seconds_json(tally));
	if (!json)
		return -ENOMEM;
	err = json_dumpf(json, file, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) ||
			      fputc('\n', file) == EOF || fflush(file)
		      ? -EIO
		      : 0;
	json_decref(json);
	return err;
}
