// SPDX-License-Identifier: GPL-3.0-or-later
/* The state, the disk and the configuration, each of which may change or be lost. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/sim/invariants.h"
#include "tests/sim/scenarios.h"
#include "tests/sim/world.h"

static unsigned int fault;
static const struct sim_fault *fault_to_come;

static void end_fault(void *context)
{
	(void)context;
	sim_fault_remove(fault);
}

static void begin_fault(struct world *world, const struct model_certificate *certificate)
{
	(void)certificate;
	world->on_issued = NULL;
	fault = sim_fault_add(fault_to_come);
	sim_after(SIM_HOUR, end_fault, NULL);
	world_note_trouble(world, "the state cannot be written", sim_true_s(),
			   sim_true_s() + WORLD_HOUR_S, WORLD_ALL, WORLD_CAS_MAX);
}

/* The state fails for an hour when the first certificate is issued. */
static void state_fails(const struct sim_fault *how)
{
	struct world *world = world_with(1, 3);

	fault_to_come = how;
	world->on_issued = begin_fault;
	world_configure(world);
	world_start_daemon(world);
	world_run_days(world, 2);
	world_expect(world->issued == 3, "%llu were issued for three",
		     (unsigned long long)world->issued);
	invariants_quiet(world);
	world_run_days(world, 100);
	invariants_quiet(world);
	world_end(world);
}

/* Row A5. */
void scenario_state_full(void)
{
	state_fails(&(struct sim_fault){.seams = SIM_SQL_WRITE, .error = ENOSPC});
}

/* Row A5. */
void scenario_state_locked(void)
{
	state_fails(&(struct sim_fault){.seams = SIM_SQL_LOCK, .error = EBUSY});
}

/* Row A5. */
void scenario_state_unreadable_at_start(void)
{
	struct world *world = world_with(1, 3);

	fault = sim_fault_add(&(struct sim_fault){
		.seams = SIM_SQL_LOCK | SIM_SQL_READ, .error = EBUSY, .path = "state.db"});
	sim_after(2 * SIM_MINUTE, end_fault, NULL);
	world_configure(world);
	world_start_daemon(world);
	world_await_all(world, 1);
	invariants_quiet(world);
	world_end(world);
}

static bool is_planned(const char *name)
{
	char text[WORLD_NAME_MAX + 8];

	snprintf(text, sizeof(text), "\"%s\"", name);
	return strstr(world_output(), text) != NULL;
}

/* Row A11. */
void scenario_revoked_and_renewed(void)
{
	struct world *world = world_ready(1, 2);
	struct world_certificate *certificate = world_find(world, "c0.test");

	world_run_days(world, 1);
	world_force(certificate, 48);
	world_note_trouble(world, "revoked by hand", sim_true_s(), sim_true_s() + 2 * WORLD_DAY_S,
			   1, WORLD_CAS_MAX);
	world_expect(world_verb(world, "revoke", "c0.test", NULL) == 0, "revoke fails");
	world_expect(world_verb(world, "plan", "--json", NULL) == 0 && is_planned("c0.test"),
		     "plan leaves out what is paused");
	world_expect(
		world_verb(world, "renew", "--cert-name", "c0.test", "--force-renewal", NULL) == 0,
		"renew --force-renewal fails");
	world_run_days(world, 120);
	invariants_quiet(world);
	world_end(world);
}

/* Row A12.  A name is added while the order is under way.*/
static void add_name(struct world *world, const struct model_certificate *issued)
{
	struct world_certificate *certificate = world_find(world, "c0.test");

	(void)issued;
	world->on_issued = NULL;
	strcpy(certificate->names[1], "more.test");
	certificate->name_count = 2;
	certificate->wanted_s = sim_true_s();
	world_configure(world);
}

/* Row A12. */
void scenario_name_added_during_order(void)
{
	struct world *world = world_with(1, 1);

	model_ca_add_trouble(
		world->cas[0],
		&(struct model_trouble){.kind = TROUBLE_SLOW, .until_s = INT64_MAX, .value = 5000});
	world->on_issued = add_name;
	world_configure(world);
	world_start_daemon(world);
	world_run_days(world, 3);
	world_expect(world_find(world, "c0.test")->disk.name_count == 2,
		     "the name that was added is not in the certificate");
	invariants_quiet(world);
	world_end(world);
}

/* Row A12.  The CA is taken out of the configuration while an order hangs there.*/
static void leave_ca(void *context)
{
	struct world *world = context;

	world->certificates[0].cas[0] = 1;
	world->certificates[0].wanted_s = sim_true_s();
	world_configure(world);
}

static void leave_ca_soon(struct world *world, const char *url)
{
	if (!strstr(url, "/order/new"))
		return;
	world->on_request = NULL;
	sim_after(SIM_SECOND, leave_ca, world);
}

/* Row A12. */
void scenario_ca_removed_during_failure(void)
{
	struct world *world = world_with(2, 1);

	world->certificates[0].ca_count = 1;
	world_ca_trouble(
		world, 0,
		(struct model_trouble){.kind = TROUBLE_SILENT, .resources = RESOURCE_NEW_ORDER}, 0,
		100);
	world->on_request = leave_ca_soon;
	world_configure(world);
	world_start_daemon(world);
	world_run_days(world, 3);
	invariants_quiet(world);
	world_end(world);
}

/* Row A13. */
void scenario_certonly_of_a_configured_name(void)
{
	struct world *world = world_with(1, 1);
	struct world_certificate *certificate = &world->certificates[0];

	strcpy(certificate->key_type, "p384");
	certificate->has_own_hook = true;
	world_configure(world);
	world_start_daemon(world);
	world_await_all(world, 1);
	world_run_days(world, 10);
	world_force(certificate, 24);
	world_note_trouble(world, "certonly by hand", sim_true_s(), sim_true_s() + WORLD_HOUR_S, 1,
			   WORLD_CAS_MAX);
	world_verb(world, "certonly", "-d", "c0.test", "--cert-name", "c0.test", "--force-renewal",
		   NULL);
	world_run_days(world, 150);
	invariants_quiet(world);
	world_end(world);
}

/* Row A13. */
void scenario_certonly_fails_for_a_configured_name(void)
{
	struct world *world = world_with(1, 1);

	world_configure(world);
	world_ca_trouble(world, 0, (struct model_trouble){.kind = TROUBLE_DOWN}, 0, 0.5);
	world_start_daemon(world);
	world_run_days(world, 0.25);
	world_expect(world_verb(world, "certonly", "-d", "c0.test", NULL) != 0,
		     "certonly succeeds at a CA that is down");
	world_expect(world_verb(world, "plan", "--json", NULL) == 0 && is_planned("c0.test"),
		     "a configured name is not planned any more");
	world_await_all(world, 2);
	world_end(world);
}

static void remove_tree(const char *path)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf %s/var/lib/sidestep/%s", sim_root(), path);
	if (system(command))
		sim_fail("cannot run %s", command);
}

/* Something on the disk is lost or damaged; within a day or so all is well. */
static void damage(void (*how)(void))
{
	struct world *world = world_ready(1, 2);
	struct world_certificate *certificate = world_find(world, "c0.test");

	world_run_days(world, 1);
	how();
	world_force(certificate, 48);
	world_note_trouble(world, TROUBLE_DAMAGE, sim_true_s(), sim_true_s() + 1, 1, WORLD_CAS_MAX);
	certificate->disk = (struct world_leaf){0};
	world_run_days(world, 2);
	certificate->disk = (struct world_leaf){0};
	invariants_quiet(world);
	world_end(world);
}

static void remove_all(void)
{
	remove_tree("live/c0.test");
	remove_tree("archive/c0.test");
}

static void remove_key(void)
{
	remove_tree("archive/c0.test/*/privkey.pem");
}

static void remove_live(void)
{
	remove_tree("live/c0.test");
}

static void damage_certificate(void)
{
	char path[256], target[64];
	ssize_t size;

	snprintf(path, sizeof(path), "%s/var/lib/sidestep/archive/c0.test/current", sim_root());
	size = readlink(path, target, sizeof(target) - 1);
	target[size > 0 ? size : 0] = '\0';
	snprintf(path, sizeof(path), "var/lib/sidestep/archive/c0.test/%s/cert.pem", target);
	sim_file_write(path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
}

/* Row A14. */
void scenario_certificate_removed(void)
{
	damage(remove_all);
}

/* Row A14. */
void scenario_key_removed(void)
{
	damage(remove_key);
}

/* Row A14. */
void scenario_live_removed(void)
{
	damage(remove_live);
}

/* Row A14. */
void scenario_certificate_damaged(void)
{
	damage(damage_certificate);
}

/* Row A15. */
void scenario_state_lost(void)
{
	struct world *world = world_with(1, 1);
	struct world_certificate *certificate = &world->certificates[0];

	certificate->is_by_hand = true;
	strcpy(certificate->key_type, "p384");
	certificate->has_own_hook = true;
	world_configure(world);
	world_expect(world_verb(world, "certonly", "-d", "c0.test", "--key-type", "p384",
				"--deploy-hook", "load c0.test", NULL) == 0,
		     "certonly fails");
	remove_tree("state.db*");
	world_start_daemon(world);
	world_run_days(world, 100);
	invariants_quiet(world);
	world_end(world);
}

/* Row A17. */
void scenario_delete_during_renewal(void)
{
	uint64_t delay_ms;

	for (delay_ms = 0; delay_ms < 4000; delay_ms += 100) {
		struct world *world = world_with(1, 2);
		struct world_certificate *certificate = &world->certificates[0];
		struct sim_process *renew;
		int status;

		/* With another one the state is not made again from the disk. */
		certificate->is_by_hand = world->certificates[1].is_by_hand = true;
		world_configure(world);
		world_expect(world_verb(world, "certonly", "-d", "c1.test", NULL) == 0 &&
				     world_verb(world, "certonly", "-d", "c0.test", NULL) == 0,
			     "certonly fails");
		world_force(certificate, 24);
		world_force(&world->certificates[1], 24);
		renew = world_start_verb("renew", "--force-renewal", NULL);
		sim_run_for(delay_ms);
		status = world_verb(world, "delete", "c0.test", NULL);
		sim_wait(renew, SIM_HOUR);
		world_expect(world_verb(world, "plan", "--json", NULL) == 0, "plan fails");
		world_look_at_disk(world);
		world_expect(is_planned("c0.test") == (status != 0),
			     "after %llu ms delete ends with %d, and the state differs",
			     (unsigned long long)delay_ms, status);
		world_expect((certificate->disk.serial[0] != '\0') == (status != 0),
			     "after %llu ms delete ends with %d, and the disk differs",
			     (unsigned long long)delay_ms, status);
		world_end(world);
	}
}

/* Row A33. */
void scenario_certonly_interrupted(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	uint64_t delay_ms;
	size_t i;

	for (i = 0; i < 3; i++) {
		for (delay_ms = 1; delay_ms < 2000; delay_ms += 150) {
			struct world *world = world_with(1, 0);
			struct sim_process *certonly;

			world_configure(world);
			certonly = world_start_verb("certonly", "-d", "c0.test", NULL);
			sim_run_for(delay_ms);
			if (!sim_is_running(certonly)) {
				world_end(world);
				break;
			}
			sim_signal(certonly, signals[i]);
			sim_wait(certonly, SIM_HOUR);
			/* A validated name is answered a little longer, for validators that are late. */
			sim_run_for(SIM_HOUR);
			world_expect(sim_table_count() == 0, "signal %d leaves the name armed",
				     signals[i]);
			world_verb(world, "plan", "--json", NULL);
			world_expect(!is_planned("c0.test") ||
					     world_verb(world, "delete", "c0.test", NULL) == 0,
				     "a wish that was ended cannot be deleted");
			world_verb(world, "plan", "--json", NULL);
			world_expect(!is_planned("c0.test"), "an ended wish is still planned");
			world_end(world);
		}
	}
}

static size_t generations_of(const char *name)
{
	char command[256];
	FILE *list;
	size_t count = 0;

	snprintf(command, sizeof(command), "ls %s/var/lib/sidestep/archive/%s | grep -c '^[0-9]'",
		 sim_root(), name);
	list = popen(command, "r");
	if (!list || fscanf(list, "%zu", &count) != 1)
		count = 0;
	if (list)
		pclose(list);
	return count;
}

/* Row A40. */
void scenario_six_day_certificates(void)
{
	struct world *world = world_with(1, 5);

	model_ca_set_life(world->cas[0], 6 * WORLD_DAY_S);
	world_configure(world);
	world_start_daemon(world);
	world_run_days(world, 365);
	invariants_quiet(world);
	world_expect(generations_of("c0.test") <= 20, "%zu generations are kept of one certificate",
		     generations_of("c0.test"));
	world_end(world);
}

/* A state that cannot be written for days costs a few tries a minute, also when state and disk are
 * to be compared. */
void scenario_state_full_for_days(void)
{
	struct world *world = world_ready(1, 3);
	uint64_t seams;

	world_run_days(world, 5);
	fault = sim_fault_add(&(struct sim_fault){.seams = SIM_SQL_WRITE, .error = EIO});
	world_note_trouble(world, "the state cannot be written", sim_true_s(),
			   sim_true_s() + 3 * WORLD_DAY_S, WORLD_ALL, WORLD_CAS_MAX);
	seams = sim_process_seams(world->daemon);
	world_run_days(world, 3);
	seams = sim_process_seams(world->daemon) - seams;
	sim_fault_remove(fault);
	world_expect(seams < 300000, "the daemon made %llu calls in three days",
		     (unsigned long long)seams);
	world_run_days(world, 100);
	invariants_quiet(world);
	world_end(world);
}
