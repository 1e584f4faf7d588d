// SPDX-License-Identifier: GPL-3.0-or-later
/* Failures and whose they are: the CA's, this host's, one name's. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/invariants.h"
#include "tests/sim/scenarios.h"
#include "tests/sim/world.h"

static void trouble_for(struct world *world, size_t ca, struct model_trouble trouble, double days)
{
	world_ca_trouble(world, ca, trouble, 0, days);
}

/* The CA that has issued what is in use; -1: none of them. */
static int issuer_of(const struct world *world, const struct world_certificate *certificate)
{
	size_t i;

	for (i = 0; i < world->ca_count; i++)
		if (model_ca_find(world->cas[i], certificate->disk.serial))
			return (int)i;
	return -1;
}

/* Let the first CA be in trouble for good from day 50 on; the second one must be asked in time. */
static void fails_over(struct model_trouble trouble)
{
	struct world *world = world_ready(2, 3);
	size_t i;

	world_run_days(world, 50);
	trouble_for(world, 0, trouble, 100);
	world_run_days(world, 39);
	for (i = 0; i < world->certificate_count; i++)
		world_expect(issuer_of(world, &world->certificates[i]) == 1,
			     "%s is not of the second CA", world->certificates[i].name);
	world_end(world);
}

/* Row A18. */
void scenario_first_ca_always_busy(void)
{
	fails_over((struct model_trouble){.kind = TROUBLE_STATUS,
					  .value = 503,
					  .retry_after = RETRY_AFTER_SECONDS,
					  .wait_s = 3600});
}

/* Row A18. */
void scenario_first_ca_wants_a_visit(void)
{
	fails_over((struct model_trouble){.kind = TROUBLE_PAUSED});
}

/* Row A18. */
void scenario_first_ca_down(void)
{
	fails_over((struct model_trouble){.kind = TROUBLE_DOWN});
}

/* Row A18.  The CA is believed for a day, and not for a month.*/
void scenario_retry_after_a_month(void)
{
	struct world *world = world_ready(1, 3);

	world_run_days(world, 55);
	trouble_for(world, 0,
		    (struct model_trouble){.kind = TROUBLE_LIMITED,
					   .retry_after = RETRY_AFTER_SECONDS,
					   .wait_s = 25 * WORLD_DAY_S},
		    7);
	world_run_days(world, 30);
	invariants_quiet(world);
	world_end(world);
}

/* Row A19. */
void scenario_renew_passes_those_that_wait(void)
{
	struct world *world = world_with(1, 104);
	size_t i;

	/* A hundred of a domain that has used up its limit, four of another. */
	for (i = 0; i < world->certificate_count; i++)
		snprintf(world->certificates[i].names[0], WORLD_NAME_MAX, "w%zu.%s.test", i,
			 i < 100 ? "full" : "free");
	snprintf(world->ca_settings[0], sizeof(world->ca_settings[0]), "domain-limit = 4/7d\n");
	world_configure(world);
	world_verb(world, "renew", NULL);
	world_expect(world->issued == 8, "%llu were issued, not four of each domain",
		     (unsigned long long)world->issued);
	world_end(world);
}

/* Row A23. */
static void host_fails(unsigned int seams, int error, const char *path)
{
	struct world *world = world_ready(2, 3);
	unsigned int fault;
	size_t i;

	world_run_days(world, 55);
	fault = sim_fault_add(&(struct sim_fault){.seams = seams, .error = error, .path = path});
	world_note_trouble(world, "the host fails", sim_true_s(), sim_true_s() + 10 * WORLD_DAY_S,
			   WORLD_ALL, WORLD_CAS_MAX);
	world_run_days(world, 10);
	sim_fault_remove(fault);
	/* It looks again every ten minutes. */
	world_run_days(world, 2 / 24.0);
	for (i = 0; i < world->certificate_count; i++) {
		const struct world_certificate *certificate = &world->certificates[i];

		world_expect(sim_true_s() - certificate->disk_s < WORLD_DAY_S,
			     "%s was not renewed when the host was well", certificate->name);
		world_expect(issuer_of(world, certificate) == 0, "%s has changed its CA",
			     certificate->name);
	}
	invariants_quiet(world);
	world_end(world);
}

/* Row A23. */
void scenario_archive_full(void)
{
	host_fails(SIM_SPACE, ENOSPC, "/archive/");
}

/* Row A23. */
void scenario_disk_read_only(void)
{
	host_fails(SIM_FILES, EROFS, "/var/lib/sidestep");
}

/* Row A23. */
void scenario_no_descriptors(void)
{
	host_fails(SIM_OPEN | SIM_CREATE, EMFILE, "/archive/");
}

static size_t others_on_time(const struct world *world)
{
	size_t count = 0, i;

	for (i = 1; i < world->certificate_count; i++)
		count += world_serves_disk(&world->certificates[i]);
	return count;
}

/* One name's trouble is no other's. */
void scenario_one_name_fails(void)
{
	struct world *world = world_with(1, 10);

	strcpy(world->unreachable, "c0.test");
	world_note_trouble(world, "unreachable", sim_true_s(), INT64_MAX, 1, WORLD_CAS_MAX);
	world_configure(world);
	world_start_daemon(world);
	world_run_days(world, 1 / 24.0);
	world_expect(others_on_time(world) == 9, "only %zu of the nine others are there",
		     others_on_time(world));
	world_run_days(world, 100);
	world_expect(model_ca_counts(world->cas[0])->failed_validations < 400,
		     "%llu validations failed",
		     (unsigned long long)model_ca_counts(world->cas[0])->failed_validations);
	world->unreachable[0] = '\0';
	world->troubles[0].until_s = sim_true_s();
	world_run_days(world, 3);
	invariants_quiet(world);
	world_end(world);
}

static void break_the_orders(struct world *world, const struct model_certificate *certificate)
{
	(void)certificate;
	world->on_issued = NULL;
	world_ca_trouble(world, 0,
			 (struct model_trouble){.kind = TROUBLE_STATUS,
						.value = 503,
						.resources = RESOURCE_ORDER | RESOURCE_FINALIZE |
							     RESOURCE_CERTIFICATE},
			 0, 0.02);
}

/* Row A27. */
void scenario_busy_after_finalize(void)
{
	struct world *world = world_with(1, 1);

	model_ca_add_trouble(world->cas[0], &(struct model_trouble){.kind = TROUBLE_PROCESSING,
								    .until_s = INT64_MAX,
								    .value = 1});
	world->on_issued = break_the_orders;
	world_configure(world);
	world_start_daemon(world);
	world_await_all(world, 2);
	world_expect(world->issued == 1, "issued %llu times", (unsigned long long)world->issued);
	world_end(world);
}

/* Row A27. */
void scenario_finalize_answer_lost(void)
{
	struct world *world = world_with(1, 1);

	model_ca_add_trouble(world->cas[0],
			     &(struct model_trouble){.kind = TROUBLE_LOST,
						     .until_s = INT64_MAX,
						     .most = 1,
						     .resources = RESOURCE_FINALIZE});
	world_configure(world);
	world_start_daemon(world);
	world_await_all(world, 1);
	world_expect(world->issued == 1, "issued %llu times", (unsigned long long)world->issued);
	world_end(world);
}

/* Row A28. */
void scenario_split_horizon(void)
{
	struct world *world = world_with(1, 2);

	strcpy(world->hidden, "c0.test");
	strcpy(world->unreachable, "c0.test");
	world_note_trouble(world, "unreachable", sim_true_s(), sim_true_s() + WORLD_DAY_S, 1,
			   WORLD_CAS_MAX);
	world_configure(world);
	world_start_daemon(world);
	world_run_days(world, 1);
	world->unreachable[0] = '\0';
	world_run_days(world, 100);
	invariants_quiet(world);
	world_end(world);
}

static void lose_verdicts(struct world *world, const char *url)
{
	if (!strstr(url, "/challenge/"))
		return;
	world->on_request = NULL;
	model_ca_add_trouble(world->cas[0],
			     &(struct model_trouble){.kind = TROUBLE_LOST,
						     .until_s = INT64_MAX,
						     .most = 4,
						     .resources = RESOURCE_AUTHORIZATION});
}

/* Row A38. */
void scenario_ready_answer_lost(void)
{
	struct world *world = world_with(1, 1);

	world->on_request = lose_verdicts;
	world_configure(world);
	world_start_daemon(world);
	world_run_days(world, 1 / 24.0);
	world_expect(model_ca_counts(world->cas[0])->orders == 1, "%llu orders were made",
		     (unsigned long long)model_ca_counts(world->cas[0])->orders);
	world_await_all(world, 1);
	world_end(world);
}

/* Row A39. */
void scenario_renewal_info_hangs(void)
{
	struct world *world = world_ready(1, 30);
	struct sim_process *renew;

	world_stop_daemon(world, SIGTERM);
	world_run_days(world, 2);
	trouble_for(
		world, 0,
		(struct model_trouble){.kind = TROUBLE_SILENT, .resources = RESOURCE_RENEWAL_INFO},
		1);
	renew = world_start_verb("renew", "--cert-name", "c3.test", "--force-renewal", NULL);
	world_force(world_find(world, "c3.test"), 24);
	world_expect(sim_wait(renew, 20 * SIM_SECOND) == 0,
		     "a renewal that was asked for waits for renewal windows");
	world_end(world);
}

/* Half of everything goes wrong, for a month. */
void scenario_bad_month(void)
{
	static const struct model_trouble troubles[] = {
		{.kind = TROUBLE_BAD_NONCE, .percent = 30},
		{.kind = TROUBLE_LOST, .percent = 10},
		{.kind = TROUBLE_STATUS, .value = 503, .percent = 10},
		{.kind = TROUBLE_STATUS,
		 .value = 429,
		 .percent = 3,
		 .retry_after = RETRY_AFTER_DATE,
		 .wait_s = 1000},
		{.kind = TROUBLE_OLD_STATE, .value = 5, .percent = 50},
		{.kind = TROUBLE_PROCESSING, .value = 20, .percent = 50},
		{.kind = TROUBLE_INTERNAL, .percent = 5},
	};
	struct world *world = world_with(1, 20);
	size_t i;

	for (i = 0; i < sizeof(troubles) / sizeof(*troubles); i++)
		trouble_for(world, 0, troubles[i], 30);
	world_configure(world);
	world_start_daemon(world);
	world_run_days(world, 40);
	invariants_quiet(world);
	world_end(world);
}
