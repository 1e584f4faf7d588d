// SPDX-License-Identifier: GPL-3.0-or-later
/* `sidestep status`: the responder's status files, the challenge table and the BPF counters. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/util/failure.h"
#include "acme/challenge/responder.h"
#include "acme/util/file.h"
#include "acme/util/json.h"
#include "acme/config/identifiers.h"
#include "acme/util/output.h"
#include "acme/challenge/evidence_report.h"
#include "acme/cmd/verbs.h"
#include "common/challenge_table.h"
#include "common/clock.h"
#include "common/counters.h"
#include "common/evidence.h"
#include "common/conn_stats.h"

#define STATUS_FILE_MAX 65536
#define NS_PER_S        1000000000ULL

/* --- gathering ------------------------------------------------------------------------------- */

/* Read a JSON object that the responder wrote; NULL: it cannot be read. */
static json_t *read_json_file(const char *path)
{
	json_t *object;
	size_t size;
	char *text;

	if (file_read(AT_FDCWD, path, STATUS_FILE_MAX, &text, &size))
		return NULL;
	object = json_read(text, size);
	free(text);
	return object;
}

/*
 * Merge the responder's files: status (written at start), programs (the last program load), and
 * interfaces and hindrances (kept current by the monitor).
 */
static json_t *gather_responder(const struct paths *paths)
{
	const char *const more[] = {paths->programs, paths->interfaces, paths->hindrances};
	json_t *object = read_json_file(paths->status), *part;

	if (!object || json_is_true(json_object_get(object, "standalone")))
		return object;
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		part = read_json_file(more[i]);
		json_object_update(object, part);
		json_decref(part);
	}
	return object;
}

static json_t *describe_challenge(const struct challenge *challenge, uint64_t now_ns)
{
	uint64_t left_ns = challenge->expires_ns > now_ns ? challenge->expires_ns - now_ns : 0;
	uint64_t age_ns = now_ns > challenge->published_ns ? now_ns - challenge->published_ns : 0;

	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:b}", "name", challenge->cert.identifier.value,
			 "server_name", challenge->cert.identifier.sni, "age_s",
			 (json_int_t)(age_ns / NS_PER_S), "expires_in_s",
			 (json_int_t)(left_ns / NS_PER_S), "uid", (json_int_t)challenge->owner,
			 "withdrawn", challenge->withdrawn);
}

static json_t *gather_challenges(const struct paths *paths, struct failure *failure)
{
	struct challenge_table *table;
	struct challenge challenge;
	json_t *array = json_array();
	uint64_t now_ns = clock_boottime_ns();
	uint32_t cursor = 0;
	int err;

	err = challenge_table_open(&table, paths, CHALLENGE_TABLE_READ);
	if (err) {
		responder_explain_open(failure, err, paths);
		return array;
	}
	while (!challenge_table_next(table, &cursor, &challenge))
		json_array_append_new(array, describe_challenge(&challenge, now_ns));
	challenge_table_free(table);
	return array;
}

static json_t *gather_counters(const struct paths *paths, struct failure *failure)
{
	uint64_t values[STEER_COUNTERS];
	json_t *object = json_object();
	enum steer_counter counter;
	int err;

	err = counters_read(paths, values);
	if (err) {
		responder_explain_open(failure, err, paths);
		return object;
	}
	for (counter = 0; counter < STEER_COUNTERS; counter++)
		json_object_set_new(object, steer_counter_name(counter),
				    json_integer((json_int_t)values[counter]));
	return object;
}

/* NULL: it cannot be read, for example because the responder has another version. */
static json_t *gather_conn_stats(const struct paths *paths)
{
	uint64_t counts[CONN_STATS];
	enum conn_stat stat;
	json_t *object;

	if (conn_stats_read(paths->conn_stats, counts))
		return NULL;
	object = json_object();
	for (stat = 0; stat < CONN_STATS; stat++)
		json_object_set_new(object, conn_stat_name(stat),
				    json_integer((json_int_t)counts[stat]));
	return object;
}

/* --- output ---------------------------------------------------------------------------------- */

/* One sentence for each thing that is not steered, with the reason. */
static void show_hindrances(const json_t *hindrances)
{
	const json_t *hindrance;
	const char *text;
	size_t i;

	json_array_foreach (hindrances, i, hindrance) {
		text = json_string_value(json_object_get(hindrance, "text"));
		output_line("  %-18s %s", "not steered", text ? text : "?");
	}
}

/* The responder may have another version: show every member, and require none. */
static void show_responder(const json_t *responder)
{
	const char *key;
	json_t *value;
	size_t length;
	char *text;

	output_line("Responder: running");
	json_object_foreach ((json_t *)responder, key, value) {
		if (strcmp(key, "hindrances") == 0) {
			show_hindrances(value);
			continue;
		}
		text = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
		length = text ? strlen(text) : 0;
		/* Print strings without their quotes. */
		if (json_is_string(value) && length)
			output_line("  %-18s %.*s", key, (int)length - 2, text + 1);
		else
			output_line("  %-18s %s", key, text ? text : "?");
		free(text);
	}
}

static void show_challenges(const json_t *challenges)
{
	const json_t *challenge;
	size_t i;

	output_line("Armed names: %zu", json_array_size(challenges));
	json_array_foreach (challenges, i, challenge) {
		output_line(
			"  %s  for %" JSON_INTEGER_FORMAT " s, %" JSON_INTEGER_FORMAT " s left%s",
			json_string_value(json_object_get(challenge, "name")),
			json_integer_value(json_object_get(challenge, "age_s")),
			json_integer_value(json_object_get(challenge, "expires_in_s")),
			json_is_true(json_object_get(challenge, "withdrawn")) ? ", withdrawn" : "");
	}
}

static void show_count(const json_t *counts, const char *name, const char *text)
{
	output_line("  %12" JSON_INTEGER_FORMAT "  %s",
		    json_integer_value(json_object_get(counts, name)), text);
}

static void show_counters(const json_t *counters)
{
	enum steer_counter counter;

	output_line("Counters of the BPF programs, since their maps were created:");
	for (counter = 0; counter < STEER_COUNTERS; counter++)
		show_count(counters, steer_counter_name(counter), steer_counter_text(counter));
}

static void show_conn_stats(const json_t *conn_stats)
{
	enum conn_stat stat;

	output_line("Connections to the responder since it started:");
	for (stat = 0; stat < CONN_STATS; stat++)
		show_count(conn_stats, conn_stat_name(stat), conn_stat_text(stat));
}

/* --- one name --------------------------------------------------------------------------------- */

/* The challenge of an armed name, from describe_challenge(); NULL: the name is not armed. */
static json_t *find_armed(const struct paths *paths, const struct identifier *name,
			  struct failure *failure)
{
	struct challenge_table *table;
	struct challenge challenge;
	json_t *found = NULL;
	int err;

	err = challenge_table_open(&table, paths, CHALLENGE_TABLE_READ);
	if (err) {
		responder_explain_open(failure, err, paths);
		return NULL;
	}
	if (!challenge_table_find(table, name->sni, strlen(name->sni), &challenge))
		found = describe_challenge(&challenge, clock_boottime_ns());
	challenge_table_free(table);
	return found;
}

static int status_of_name(const char *given, const struct paths *paths)
{
	struct evidence_of_name seen = {0};
	char text[EVIDENCE_REPORT_MAX];
	struct failure failure = {0};
	struct identifier name;
	json_t *armed;
	int err;

	if (identifiers_parse_one(&name, given, &failure)) {
		output_fatal(&failure);
		failure_done(&failure);
		return EXIT_USAGE;
	}
	armed = find_armed(paths, &name, &failure);
	err = evidence_report_read(&seen, paths, &name, 0);
	if (err && err != -ENOENT)
		responder_explain_open(&failure, err, paths);
	if (failure_is_set(&failure)) {
		output_fatal(&failure);
		failure_done(&failure);
		json_decref(armed);
		return EXIT_FAILED;
	}
	output_line("%s is %sarmed.", name.value, armed ? "" : "not ");
	evidence_report_sum_up(text, err ? NULL : &seen);
	output_line("Since it was last armed: %s.", text);
	evidence_report_show(&seen);
	output_document(json_pack("{s:b, s:s, s:o?, s:o}", "ok", 1, "name", name.value, "challenge",
				  armed, "evidence", evidence_report_to_json(err ? NULL : &seen)));
	return EXIT_DONE;
}

int verb_status(const struct arguments *arguments, const struct settings *settings)
{
	const struct paths *paths = settings->paths;
	json_t *responder, *challenges, *counters, *conn_stats;
	struct failure failure = {0};
	bool running, ok;

	if (arguments->name)
		return status_of_name(arguments->name, settings->paths);
	running = !responder_check(paths, &failure);
	responder = running ? gather_responder(paths) : NULL;
	challenges = gather_challenges(paths, &failure);
	counters = gather_counters(paths, &failure);
	conn_stats = running ? gather_conn_stats(paths) : NULL;
	ok = !failure_is_set(&failure);

	if (running)
		show_responder(responder);
	if (json_array_size(challenges) || ok)
		show_challenges(challenges);
	if (json_object_size(counters))
		show_counters(counters);
	if (conn_stats)
		show_conn_stats(conn_stats);
	if (!ok)
		output_failure(NULL, &failure);
	output_document(json_pack("{s:b, s:b, s:o?, s:o, s:o, s:o?, s:o*}", "ok", ok, "running",
				  running, "responder", responder, "challenges", challenges,
				  "counters", counters, "connections", conn_stats, "error",
				  ok ? NULL : failure_to_json(&failure)));
	failure_done(&failure);
	return ok ? EXIT_DONE : EXIT_FAILED;
}
