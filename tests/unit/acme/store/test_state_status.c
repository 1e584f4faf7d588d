// SPDX-License-Identifier: GPL-3.0-or-later
/* The one status of a lineage: how orders, operators, the configuration and the clock change it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "acme/store/state_deploy.h"
#include "acme/store/state_source.h"
#include "tests/unit/acme/store/state_fixture.h"

#define LIFE (90 * DAY)

static struct state *state_of(void **context)
{
	return ((struct state_test *)*context)->state;
}

/* Status, reason, issue_at (behind NOW, except 0 and 1) as text. */
static const char *shown(struct state *state, int64_t id)
{
	struct state_lineage lineage = state_test_read(state, id);
	int64_t at_s = lineage.issue_at_s;
	static char text[256];

	snprintf(text, sizeof(text), "%s %s %lld", state_status_name(lineage.status),
		 lineage.status_reason ? lineage.status_reason : "-",
		 (long long)(at_s > 1 ? at_s - NOW : at_s));
	state_lineage_done(&lineage);
	return text;
}

static void want_two_names(struct state *state, const char *name)
{
	const struct certificate_spec spec = {.name = name,
					      .identifiers = STRING_LIST(name, "added.example"),
					      .cas = STRING_LIST(OTHER),
					      .source = "config"};

	assert_int_equal(state_set_spec(state, &spec, NULL), 0);
}

static void order_succeeds(struct state *state, int64_t id)
{
	const struct state_certificate certificate = state_test_certificate(NOW, LIFE);

	assert_int_equal(state_order_succeeded(state, id, &certificate, NOW), 0);
}

static void order_fails(struct state *state, int64_t id)
{
	const struct state_failure failure = {
		.text = "caa", .next_attempt_s = NOW + 60, .next_ca = OTHER};

	assert_int_equal(state_order_failed(state, id, &failure, NOW), 0);
}

static void test_the_way_of_an_order(void **context)
{
	struct state *state = state_of(context);
	int64_t id = state_test_want(state, "a.example", "config");

	assert_string_equal(shown(state, id), "waiting - 1");
	state_test_order(state, id);
	assert_string_equal(shown(state, id), "ordering - 0");
	order_fails(state, id);
	assert_string_equal(shown(state, id), "retrying caa 60");
	assert_int_equal(state_postpone(state, id, NOW + 90, NULL, "the CA asks to wait"), 0);
	assert_string_equal(shown(state, id), "held the CA asks to wait 90");
	state_test_order(state, id);
	/* Another process puts it off: the order goes on. */
	assert_int_equal(state_postpone(state, id, NOW + 95, NULL, "busy"), 0);
	assert_string_equal(shown(state, id), "ordering - 0");
	assert_int_equal(state_order_drop(state, id), 0);
	assert_string_equal(shown(state, id), "retrying caa 95");
	state_test_order(state, id);
	order_succeeds(state, id);
	assert_string_equal(shown(state, id), "waiting - 5184000");
}

/* Row A12. */
static void test_names_change_during_the_order(void **context)
{
	struct state *state = state_of(context);
	int64_t id = state_test_want(state, "a.example", "config");
	struct state_lineage lineage;

	state_test_order(state, id);
	want_two_names(state, "a.example");
	order_succeeds(state, id);
	assert_string_equal(shown(state, id), "waiting - 1");
	assert_string_equal(state_test_due(state, NOW, 9), "a.example");

	/* What fails says nothing of what is wanted now; and the CA is one that is wanted now. */
	state_test_want(state, "a.example", "config");
	state_test_order(state, id);
	want_two_names(state, "a.example");
	order_fails(state, id);
	assert_string_equal(shown(state, id), "waiting - 1");
	lineage = state_test_read(state, id);
	assert_int_equal(lineage.failures, 0);
	assert_string_equal(lineage.last_failure, "caa");
	assert_string_equal(lineage.ca, OTHER);
	state_lineage_done(&lineage);
}

/* A CA is taken out of the list while its order fails.  Row A12. */
static void test_cas_change_during_the_order(void **context)
{
	const struct certificate_spec spec = {.name = "a.example",
					      .identifiers = STRING_LIST("a.example"),
					      .cas = STRING_LIST("https://third.example/directory"),
					      .source = "config"};
	struct state *state = state_of(context);
	int64_t id = state_test_want(state, "a.example", "config");
	struct state_lineage lineage;

	state_test_order(state, id);
	assert_int_equal(state_set_spec(state, &spec, NULL), 0);
	order_fails(state, id);
	lineage = state_test_read(state, id);
	assert_string_equal(lineage.ca, "https://third.example/directory");
	state_lineage_done(&lineage);
	assert_int_equal(state_postpone(state, id, NOW, CA, NULL), 0);
	lineage = state_test_read(state, id);
	assert_string_equal(lineage.ca, "https://third.example/directory");
	state_lineage_done(&lineage);
}

/* Row A11. */
static void test_pause(void **context)
{
	struct state *state = state_of(context);
	int64_t id = state_test_want(state, "a.example", "config");

	assert_int_equal(state_pause(state, id, "revoked"), 0);
	assert_string_equal(shown(state, id), "paused revoked 0");
	/* An order that somebody asks for ends the pause, and so does its success. */
	state_test_order(state, id);
	assert_string_equal(shown(state, id), "ordering - 0");
	order_succeeds(state, id);
	assert_string_equal(shown(state, id), "waiting - 5184000");

	/* One that is paused during the order stays paused. */
	state_test_order(state, id);
	assert_int_equal(state_pause(state, id, "visit"), 0);
	order_succeeds(state, id);
	assert_string_equal(shown(state, id), "paused visit 0");
	state_test_order(state, id);
	assert_int_equal(state_pause(state, id, "visit"), 0);
	order_fails(state, id);
	assert_string_equal(shown(state, id), "paused visit 0");
	assert_int_equal(state_pause(state, id, NULL), 0);
	assert_string_equal(shown(state, id), "retrying caa 5184000");

	/* One that is unpaused with an order in flight is ordering again. */
	state_test_order(state, id);
	assert_int_equal(state_pause(state, id, "visit"), 0);
	assert_int_equal(state_pause(state, id, NULL), 0);
	assert_string_equal(shown(state, id), "ordering - 0");
}

static int retire_row(void *context, const struct state_source_row *row)
{
	*(int64_t *)context = row->id;
	return 0;
}

/* There is one. */
static void retire_all(struct state *state)
{
	int64_t last = 0, id = 0;

	assert_int_equal(state_source_rows(state, "config", &last, 10, retire_row, &id), 0);
	assert_int_equal(state_source_retire(state, "config", id), 0);
}

static void test_retired(void **context)
{
	struct state *state = state_of(context);
	int64_t id = state_test_want(state, "a.example", "config");

	state_test_order(state, id);
	retire_all(state);
	assert_string_equal(shown(state, id), "retired - 0");
	order_succeeds(state, id);
	assert_string_equal(shown(state, id), "retired - 0");
	state_test_want(state, "a.example", "config");
	assert_string_equal(shown(state, id), "waiting - 5184000");
	/* Out of the configuration and back, a pause stays. */
	assert_int_equal(state_pause(state, id, "revoked"), 0);
	retire_all(state);
	state_test_want(state, "a.example", "config");
	assert_string_equal(shown(state, id), "paused revoked 0");
	/* And an order in flight is still in flight. */
	state_test_order(state, id);
	retire_all(state);
	state_test_want(state, "a.example", "config");
	assert_string_equal(shown(state, id), "ordering - 0");
}

/* Row A13. */
static void test_the_configuration_owns_its_rows(void **context)
{
	struct certificate_spec spec = {.name = "a.example",
					.identifiers = STRING_LIST("a.example"),
					.cas = STRING_LIST(CA),
					.tenant = "customer",
					.source = "config",
					.settings.key_type = "rsa2048",
					.settings.deploy_hook = "reload"};
	struct state *state = state_of(context);
	struct state_lineage lineage;
	int64_t id, again;

	assert_int_equal(state_set_spec(state, &spec, &id), 0);
	assert_int_equal(state_test_want(state, "a.example", "cli"), id);
	lineage = state_test_read(state, id);
	assert_string_equal(lineage.spec.source, "config");
	assert_string_equal(lineage.spec.tenant, "customer");
	assert_string_equal(lineage.spec.settings.key_type, "rsa2048");
	assert_string_equal(lineage.spec.settings.deploy_hook, "reload");
	assert_int_equal(lineage.revision, 0);
	state_lineage_done(&lineage);
	/* Once it is not in the configuration any more the command line has it. */
	retire_all(state);
	assert_int_equal(state_test_want(state, "a.example", "cli"), id);
	lineage = state_test_read(state, id);
	assert_string_equal(lineage.spec.source, "cli");
	state_lineage_done(&lineage);
	/* The configuration takes what the command line has. */
	assert_int_equal(state_set_spec(state, &spec, &again), 0);
	assert_int_equal(again, id);
	lineage = state_test_read(state, id);
	assert_string_equal(lineage.spec.source, "config");
	state_lineage_done(&lineage);
}

static void test_expecting(void **context)
{
	struct state *state = state_of(context);
	int64_t id = state_test_want(state, "a.example", "config");
	struct state_lineage lineage = state_test_read(state, id);

	assert_int_equal(state_begin(state), 0);
	assert_int_equal(state_expect(state, &lineage), 0);
	assert_int_equal(state_postpone(state, id, NOW, NULL, "x"), 0);
	assert_int_equal(state_commit(state), 0);
	assert_int_equal(state_begin(state), 0);
	assert_int_equal(state_expect(state, &lineage), -EAGAIN);
	state_rollback(state);
	state_lineage_done(&lineage);
	lineage = state_test_read(state, id);
	assert_int_equal(state_lineage_delete(state, id), 0);
	assert_int_equal(state_begin(state), 0);
	assert_int_equal(state_expect(state, &lineage), -EAGAIN);
	state_rollback(state);
	state_lineage_done(&lineage);
}

/* --- moments ------------------------------------------------------------------------------------ */

/* Whatever the renewal's moment is, not again within a twentieth of the life.  Rows A6 and B1. */
static void test_pause_after_an_issuance(void **context)
{
	struct state_certificate certificate = state_test_certificate(NOW - LIFE, LIFE);
	struct state_filter filter = {0};
	struct state *state = state_of(context);
	int64_t id = state_test_want(state, "a.example", "config"), count;
	const struct state_window window = {.start_s = 1,
					    .end_s = 2,
					    .check_at_s = NOW + 1,
					    .renew_at_s = NOW,
					    .priority = STATE_EARLY};

	/* It has expired by this host's clock when it comes, and its window is over. */
	state_test_order(state, id);
	assert_int_equal(state_order_succeeded(state, id, &certificate, NOW), 0);
	assert_int_equal(state_set_window(state, id, certificate.ari_id, &window), 0);
	assert_string_equal(state_test_due(state, NOW + LIFE / 20 - 1, 9), "");
	assert_string_equal(state_test_due(state, NOW + LIFE / 20, 9), "a.example");
	/* Who forces it means it. */
	assert_int_equal(state_mark_due(state, &filter, STATE_NORMAL, &count), 0);
	assert_string_equal(state_test_due(state, NOW, 9), "a.example");
	/* An hour at least, three quarters of a shorter life, and the hour for what is revoked. */
	certificate = state_test_certificate(NOW - 5 * HOUR, 5 * HOUR);
	state_test_order(state, id);
	assert_int_equal(state_order_succeeded(state, id, &certificate, NOW), 0);
	assert_string_equal(shown(state, id), "waiting - 3600");
	certificate = state_test_certificate(NOW - HOUR, HOUR);
	state_test_order(state, id);
	assert_int_equal(state_order_succeeded(state, id, &certificate, NOW), 0);
	assert_string_equal(shown(state, id), "waiting - 2700");
	certificate = state_test_certificate(NOW - LIFE, LIFE);
	state_test_order(state, id);
	assert_int_equal(state_order_succeeded(state, id, &certificate, NOW), 0);
	assert_int_equal(state_set_renewal(state, id, NOW, STATE_URGENT), 0);
	assert_string_equal(shown(state, id), "waiting - 3600");
}

/* The clock is years ahead for one run, then right again.  Row A7. */
static void test_clock_ahead(void **context)
{
	const int64_t ahead = NOW + 3000 * DAY;
	const struct state_failure failure = {.text = "no", .next_attempt_s = ahead + DAY};
	struct state_certificate certificate = state_test_certificate(NOW - LIFE, LIFE);
	struct state *state = state_of(context);
	int64_t failed = state_test_want(state, "failed.example", "config");
	int64_t held = state_test_want(state, "held.example", "config");
	int64_t issued = state_test_want(state, "issued.example", "config");
	int64_t at_s;

	assert_int_equal(state_order_failed(state, failed, &failure, ahead), 0);
	assert_int_equal(state_postpone(state, held, ahead + HOUR, NULL, "wait"), 0);
	/* The CA's clock is right: its certificate has expired by ours. */
	certificate.check_at_s = ahead;
	certificate.renew_at_s = ahead;
	assert_int_equal(state_order_succeeded(state, issued, &certificate, ahead), 0);
	assert_string_equal(state_test_due(state, NOW, 9), "");

	assert_int_equal(state_correct(state, NOW), 0);
	assert_string_equal(state_test_due(state, NOW, 9), "failed.example held.example");
	assert_string_equal(state_test_due(state, NOW + LIFE / 20, 9),
			    "issued.example failed.example held.example");
	assert_int_equal(state_next_check(state, &at_s), 0);
	assert_int_equal(at_s, NOW);
	/* What is plausible stays. */
	assert_int_equal(state_postpone(state, held, NOW + DAY, NULL, "wait"), 0);
	assert_int_equal(state_correct(state, NOW), 0);
	assert_string_equal(shown(state, held), "held wait 86400");
}

/* A renewal is never later than the certificate's end. */
static void test_renewal_before_the_end(void **context)
{
	struct state_certificate certificate = state_test_certificate(NOW - LIFE, LIFE);
	struct state *state = state_of(context);
	int64_t id = state_test_want(state, "a.example", "config");

	certificate.renew_at_s = NOW + 3000 * DAY;
	assert_int_equal(state_set_certificate(state, id, &certificate), 0);
	assert_string_equal(shown(state, id), "waiting - 0");
}

/* A certificate that is about to expire comes before new names.  Row A24. */
static void test_danger(void **context)
{
	struct state_certificate certificate = state_test_certificate(NOW + HOUR - LIFE, LIFE);
	struct state *state = state_of(context);
	int64_t id;

	state_test_want(state, "new1.example", "config");
	state_test_want(state, "new2.example", "config");
	id = state_test_want(state, "old.example", "config");
	assert_int_equal(state_set_certificate(state, id, &certificate), 0);
	assert_int_equal(state_correct(state, NOW), 0);
	assert_string_equal(state_test_due(state, NOW, 2), "old.example new1.example");
	assert_string_equal(state_test_due(state, NOW, 1), "old.example");
	/* A new certificate is not in danger. */
	certificate = state_test_certificate(NOW, LIFE);
	state_test_order(state, id);
	assert_int_equal(state_order_succeeded(state, id, &certificate, NOW), 0);
	assert_int_equal(state_correct(state, NOW), 0);
	assert_string_equal(state_test_due(state, NOW + LIFE / 3 * 2, 9),
			    "new1.example new2.example old.example");
}

/* The smallest share of its life left comes first, and new names before what has enough.  Row A24. */
static void test_share_of_life(void **context)
{
	static const struct {
		const char *name;
		int64_t life_s, left_s;
	} cases[] = {
		{"c.example", 90 * DAY, 28 * DAY},
		{"b.example", 398 * DAY, 100 * DAY},
		{"a.example", 6 * DAY, 1 * DAY + 2 * HOUR},
	};
	struct state *state = state_of(context);
	struct state_certificate certificate;
	int64_t id;
	size_t i;

	for (i = 0; i < 3; i++) {
		certificate = state_test_certificate(NOW + cases[i].left_s - cases[i].life_s,
						     cases[i].life_s);
		certificate.renew_at_s = NOW - (int64_t)i;
		id = state_test_want(state, cases[i].name, "config");
		assert_int_equal(state_set_certificate(state, id, &certificate), 0);
	}
	state_test_want(state, "new.example", "config");
	assert_int_equal(state_correct(state, NOW), 0);
	assert_string_equal(state_test_due(state, NOW, 9),
			    "new.example a.example b.example c.example");
}

/* An answer that is about a certificate which has been replaced says nothing of the new one. */
static void test_window_of_another(void **context)
{
	const struct state_window window = {.start_s = 1, .end_s = 2, .check_at_s = NOW};
	struct state *state = state_of(context);
	int64_t id = state_test_want(state, "a.example", "config");

	order_succeeds(state, id);
	assert_int_equal(state_set_window(state, id, "other.id", &window), -ENOENT);
	assert_int_equal(state_set_check(state, id, "other.id", 0), -ENOENT);
	assert_int_equal(state_set_check(state, id, "aYhb.AIdl", 0), 0);
}

static void test_version(void **context)
{
	struct state_test *test = *context;
	struct state_test other = {.paths = test->paths};
	int64_t first, second;

	assert_int_equal(state_version(test->state, &first), 0);
	assert_int_equal(state_version(test->state, &second), 0);
	assert_int_equal(second, first);
	state_test_want(state_test_open(&other), "a.example", "cli");
	assert_int_equal(state_version(test->state, &second), 0);
	assert_int_not_equal(second, first);
	assert_int_equal(state_version(test->state, &first), 0);
	assert_int_equal(second, first);
	state_test_want(test->state, "b.example", "cli");
	assert_int_equal(state_version(test->state, &second), 0);
	assert_int_not_equal(second, first);
	state_free(other.state);
}

/* When an order in flight that may have lost its process is looked at. */
static void test_next_in_flight(void **context)
{
	struct state *state = state_of(context);
	int64_t id = state_test_want(state, "a.example", "cli"), at_s;

	assert_int_equal(state_next_in_flight(state, 300, &at_s), 0);
	assert_int_equal(at_s, 0);
	state_test_order(state, id);
	assert_int_equal(state_next_in_flight(state, 300, &at_s), 0);
	assert_int_equal(at_s, NOW + 300);
	assert_int_equal(state_postpone(state, id, NOW + 60, NULL, "busy"), 0);
	assert_int_equal(state_next_in_flight(state, 300, &at_s), 0);
	assert_int_equal(at_s, NOW + 60);
	assert_int_equal(state_pause(state, id, "visit"), 0);
	assert_int_equal(state_next_in_flight(state, 300, &at_s), 0);
	assert_int_equal(at_s, 0);
}

static int add_planned(void *context, const struct state_lineage *lineage)
{
	strcat(context, lineage->spec.name);
	strcat(context, " ");
	return 0;
}

/* Row A11. */
static void test_plan_has_all(void **context)
{
	struct state *state = state_of(context);
	char text[256] = "";
	int64_t id;

	state_test_want(state, "gone", "config");
	retire_all(state);
	state_test_want(state, "due", "cli");
	id = state_test_want(state, "later", "cli");
	assert_int_equal(state_postpone(state, id, NOW + 5, NULL, "x"), 0);
	assert_int_equal(state_pause(state, state_test_want(state, "paused", "cli"), "x"), 0);
	state_test_order(state, state_test_want(state, "ordering", "cli"));
	assert_int_equal(state_plan(state, INT64_MAX, 100, add_planned, text), 0);
	assert_string_equal(text, "ordering paused gone due later ");
}

/* --- deploying ---------------------------------------------------------------------------------- */

static int add_undeployed(void *context, const struct state_undeployed *undeployed)
{
	char *text = context;

	snprintf(text + strlen(text), 64, "%s:%lld:%u ", undeployed->name,
		 (long long)undeployed->generation, undeployed->failures);
	return 0;
}

static const char *undeployed(struct state *state, int64_t now_s)
{
	static char text[256];

	text[0] = '\0';
	assert_int_equal(state_undeployed(state, now_s, 64, add_undeployed, text), 0);
	return text;
}

static void test_deploying(void **context)
{
	struct state_certificate second = state_test_certificate(NOW, LIFE);
	struct state_test *test = *context;
	struct state *state = test->state;
	int64_t id = state_test_want(state, "a.example", "config"), at_s;
	struct state_lineage lineage;

	assert_string_equal(undeployed(state, NOW), "");
	assert_int_equal(state_next_deploy(state, &at_s), 0);
	assert_int_equal(at_s, 0);
	order_succeeds(state, id);
	/* The process dies before the hooks. */
	state = state_test_again(test);
	assert_string_equal(undeployed(state, NOW), "a.example:1:0 ");
	assert_int_equal(state_deploy_failed(state, id, 1, "E2BIG", NOW + 60), 0);
	assert_string_equal(undeployed(state, NOW), "");
	assert_string_equal(undeployed(state, NOW + 60), "a.example:1:1 ");
	assert_int_equal(state_next_deploy(state, &at_s), 0);
	assert_int_equal(at_s, NOW + 60);
	assert_int_equal(state_deployed(state, id, 1), 0);
	assert_string_equal(undeployed(state, NOW + 60), "");

	second.generation = 2;
	assert_int_equal(state_order_succeeded(state, id, &second, NOW), 0);
	assert_string_equal(undeployed(state, NOW), "a.example:2:0 ");
	/* What is said of another generation than the present one says nothing. */
	assert_int_equal(state_deployed(state, id, 1), -EAGAIN);
	assert_int_equal(state_deployed(state, 999, 1), -ENOENT);
	second.generation = 1;
	assert_int_equal(state_deploy_refused(state, id, 2, "bad key", &second, NOW + 99), 0);
	/* Its hooks run again for the previous one. */
	assert_string_equal(undeployed(state, NOW), "a.example:1:1 ");
	lineage = state_test_read(state, id);
	assert_int_equal(lineage.generation, 1);
	assert_int_equal(lineage.refused_generation, 2);
	assert_string_equal(lineage.deploy_failure, "bad key");
	state_lineage_done(&lineage);
	/* That one is refused, too. */
	second.generation = 2;
	assert_int_equal(state_deploy_returned(state, id, 1, "bad configuration", &second, NOW + 9),
			 0);
	assert_string_equal(undeployed(state, NOW), "");
	assert_string_equal(undeployed(state, NOW + 9), "a.example:2:2 ");
	assert_int_equal(state_redeploy(state, id), 0);
	assert_string_equal(undeployed(state, NOW), "a.example:2:0 ");
	assert_int_equal(state_set_generation(state, id, 3, true), 0);
	assert_string_equal(undeployed(state, NOW), "");
	assert_int_equal(state_set_generation(state, id, 4, false), 0);
	assert_string_equal(undeployed(state, NOW), "a.example:4:0 ");
}

/* What is found on the disk is taken to be in use. */
static void test_found_counts_as_deployed(void **context)
{
	const struct state_certificate certificate = state_test_certificate(NOW, LIFE);
	struct state *state = state_of(context);
	int64_t id = state_test_want(state, "a.example", "disk");

	assert_int_equal(state_set_certificate(state, id, &certificate), 0);
	assert_string_equal(undeployed(state, NOW), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, state_test_setup, state_test_teardown)
		T(test_the_way_of_an_order),
		T(test_names_change_during_the_order),
		T(test_cas_change_during_the_order),
		T(test_pause),
		T(test_retired),
		T(test_the_configuration_owns_its_rows),
		T(test_expecting),
		T(test_pause_after_an_issuance),
		T(test_clock_ahead),
		T(test_renewal_before_the_end),
		T(test_danger),
		T(test_share_of_life),
		T(test_window_of_another),
		T(test_version),
		T(test_next_in_flight),
		T(test_plan_has_all),
		T(test_deploying),
		T(test_found_counts_as_deployed),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
