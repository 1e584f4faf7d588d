// SPDX-License-Identifier: GPL-3.0-or-later
/* What the agent remembers: lineages, what is due of them, orders in flight. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "acme/util/failure.h"
#include "acme/store/state.h"
#include "acme/store/state_source.h"
#include "common/clock.h"
#include "common/paths.h"
#include "tests/unit/fixture.h"

#define NOW INT64_C(1800000000)
#define CA  "https://ca.example/directory"

static char root[32];
static struct paths paths;

static struct state *open_state(void)
{
	struct failure failure = {0};
	struct state *state;

	if (state_open(&state, &paths, &failure))
		fail_msg("%s", failure.cause);
	return state;
}

static int setup(void **test)
{
	strcpy(root, "/tmp/sidestep-XXXXXX");
	if (!mkdtemp(root) || paths_init(&paths, root))
		return -1;
	*test = open_state();
	return 0;
}

static int teardown(void **test)
{
	state_free(*test);
	free(fixture_run(NULL, "rm -rf %s", root));
	return 0;
}

/* Close and open it, as another start of the program does. */
static struct state *again(void **test)
{
	state_free(*test);
	*test = open_state();
	return *test;
}

static int64_t wish_for(struct state *state, const char *name, const char *tenant)
{
	struct certificate_spec spec = {.name = name,
					.identifiers = STRING_LIST(name),
					.cas = STRING_LIST(CA),
					.tenant = tenant,
					.source = "cli"};
	int64_t id;

	assert_int_equal(state_set_spec(state, &spec, &id), 0);
	return id;
}

static struct state_lineage lineage_of(struct state *state, int64_t id)
{
	struct state_lineage lineage;

	assert_int_equal(state_lineage_read(state, id, &lineage), 0);
	return lineage;
}

/* --- what is due, as text: "name name" ---------------------------------------------------------- */

struct given {
	struct state *state;
	int64_t ids[64];
	size_t count;
};

static int take(void *context, const struct state_due *due)
{
	struct given *given = context;

	assert_true(given->count < 64);
	given->ids[given->count++] = due->id;
	return 0;
}

static char *names_of(const struct given *given)
{
	static char text[4096];
	struct state_lineage lineage;
	size_t i;

	text[0] = '\0';
	for (i = 0; i < given->count; i++) {
		lineage = lineage_of(given->state, given->ids[i]);
		if (i)
			strcat(text, " ");
		strcat(text, lineage.spec.name);
		state_lineage_done(&lineage);
	}
	return text;
}

static char *due(struct state *state, int64_t now_s, size_t max)
{
	struct given given = {.state = state};

	assert_int_equal(state_due_orders(state, CA, now_s, max, take, &given), 0);
	return names_of(&given);
}

static char *checks(struct state *state, int64_t now_s)
{
	struct given given = {.state = state};

	assert_int_equal(state_due_checks(state, now_s, 64, take, &given), 0);
	return names_of(&given);
}

/* --- lineages ------------------------------------------------------------------------------------ */

static void test_only_its_owner_reads_it(void **test)
{
	struct stat status;
	char path[PATHS_MAX + 16];

	wish_for(*test, "a.example", NULL);
	snprintf(path, sizeof(path), "%s/state.db", paths.state);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	snprintf(path, sizeof(path), "%s/state.db-wal", paths.state);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
}

static void test_a_wish_is_kept_whole(void **test)
{
	const struct certificate_spec spec = {
		.name = "shop",
		.identifiers = STRING_LIST("a.example", "192.0.2.1"),
		.cas = STRING_LIST("first", "second"),
		.account = "other",
		.settings.key_type = "rsa-2048",
		.settings.preferred_profile = "shortlived",
		.settings.required_profile = "tlsserver",
		.settings.preferred_chain = "Root X",
		.tenant = "customer",
		.settings.deploy_hook = "reload it",
		.source = "domains",
		.settings.reuse_key = true,
		.settings.bundle = true,
	};
	struct state_lineage lineage;
	int64_t id;

	assert_int_equal(state_set_spec(*test, &spec, &id), 0);
	assert_int_equal(state_lineage_find(again(test), "shop", &lineage), 0);
	assert_int_equal(lineage.id, id);
	assert_true(string_list_equal(&lineage.spec.identifiers, &spec.identifiers));
	assert_true(string_list_equal(&lineage.spec.cas, &spec.cas));
	assert_string_equal(lineage.spec.account, spec.account);
	assert_string_equal(lineage.spec.settings.key_type, spec.settings.key_type);
	assert_string_equal(lineage.spec.settings.preferred_profile,
			    spec.settings.preferred_profile);
	assert_string_equal(lineage.spec.settings.required_profile, spec.settings.required_profile);
	assert_string_equal(lineage.spec.settings.preferred_chain, spec.settings.preferred_chain);
	assert_string_equal(lineage.spec.tenant, spec.tenant);
	assert_string_equal(lineage.spec.settings.deploy_hook, spec.settings.deploy_hook);
	assert_string_equal(lineage.spec.source, spec.source);
	assert_true(lineage.spec.settings.reuse_key);
	assert_true(lineage.spec.settings.bundle);
	assert_string_equal(lineage.ca, "first");
	assert_null(lineage.server);
	assert_int_equal(lineage.status, STATE_WAITING);
	state_lineage_done(&lineage);
	assert_int_equal(state_lineage_find(*test, "other", &lineage), -ENOENT);
}

/* The database of a program that did not know these settings: it gets columns, and keeps its rows. */
static void test_new_settings_get_columns(void **test)
{
	struct certificate_spec spec = {.name = "a.example",
					.identifiers = STRING_LIST("a.example"),
					.cas = STRING_LIST(CA),
					.source = "cli",
					.settings.preferred_chain = "Root X",
					.settings.bundle = true};
	struct state_lineage lineage;
	char path[PATHS_MAX + 16];
	int64_t id, again_id;
	sqlite3 *db;

	id = wish_for(*test, "a.example", NULL);
	state_free(*test);
	snprintf(path, sizeof(path), "%s/state.db", paths.state);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
				      "ALTER TABLE lineage DROP COLUMN preferred_chain;"
				      "ALTER TABLE lineage DROP COLUMN bundle",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	sqlite3_close(db);
	*test = open_state();
	lineage = lineage_of(*test, id);
	assert_null(lineage.spec.settings.preferred_chain);
	assert_false(lineage.spec.settings.bundle);
	state_lineage_done(&lineage);
	assert_int_equal(state_set_spec(*test, &spec, &again_id), 0);
	assert_int_equal(again_id, id);
	lineage = lineage_of(again(test), id);
	assert_string_equal(lineage.spec.settings.preferred_chain, "Root X");
	assert_true(lineage.spec.settings.bundle);
	state_lineage_done(&lineage);
}

static void test_a_changed_wish(void **test)
{
	struct certificate_spec spec = {.name = "a",
					.identifiers = STRING_LIST("a.example"),
					.cas = STRING_LIST("one", "two"),
					.source = "config"};
	struct state_failure failure = {.text = "no", .next_attempt_s = NOW + 60, .next_ca = "two"};
	struct state_lineage lineage;
	int64_t id, same;

	assert_int_equal(state_set_spec(*test, &spec, &id), 0);
	assert_int_equal(state_set_renewal(*test, id, NOW, STATE_NORMAL), 0);
	assert_int_equal(state_order_failed(*test, id, &failure, NOW), 0);

	/* What concerns neither names nor CAs leaves the failures alone. */
	spec.settings.deploy_hook = "reload";
	assert_int_equal(state_set_spec(*test, &spec, &same), 0);
	assert_int_equal(same, id);
	lineage = lineage_of(*test, id);
	assert_string_equal(lineage.spec.settings.deploy_hook, "reload");
	assert_string_equal(lineage.ca, "two");
	assert_int_equal(lineage.failures, 1);
	assert_int_equal(lineage.issue_at_s, NOW + 60);
	state_lineage_done(&lineage);

	spec.cas = STRING_LIST("three");
	assert_int_equal(state_set_spec(*test, &spec, NULL), 0);
	lineage = lineage_of(*test, id);
	assert_string_equal(lineage.ca, "three");
	assert_int_equal(lineage.failures, 0);
	assert_int_equal(lineage.issue_at_s, NOW);
	state_lineage_done(&lineage);

	spec.identifiers = STRING_LIST("a.example", "b.example");
	assert_int_equal(state_set_spec(*test, &spec, NULL), 0);
	lineage = lineage_of(*test, id);
	assert_int_equal(lineage.issue_at_s, 1);
	state_lineage_done(&lineage);
}

static void test_what_a_source_no_longer_names_is_retired(void **test)
{
	struct certificate_spec spec = {.cas = STRING_LIST(CA), .source = "domains"};
	const char *const names[] = {"a.example", "b.example", "c.example"};
	struct state_lineage lineage;
	int64_t ids[3];
	int i;

	wish_for(*test, "cli.example", NULL);
	for (i = 0; i < 3; i++) {
		spec.name = names[i];
		spec.identifiers = STRING_LIST(names[i]);
		assert_int_equal(state_set_spec(*test, &spec, &ids[i]), 0);
	}
	assert_int_equal(state_source_retire(*test, "domains", ids[0]), 0);
	assert_int_equal(state_source_retire(*test, "domains", ids[2]), 0);
	/* It is another source's by now. */
	assert_int_equal(state_source_retire(*test, "config", ids[1]), 0);
	assert_string_equal(due(*test, NOW, 64), "cli.example b.example");

	/* Named again it is back. */
	spec.name = "c.example";
	spec.identifiers = STRING_LIST("c.example");
	assert_int_equal(state_set_spec(*test, &spec, NULL), 0);
	assert_string_equal(due(*test, NOW, 64), "cli.example b.example c.example");
	assert_int_equal(state_lineage_find(*test, "a.example", &lineage), 0);
	assert_int_equal(lineage.status, STATE_RETIRED);
	state_lineage_done(&lineage);
}

/* --- what is due ---------------------------------------------------------------------------------- */

static void test_due_in_their_order(void **test)
{
	int64_t late = wish_for(*test, "late.example", NULL);
	int64_t early = wish_for(*test, "early.example", NULL);
	int64_t urgent = wish_for(*test, "urgent.example", NULL);
	int64_t paused = wish_for(*test, "paused.example", NULL);
	int64_t at_s;

	assert_int_equal(state_set_renewal(*test, late, NOW + 10, STATE_NORMAL), 0);
	assert_int_equal(state_set_renewal(*test, early, NOW + 5, STATE_NORMAL), 0);
	assert_int_equal(state_set_renewal(*test, urgent, NOW + 20, STATE_URGENT), 0);
	assert_int_equal(state_pause(*test, paused, "visit https://ca.example/unpause"), 0);
	assert_string_equal(due(*test, NOW, 64), "");
	assert_string_equal(due(*test, NOW + 5, 64), "early.example");
	assert_string_equal(due(*test, NOW + 20, 64), "urgent.example early.example late.example");
	assert_string_equal(due(*test, NOW + 20, 2), "urgent.example early.example");
	assert_int_equal(state_next_order(*test, CA, &at_s), 0);
	assert_int_equal(at_s, NOW + 5);
	assert_int_equal(state_next_order(*test, "another", &at_s), 0);
	assert_int_equal(at_s, 0);
	assert_int_equal(state_pause(*test, paused, NULL), 0);
	assert_string_equal(due(again(test), NOW, 64), "paused.example");
}

static void test_tenants_share(void **test)
{
	char name[32];
	int i;

	for (i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "big%02d.example", i);
		wish_for(*test, name, "big");
	}
	wish_for(*test, "small.example", "small");
	wish_for(*test, "none.example", NULL);
	assert_string_equal(due(*test, NOW, 6), "none.example big00.example big01.example "
						"small.example");
	/* More tenants than places: all get their turn. */
	assert_string_equal(due(*test, NOW, 1), "none.example");
	assert_string_equal(due(*test, NOW, 1), "big00.example");
	assert_string_equal(due(*test, NOW, 1), "small.example");
}

static int count_ca(void *context, const char *ca)
{
	(void)ca;
	++*(int *)context;
	return 0;
}

static void test_the_cas_in_use(void **test)
{
	struct certificate_spec spec = {.identifiers = STRING_LIST("x.example"),
					.source = "config"};
	int count = 0;

	wish_for(*test, "a.example", NULL);
	wish_for(*test, "b.example", NULL);
	spec.name = "c";
	spec.cas = STRING_LIST("other");
	assert_int_equal(state_set_spec(*test, &spec, NULL), 0);
	assert_int_equal(state_cas(*test, count_ca, &count), 0);
	assert_int_equal(count, 2);
}

static void test_windows(void **test)
{
	const struct state_certificate certificate = {.server = CA,
						      .ari_id = "aYhb.AIdl",
						      .not_before_s = NOW - 100,
						      .not_after_s = NOW + 1000,
						      .renew_at_s = NOW + 600,
						      .check_at_s = NOW + 1};
	const struct state_window window = {.start_s = NOW - 20,
					    .end_s = NOW - 10,
					    .explanation_url = "https://ca.example/why",
					    .check_at_s = NOW + 60,
					    .renew_at_s = NOW + 2,
					    .priority = STATE_EARLY};
	int64_t id = wish_for(*test, "a.example", NULL), at_s;
	struct state_lineage lineage;
	char *name, *server;

	assert_int_equal(state_next_check(*test, &at_s), 0);
	assert_int_equal(at_s, 0);
	assert_int_equal(state_set_certificate(*test, id, &certificate), 0);
	assert_int_equal(state_next_check(*test, &at_s), 0);
	assert_int_equal(at_s, NOW + 1);
	assert_string_equal(checks(*test, NOW), "");
	assert_string_equal(checks(*test, NOW + 1), "a.example");
	assert_int_equal(state_set_window(*test, id, "aYhb.AIdl", &window), 0);
	assert_string_equal(checks(*test, NOW + 1), "");
	assert_string_equal(due(*test, NOW + 2, 64), "a.example");
	lineage = lineage_of(*test, id);
	assert_string_equal(lineage.explanation_url, window.explanation_url);
	assert_int_equal(lineage.window_end_s, NOW - 10);
	assert_int_equal(lineage.priority, STATE_EARLY);
	state_lineage_done(&lineage);
	assert_int_equal(state_begins_after(*test, NOW - 100, &name, &server), -ENOENT);
	assert_int_equal(state_begins_after(*test, NOW - 101, &name, &server), 0);
	assert_string_equal(name, "a.example");
	assert_string_equal(server, CA);
	free(name);
	free(server);
	/* What is gone says nothing. */
	assert_int_equal(state_lineage_delete(*test, id), 0);
	assert_int_equal(state_begins_after(*test, NOW - 101, &name, &server), -ENOENT);
}

static void test_mass_renewal(void **test)
{
	struct state_certificate certificate = {.server = CA, .renew_at_s = NOW + 5000};
	struct state_filter filter = {.server = CA, .issued_before_s = NOW - 50};
	const char *const names[] = {"new.example", "expires-last.example",
				     "expires-first.example"};
	int64_t count;
	int i;

	for (i = 0; i < 3; i++) {
		certificate.not_before_s = i == 0 ? NOW : NOW - 100;
		certificate.not_after_s = NOW + 9000 - i;
		assert_int_equal(
			state_set_certificate(*test, wish_for(*test, names[i], NULL), &certificate),
			0);
	}
	assert_string_equal(due(*test, NOW, 64), "");
	assert_int_equal(state_mark_due(*test, &filter, STATE_URGENT, &count), 0);
	assert_int_equal(count, 2);
	assert_string_equal(due(*test, NOW, 64), "expires-first.example expires-last.example");
	filter.server = "https://other.example/";
	assert_int_equal(state_mark_due(*test, &filter, STATE_URGENT, &count), 0);
	assert_int_equal(count, 0);
}

/* --- orders --------------------------------------------------------------------------------------- */

/* The one order in flight, as text; "" when there is none. */
static int show_order(void *context, const struct state_order *order)
{
	char *identifiers = string_list_join(&order->identifiers, ' ');

	snprintf(context, 256, "%s %s %s %s %s %s %lld", order->name, order->ca, order->server,
		 order->account ? order->account : "-", identifiers, order->url ? order->url : "-",
		 (long long)order->made_at_s);
	free(identifiers);
	return 0;
}

static char *in_flight(struct state *state)
{
	static char text[256];

	text[0] = '\0';
	assert_int_equal(state_orders(state, show_order, text), 0);
	return text;
}

static int show_attempt(void *context, const struct state_attempt *attempt)
{
	char *text = context;

	snprintf(text + strlen(text), 64, "%lld:%s ", (long long)attempt->at_s - NOW,
		 attempt->failure ? attempt->failure : "ok");
	return 0;
}

static char *attempts(struct state *state, int64_t id)
{
	static char text[4096];

	text[0] = '\0';
	assert_int_equal(state_attempts(state, id, show_attempt, text), 0);
	return text;
}

static struct state_order order_of(int64_t lineage)
{
	static char *names[] = {"a.example"};

	return (struct state_order){.lineage = lineage,
				    .ca = CA,
				    .server = CA,
				    .identifiers = {.items = names, .count = 1},
				    .made_at_s = NOW};
}

static void test_an_order_that_succeeds(void **test)
{
	const struct state_certificate certificate = {.server = CA,
						      .not_before_s = NOW,
						      .not_after_s = NOW + 1000,
						      .renew_at_s = NOW + 800};
	int64_t id = wish_for(*test, "a.example", NULL);
	struct state_order order = order_of(id);
	struct state_lineage lineage;

	assert_int_equal(state_order_created(*test, id, "https://ca.example/1"), -ENOENT);
	assert_int_equal(state_order_begin(*test, &order), 0);
	assert_int_equal(state_order_begin(*test, &order), -EEXIST);
	assert_string_equal(due(again(test), NOW, 64), "");
	assert_string_equal(in_flight(*test), "a.example " CA " " CA " - a.example - 1800000000");
	assert_int_equal(state_order_created(*test, id, "https://ca.example/1"), 0);
	assert_string_equal(in_flight(again(test)),
			    "a.example " CA " " CA " - a.example https://ca.example/1 1800000000");
	assert_int_equal(state_order_succeeded(*test, id, &certificate, NOW + 3), 0);
	assert_string_equal(in_flight(again(test)), "");
	assert_string_equal(due(*test, NOW + 799, 64), "");
	assert_string_equal(due(*test, NOW + 800, 64), "a.example");
	assert_string_equal(attempts(*test, id), "3:ok ");
	lineage = lineage_of(*test, id);
	assert_string_equal(lineage.server, CA);
	assert_int_equal(lineage.not_after_s, NOW + 1000);
	state_lineage_done(&lineage);
}

static void test_an_order_that_fails(void **test)
{
	const struct state_failure failure = {.text = "refused",
					      .problem = "urn:ietf:params:acme:error:caa",
					      .next_attempt_s = NOW + 60};
	int64_t id = wish_for(*test, "a.example", NULL);
	struct state_order order = order_of(id);
	struct state_lineage lineage;
	int i;

	assert_int_equal(state_order_begin(*test, &order), 0);
	assert_int_equal(state_order_failed(*test, id, &failure, NOW + 1), 0);
	assert_string_equal(in_flight(*test), "");
	assert_string_equal(due(*test, NOW + 59, 64), "");
	assert_string_equal(due(again(test), NOW + 60, 64), "a.example");
	lineage = lineage_of(*test, id);
	assert_int_equal(lineage.failures, 1);
	assert_string_equal(lineage.last_failure, "refused");
	assert_string_equal(lineage.last_problem, failure.problem);
	state_lineage_done(&lineage);

	for (i = 2; i < 50; i++)
		assert_int_equal(state_order_failed(*test, id, &failure, NOW + i), 0);
	assert_int_equal(strncmp(attempts(*test, id), "49:refused 48:refused ", 22), 0);
	for (i = 0, order.name = attempts(*test, id); (order.name = strchr(order.name, ':')); i++)
		order.name++;
	assert_int_equal(i, STATE_ATTEMPTS);
}

static void test_an_order_that_is_dropped(void **test)
{
	int64_t id = wish_for(*test, "a.example", NULL);
	struct state_order order = order_of(id);

	assert_int_equal(state_order_begin(*test, &order), 0);
	assert_int_equal(state_order_drop(*test, id), 0);
	assert_string_equal(due(*test, NOW, 64), "a.example");
	assert_string_equal(attempts(*test, id), "");
	/* What is deleted takes all of its own along. */
	assert_int_equal(state_order_begin(*test, &order), 0);
	assert_int_equal(state_lineage_delete(*test, id), 0);
	assert_string_equal(in_flight(*test), "");
	assert_int_equal(state_order_begin(*test, &order), -ENOENT);
	assert_true(wish_for(*test, "a.example", NULL) > id);
}

static void test_a_batch_is_whole_or_nothing(void **test)
{
	const int64_t soon_s = clock_now_s() + 60;
	int64_t id = wish_for(*test, "a.example", NULL), until_s;
	struct state_order order = order_of(id);

	assert_int_equal(state_begin(*test), 0);
	assert_int_equal(state_hold_write(*test, CA, "", soon_s), 0);
	assert_int_equal(state_order_begin(*test, &order), 0);
	state_rollback(*test);
	assert_string_equal(due(*test, NOW, 64), "a.example");
	assert_int_equal(state_hold_read(*test, CA, "", &until_s), 0);
	assert_int_equal(until_s, 0);

	/* One that failed takes the others along, whatever is made of its error. */
	assert_int_equal(state_begin(*test), 0);
	assert_int_equal(state_hold_write(*test, CA, "", soon_s), 0);
	assert_int_equal(state_order_created(*test, id, "https://ca.example/1"), -ENOENT);
	assert_int_equal(state_commit(*test), -ENOENT);
	assert_int_equal(state_hold_read(*test, CA, "", &until_s), 0);
	assert_int_equal(until_s, 0);

	assert_int_equal(state_begin(*test), 0);
	assert_int_equal(state_hold_write(*test, CA, "", soon_s), 0);
	assert_int_equal(state_order_begin(*test, &order), 0);
	assert_int_equal(state_commit(*test), 0);
	assert_int_equal(state_hold_read(again(test), CA, "one", &until_s), 0);
	assert_int_equal(until_s, soon_s);
	assert_string_equal(due(*test, NOW, 64), "");
}

static void test_small_tables(void **test)
{
	int64_t full_at_us;
	char *fingerprint;

	assert_int_equal(state_bucket_read(*test, CA, "a", "orders", "", &full_at_us), 0);
	assert_int_equal(full_at_us, 0);
	assert_int_equal(state_bucket_write(*test, CA, "a", "orders", "", 7), 0);
	assert_int_equal(state_bucket_write(*test, CA, "a", "orders", "x", 9), 0);
	assert_int_equal(state_bucket_read(again(test), CA, "a", "orders", "", &full_at_us), 0);
	assert_int_equal(full_at_us, 7);
	assert_int_equal(state_buckets_prune(*test, 8), 0);
	assert_int_equal(state_bucket_read(*test, CA, "a", "orders", "", &full_at_us), 0);
	assert_int_equal(full_at_us, 0);
	assert_int_equal(state_bucket_read(*test, CA, "a", "orders", "x", &full_at_us), 0);
	assert_int_equal(full_at_us, 9);

	assert_int_equal(state_fingerprint_read(*test, "/domains.txt", &fingerprint), 0);
	assert_string_equal(fingerprint, "");
	free(fingerprint);
	assert_int_equal(state_fingerprint_write(*test, "/domains.txt", "f"), 0);
	assert_int_equal(state_fingerprint_read(again(test), "/domains.txt", &fingerprint), 0);
	assert_string_equal(fingerprint, "f");
	free(fingerprint);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(test_only_its_owner_reads_it),
		T(test_a_wish_is_kept_whole),
		T(test_new_settings_get_columns),
		T(test_a_changed_wish),
		T(test_what_a_source_no_longer_names_is_retired),
		T(test_due_in_their_order),
		T(test_tenants_share),
		T(test_the_cas_in_use),
		T(test_windows),
		T(test_mass_renewal),
		T(test_an_order_that_succeeds),
		T(test_an_order_that_fails),
		T(test_an_order_that_is_dropped),
		T(test_a_batch_is_whole_or_nothing),
		T(test_small_tables),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
