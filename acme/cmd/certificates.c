// SPDX-License-Identifier: GPL-3.0-or-later
/* `sidestep certificates`. */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acme/cmd/select.h"
#include "acme/cmd/show.h"
#include "acme/cmd/verbs.h"
#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/crypto/key.h"
#include "acme/store/state.h"
#include "acme/store/store.h"
#include "acme/util/failure.h"
#include "acme/util/file.h"
#include "acme/util/output.h"
#include "acme/util/table.h"
#include "common/clock.h"

/* One that is on the disk. */
struct listed {
	struct stored stored;
	struct state_lineage lineage; /* all zero: the state does not have it */
	const char *key_type; /* NULL: the key cannot be read */
};

struct listing {
	const struct arguments *arguments;
	const struct settings *settings;
	struct selection selection;
	struct state *state; /* NULL: there is none, or it cannot be read */
	struct listed *listed;
	size_t count;
	json_t *array;
	json_t *warned; /* names of what --warn is about */
	bool is_wrong; /* one cannot be read */
	struct failure failure;
};

/* --- reading -------------------------------------------------------------------------------------- */

static void explain_unreadable(struct failure *failure, int err, const char *path)
{
	if (err == -EBADMSG)
		failure_set(failure, "restore it from archive/, or get a new one with certonly",
			    "%s contains no certificate that sidestep can read", path);
	else if (err == -ENOENT)
		failure_set(failure, "remove it, or get a new certificate with certonly",
			    "%s is a link that leads to no certificate", path);
	else
		failure_set_errno(failure, -err, "cannot read %s", path);
}

static void tell_unreadable(struct listing *listing, const char *name, int err)
{
	char path[STORE_PATH_MAX + 1];
	struct failure failure = {0};

	store_live_path(path, listing->settings->paths, name);
	explain_unreadable(&failure, err, path);
	output_failure(NULL, &failure);
	json_array_append_new(listing->array, json_pack("{s:s, s:o}", "name", name, "error",
							failure_to_json(&failure)));
	json_array_append_new(listing->warned, json_string(name));
	listing->is_wrong = true;
	failure_done(&failure);
}

static const char *read_key_type(const struct paths *paths, const char *name)
{
	const char *type;
	struct key *key;

	if (store_read_key(&key, paths, name))
		return NULL;
	type = key_type_name(key_type_of(key));
	key_free(key);
	return type;
}

/* Without a row only a name can select it. */
static bool is_selected(const struct listing *listing, const char *name,
			const struct state_lineage *lineage)
{
	const struct selection *selection = &listing->selection;
	struct state_lineage unknown = {.spec.name = name, .ca = ""};

	return select_has(selection, lineage->spec.name ? lineage : &unknown);
}

static void read_one(struct listing *listing, const char *name)
{
	struct listed *listed = &listing->listed[listing->count];
	int err;

	*listed = (struct listed){0};
	if (listing->state)
		(void)state_lineage_find(listing->state, name, &listed->lineage);
	err = is_selected(listing, name, &listed->lineage)
		      ? store_read(&listed->stored, listing->settings->paths, name)
		      : -ECANCELED;
	if (err) {
		state_lineage_done(&listed->lineage);
		if (err != -ECANCELED)
			tell_unreadable(listing, name, err);
		return;
	}
	listed->key_type = read_key_type(listing->settings->paths, name);
	listing->count++;
}

static int compare_expiry(const void *a, const void *b)
{
	const struct listed *one = a, *other = b;
	int64_t left = one->stored.certificate.not_after_s;
	int64_t right = other->stored.certificate.not_after_s;

	return left < right ? -1 : left > right ? 1 : strcmp(one->stored.name, other->stored.name);
}

/* The state is not made for this: it may not be there, or not for this user. */
static void open_state(struct listing *listing)
{
	char path[PATHS_MAX + sizeof(STATE_FILE) + 1];
	struct failure failure = {0};

	snprintf(path, sizeof(path), "%s/" STATE_FILE, listing->settings->paths->state);
	if (access(path, F_OK) == 0 &&
	    state_open(&listing->state, listing->settings->paths, &failure)) {
		output_warning("what renewals say is not shown: %s", failure.cause);
		listing->state = NULL;
	}
	failure_done(&failure);
}

static void read_all(struct listing *listing)
{
	size_t count, i;
	char **names;
	int err = store_names(&names, &count, listing->settings->paths);

	if (err) {
		failure_set_errno(&listing->failure, -err, "cannot read %s/live",
				  listing->settings->paths->state);
		return;
	}
	listing->listed = calloc(count + 1, sizeof(*listing->listed));
	if (!listing->listed)
		failure_set_errno(&listing->failure, ENOMEM, "listing the certificates");
	for (i = 0; listing->listed && i < count; i++)
		read_one(listing, names[i]);
	if (listing->listed)
		qsort(listing->listed, listing->count, sizeof(*listing->listed), compare_expiry);
	file_list_free(names, count);
}

/* --- what --warn is about ------------------------------------------------------------------------- */

/* What a server reads of it is not there.  A place that this user may not look into says nothing. */
static bool is_gone(const struct listing *listing, const char *name)
{
	static const enum store_file files[] = {STORE_CERT, STORE_PRIVKEY};
	char live[STORE_PATH_MAX + 1], path[STORE_PATH_MAX + 64];
	size_t i;

	store_live_path(live, listing->settings->paths, name);
	for (i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "%s/%s", live, store_file_names[files[i]]);
		if (access(path, F_OK) && errno == ENOENT)
			return true;
	}
	return false;
}

static bool is_warned(const struct listing *listing, const char *name)
{
	size_t i;

	for (i = 0; i < json_array_size(listing->warned); i++)
		if (strcmp(json_string_value(json_array_get(listing->warned, i)), name) == 0)
			return true;
	return false;
}

/* One that was never issued, and is not on its way without trouble, or that is gone. */
static int warn_of_missing(void *context, const struct state_lineage *lineage)
{
	struct listing *listing = context;
	const char *name = lineage->spec.name;

	if (lineage->status == STATE_RETIRED || !select_has(&listing->selection, lineage))
		return 0;
	if (lineage->not_after_s) {
		if (!is_gone(listing, name) || is_warned(listing, name))
			return 0;
		output_line("%s: the certificate or its key is gone from %s/live/%s", name,
			    listing->settings->paths->state, name);
	} else {
		if (!lineage->failures)
			return 0;
		output_line("%s: there is no certificate yet: %s", name,
			    lineage->last_failure ? lineage->last_failure
						  : "no attempt has succeeded");
	}
	json_array_append_new(listing->warned, json_string(name));
	return 0;
}

static bool is_about(const struct listing *listing, const struct listed *listed)
{
	int64_t left_s = listed->stored.certificate.not_after_s - clock_now_s();

	return left_s < (int64_t)listing->arguments->warn_days * SHOW_DAY_S;
}

static void find_warned(struct listing *listing)
{
	size_t i;

	for (i = 0; i < listing->count; i++)
		if (is_about(listing, &listing->listed[i]))
			json_array_append_new(listing->warned,
					      json_string(listing->listed[i].stored.name));
	if (listing->state && state_lineages(listing->state, warn_of_missing, listing))
		output_warning("what was never issued, or is gone, cannot be listed");
}

/* --- showing -------------------------------------------------------------------------------------- */

static void add_json(struct listing *listing, const struct listed *listed)
{
	const struct state_lineage *lineage = &listed->lineage;
	json_t *object = show_json(&listed->stored);

	json_object_set_new(object, "key_type",
			    listed->key_type ? json_string(listed->key_type) : json_null());
	if (lineage->spec.name) {
		json_object_set_new(object, "state",
				    json_string(state_status_name(lineage->status)));
		json_object_set_new(object, "tenant",
				    json_string(lineage->spec.tenant ? lineage->spec.tenant : ""));
	}
	if (lineage->last_failure)
		json_object_set_new(object, "last_failure", json_string(lineage->last_failure));
	if (lineage->deploy_failure)
		json_object_set_new(object, "deploy_failure", json_string(lineage->deploy_failure));
	json_array_append_new(listing->array, object);
}

static int add_row(struct table *table, const struct listing *listing, const struct listed *listed)
{
	const struct certificate *certificate = &listed->stored.certificate;
	const struct state_lineage *lineage = &listed->lineage;
	char names[512] = "", ca[SHOW_CA_SIZE];
	struct show_moment expires = show_date(certificate->not_after_s);
	struct show_moment left = show_left(certificate->not_after_s - clock_now_s());
	size_t i;

	for (i = 0; i < certificate->name_count; i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", i ? " " : "",
			 certificate->names[i].value);
	show_ca(ca, listing->settings, listed->stored.server);
	return table_add(table, (const char *const[]){listed->stored.name, expires.text, left.text,
						      listed->key_type,
						      !lineage->spec.name ? NULL
						      : lineage->deploy_failure
							      ? "hooks failed"
							      : state_status_name(lineage->status),
						      ca, names});
}

static void show_table(struct listing *listing)
{
	static const struct table_column columns[] = {{"NAME", 16}, {"EXPIRES", 0}, {"LEFT", 0},
						      {"KEY", 0},   {"STATE", 0},   {"CA", 8},
						      {"NAMES", 8}};
	bool warns = listing->arguments->warn_days;
	struct table *table = table_new(columns, sizeof(columns) / sizeof(*columns));
	int err = table ? 0 : -ENOMEM;
	size_t i;

	for (i = 0; !err && i < listing->count; i++)
		if (!warns || is_about(listing, &listing->listed[i]))
			err = add_row(table, listing, &listing->listed[i]);
	if (err)
		failure_set_errno(&listing->failure, -err, "listing the certificates");
	else
		table_print(table);
	table_free(table);
}

static void show_all(struct listing *listing)
{
	size_t i;

	for (i = 0; i < listing->count; i++)
		add_json(listing, &listing->listed[i]);
	if (listing->selection.name_count && !listing->arguments->warn_days)
		for (i = 0; i < listing->count; i++)
			show_text(&listing->listed[i].stored, clock_now_s());
	else
		show_table(listing);
	if (listing->arguments->warn_days && !json_array_size(listing->warned))
		output_line("No certificate expires within %u days.",
			    (unsigned int)listing->arguments->warn_days);
	else if (!listing->count && !listing->is_wrong && !listing->arguments->warn_days)
		output_line("There are no %scertificates in %s/live.",
			    select_is_some(&listing->selection) ? "such " : "",
			    listing->settings->paths->state);
}

/* --- the verb ------------------------------------------------------------------------------------- */

static void check_names(struct listing *listing)
{
	const struct selection *selection = &listing->selection;
	size_t i, at;

	for (i = 0; i < selection->name_count; i++) {
		for (at = 0; at < listing->count; at++)
			if (strcmp(listing->listed[at].stored.name, selection->names[i]) == 0)
				break;
		if (at == listing->count && !listing->is_wrong)
			failure_set(&listing->failure, "`sidestep certificates` lists them",
				    "there is no certificate called %s", selection->names[i]);
	}
}

static void listing_done(struct listing *listing)
{
	size_t i;

	for (i = 0; i < listing->count; i++) {
		stored_done(&listing->listed[i].stored);
		state_lineage_done(&listing->listed[i].lineage);
	}
	free(listing->listed);
	state_free(listing->state);
	json_decref(listing->array);
	json_decref(listing->warned);
	failure_done(&listing->failure);
}

int verb_certificates(const struct arguments *arguments, const struct settings *settings)
{
	struct listing listing = {.arguments = arguments,
				  .settings = settings,
				  .array = json_array(),
				  .warned = json_array()};
	struct failure *failure = &listing.failure;
	bool ok = false;
	int status;

	open_state(&listing);
	if (!select_begin(&listing.selection, arguments, settings, failure))
		read_all(&listing);
	if (!failure_is_set(failure))
		check_names(&listing);
	if (!failure_is_set(failure) && arguments->warn_days)
		find_warned(&listing);
	if (!failure_is_set(failure))
		show_all(&listing);
	if (failure_is_set(failure)) {
		status = output_fatal(failure);
	} else {
		ok = !listing.is_wrong &&
		     !(arguments->warn_days && json_array_size(listing.warned));
		output_document(json_pack(
			"{s:b, s:O, s:o*}", "ok", ok, "certificates", listing.array, "warned",
			arguments->warn_days ? json_incref(listing.warned) : NULL));
		status = ok ? EXIT_DONE : EXIT_FAILED;
	}
	listing_done(&listing);
	return status;
}
