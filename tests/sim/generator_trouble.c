// SPDX-License-Identifier: GPL-3.0-or-later
/* Trouble of all kinds, by plan: at the CAs, on this host, in the DNS, and by signals. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/generator.h"
#include "tests/sim/invariants.h"
#include "tests/sim/world.h"

#define MINUTES_A_DAY 1440.0
#define SEAMS_AHEAD   3000

/* One piece of trouble; lives until the end of the seed's process. */
struct trouble {
	struct world *world;
	const struct kind *kind;
	double from, until; /* days */
	size_t place; /* of a certificate or a CA */
	int64_t amount;
	unsigned int fault;
	char name[WORLD_NAME_MAX];
};

struct kind {
	const char *what;
	unsigned int weight;
	double longest; /* days */
	void (*begin)(struct trouble *trouble);
	void (*end)(struct trouble *trouble); /* NULL: nothing is to be done */
	double after; /* days until all can be well again, besides the usual */
	bool is_of_name; /* concerns the certificates with trouble->name only */
};

/* --- this host -------------------------------------------------------------------------------- */

static void begin_fault(struct trouble *trouble)
{
	static const struct sim_fault faults[] = {
		{.seams = SIM_SPACE, .error = ENOSPC},
		{.seams = SIM_SPACE, .error = ENOSPC, .path = "/archive/"},
		{.seams = SIM_SPACE, .error = ENOSPC, .path = "state.db"},
		{.seams = SIM_FILES, .error = EROFS, .path = "/var/lib/sidestep"},
		{.seams = SIM_FILES | SIM_SQL, .error = EIO},
		{.seams = SIM_SQL_READ, .error = EIO},
		{.seams = SIM_SQL_LOCK, .error = EBUSY},
		{.seams = SIM_OPEN | SIM_CREATE, .error = EMFILE},
	};
	size_t kinds = sizeof(faults) / sizeof(*faults);

	trouble->fault = sim_fault_add(&faults[trouble->amount % (int64_t)kinds]);
}

static void end_fault(struct trouble *trouble)
{
	sim_fault_remove(trouble->fault);
}

static void begin_clock(struct trouble *trouble)
{
	sim_clock_jump(trouble->amount);
}

static void end_clock(struct trouble *trouble)
{
	(void)trouble;
	sim_clock_correct();
}

static void begin_sleep(struct trouble *trouble)
{
	sim_suspend(generator_ms(trouble->until - trouble->from));
}

static void begin_responder(struct trouble *trouble)
{
	trouble->world->responder_is_down = true;
	sim_responder_set(false);
}

static void end_responder(struct trouble *trouble)
{
	trouble->world->responder_is_down = false;
	sim_responder_set(true);
}

static void begin_table(struct trouble *trouble)
{
	(void)trouble;
	sim_table_renew();
}

static void begin_hooks(struct trouble *trouble)
{
	trouble->world->hooks = 1 + (enum world_hooks)(trouble->amount % (HOOKS_KINDS - 1));
}

static void end_hooks(struct trouble *trouble)
{
	trouble->world->hooks = HOOKS_RIGHT;
}

/* --- signals ---------------------------------------------------------------------------------- */

static void begin_term(struct trouble *trouble)
{
	world_restart_daemon(trouble->world, SIGTERM);
}

static void begin_kill(struct trouble *trouble)
{
	world_restart_daemon(trouble->world, SIGKILL);
}

static void begin_kill_at_seam(struct trouble *trouble)
{
	struct sim_process *daemon = trouble->world->daemon;

	if (daemon && sim_is_running(daemon))
		sim_kill_at(daemon, sim_process_seams(daemon) + 1 +
					    (uint64_t)trouble->amount % SEAMS_AHEAD);
}

static void begin_stop(struct trouble *trouble)
{
	world_stop_daemon(trouble->world, trouble->amount % 2 ? SIGTERM : SIGKILL);
}

static void end_stop(struct trouble *trouble)
{
	world_start_daemon(trouble->world);
}

static void begin_hangup(struct trouble *trouble)
{
	world_configure(trouble->world);
}

/* --- names ------------------------------------------------------------------------------------ */

static void begin_missing(struct trouble *trouble)
{
	strcpy(trouble->world->missing, trouble->name);
}

static void end_missing(struct trouble *trouble)
{
	trouble->world->missing[0] = '\0';
}

static void begin_unreachable(struct trouble *trouble)
{
	strcpy(trouble->world->unreachable, trouble->name);
}

static void end_unreachable(struct trouble *trouble)
{
	trouble->world->unreachable[0] = '\0';
}

static void begin_forbidden(struct trouble *trouble)
{
	strcpy(trouble->world->forbidden, trouble->name);
}

static void end_forbidden(struct trouble *trouble)
{
	trouble->world->forbidden[0] = '\0';
}

/* --- CAs -------------------------------------------------------------------------------------- */

static const struct model_trouble ca_troubles[] = {
	{.kind = TROUBLE_DOWN},
	{.kind = TROUBLE_DOWN},
	{.kind = TROUBLE_SILENT, .percent = 50},
	{.kind = TROUBLE_SILENT},
	{.kind = TROUBLE_LOST, .percent = 10},
	{.kind = TROUBLE_LOST, .percent = 50},
	{.kind = TROUBLE_LOST, .percent = 30, .value = 1},
	{.kind = TROUBLE_STATUS, .value = 503, .percent = 70},
	{.kind = TROUBLE_STATUS, .value = 502},
	{.kind = TROUBLE_STATUS, .value = 429, .percent = 30},
	{.kind = TROUBLE_STATUS, .value = 403},
	{.kind = TROUBLE_STATUS, .value = 404, .percent = 20},
	{.kind = TROUBLE_LIMITED},
	{.kind = TROUBLE_USER_ACTION},
	{.kind = TROUBLE_ACCOUNT_GONE},
	{.kind = TROUBLE_INTERNAL, .percent = 30},
	{.kind = TROUBLE_BAD_NONCE, .percent = 80},
	{.kind = TROUBLE_SLOW, .value = 9000},
	{.kind = TROUBLE_STALE, .value = 5},
	{.kind = TROUBLE_OLD_STATE, .value = 20},
	{.kind = TROUBLE_PROCESSING, .value = 100},
	{.kind = TROUBLE_PROCESSING, .value = 3000},
	{.kind = TROUBLE_NO_ISSUE, .percent = 50},
	{.kind = TROUBLE_ARI_PAST},
	{.kind = TROUBLE_ARI_GARBAGE},
	{.kind = TROUBLE_NOT_BEFORE, .value = 2 * WORLD_DAY_S},
	{.kind = TROUBLE_LIFE, .value = 5 * WORLD_DAY_S},
	{.kind = TROUBLE_NO_VALIDATION},
};

static void begin_ca(struct trouble *trouble)
{
	struct world *world = trouble->world;
	struct model_trouble planned =
		ca_troubles[(size_t)trouble->amount % (sizeof(ca_troubles) / sizeof(*ca_troubles))];

	planned.retry_after = dice_below(&world->dice, RETRY_AFTER_KINDS);
	planned.wait_s = dice_between(&world->dice, 1, 3 * WORLD_HOUR_S);
	planned.from_s = sim_true_s();
	planned.until_s =
		planned.from_s + (int64_t)((trouble->until - trouble->from) * WORLD_DAY_S);
	model_ca_add_trouble(world->cas[trouble->place % world->ca_count], &planned);
	sim_log("trouble at CA %zu: %s", trouble->place % world->ca_count,
		model_trouble_name(planned.kind));
}

static void begin_revocation(struct trouble *trouble)
{
	struct world *world = trouble->world;
	struct world_certificate *certificate =
		&world->certificates[trouble->place % world->certificate_count];
	size_t i;

	world_look_at_disk(world);
	for (i = 0; i < world->ca_count && certificate->disk.serial[0]; i++)
		model_ca_revoke(world->cas[i], certificate->disk.serial);
}

/* --- the plan --------------------------------------------------------------------------------- */

static const struct kind kinds[] = {
	{"trouble at a CA", 40, 12, begin_ca, NULL, 0, false},
	{"the host fails", 12, 3, begin_fault, end_fault, 0, false},
	{"the clock is wrong", 5, 4, begin_clock, end_clock, 0, false},
	{"the machine sleeps", 2, 10, begin_sleep, NULL, 0, false},
	{"the responder is away", 4, 3, begin_responder, end_responder, 0, false},
	{"a new table", 3, 0.01, begin_table, NULL, 0, false},
	{"hooks fail", 8, 5, begin_hooks, end_hooks, 4.6, false},
	{"SIGTERM", 6, 0.01, begin_term, NULL, 0, false},
	{"SIGKILL", 6, 0.01, begin_kill, NULL, 0, false},
	{"SIGKILL at a seam", 12, 0.01, begin_kill_at_seam, NULL, 1, false},
	{"the daemon is stopped", 4, 5, begin_stop, end_stop, 0, false},
	{"SIGHUP", 4, 0.01, begin_hangup, NULL, 0, false},
	{"a name is gone", 4, 10, begin_missing, end_missing, 0, true},
	{"a name is not reached", 5, 10, begin_unreachable, end_unreachable, 0, true},
	{"CAA forbids a name", 3, 10, begin_forbidden, end_forbidden, 0, true},
	{"a certificate is revoked", 2, 0.01, begin_revocation, NULL, 0, false},
};

static void begin(void *context)
{
	struct trouble *trouble = context;

	sim_log("begins: %s", trouble->kind->what);
	trouble->kind->begin(trouble);
}

static void end(void *context)
{
	struct trouble *trouble = context;

	sim_log("ends: %s", trouble->kind->what);
	trouble->kind->end(trouble);
}

static const struct kind *choose_kind(struct world *world)
{
	uint64_t sum = 0, at;
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		sum += kinds[i].weight;
	at = dice_below(&world->dice, sum);
	for (i = 0; at >= kinds[i].weight; i++)
		at -= kinds[i].weight;
	return &kinds[i];
}

/* Minutes, hours or days, each as likely. */
static double choose_length(struct world *world, double longest)
{
	double shortest = 1 / MINUTES_A_DAY;

	return longest <= shortest ? longest
				   : shortest * pow(longest / shortest, generator_part(world));
}

static int64_t choose_jump(struct world *world)
{
	static const int64_t lengths[] = {WORLD_HOUR_S, WORLD_DAY_S, 70 * WORLD_DAY_S,
					  3 * 365 * WORLD_DAY_S};
	int64_t most = lengths[dice_below(&world->dice, 4)];

	return dice_between(&world->dice, -most, most);
}

static void plan_one(struct world *world, double days)
{
	struct trouble *trouble = calloc(1, sizeof(*trouble));
	const struct world_certificate *certificate;
	uint64_t bits = WORLD_ALL;

	if (!trouble)
		abort();
	trouble->world = world;
	trouble->kind = choose_kind(world);
	trouble->from = generator_part(world) * days;
	trouble->until = trouble->from + choose_length(world, trouble->kind->longest);
	if (trouble->until > days)
		trouble->until = days;
	trouble->place = (size_t)dice_below(&world->dice, 1000);
	trouble->amount = trouble->kind->begin == begin_clock
				  ? choose_jump(world)
				  : (int64_t)dice_below(&world->dice, 1000000);
	certificate = &world->certificates[trouble->place % world->certificate_count];
	strcpy(trouble->name,
	       certificate->names[(size_t)trouble->amount % certificate->name_count]);
	if (trouble->kind->is_of_name)
		bits = generator_bits_of(world, trouble->name);
	world_note_trouble(world, trouble->kind->what,
			   WORLD_START_S + (int64_t)(trouble->from * WORLD_DAY_S),
			   WORLD_START_S + 1 +
				   (int64_t)((trouble->until + trouble->kind->after) * WORLD_DAY_S),
			   bits,
			   trouble->kind->begin == begin_ca ? trouble->place % world->ca_count
							    : WORLD_CAS_MAX);
	sim_after(generator_ms(trouble->from), begin, trouble);
	if (trouble->kind->end)
		sim_after(generator_ms(trouble->until), end, trouble);
}

void generator_plan_trouble(struct world *world, double days)
{
	size_t count = (size_t)dice_between(&world->dice, 0, 4 + (int64_t)(days / 12)), i;

	/* Some kinds have a place for one at a time in the world; later ones end earlier ones. */
	for (i = 0; i < count; i++)
		plan_one(world, days);
}
