// SPDX-License-Identifier: GPL-3.0-or-later
/* Replaces acme/challenge/probe.c: the world says what is seen on port 443. */
#include "acme/challenge/probe.h"

#include <errno.h>
#include <stdlib.h>

#include "acme/net/loop.h"
#include "tests/sim/internal.h"

struct prober {
	struct loop *loop;
};

struct probe {
	struct prober *prober;
	struct timer timer;
	enum probe_kind kind;
	void (*done)(void *context, const struct probe_result *result);
	void *context;
};

int prober_new(struct prober **ret_prober, struct loop *loop)
{
	struct prober *prober = calloc(1, sizeof(*prober));

	if (!prober)
		return -ENOMEM;
	prober->loop = loop;
	*ret_prober = prober;
	return 0;
}

void prober_free(struct prober *prober)
{
	free(prober);
}

static void on_probed(void *context)
{
	struct probe probe = *(struct probe *)context;
	const struct probe_result result = {probe.kind, probe_kind_name(probe.kind)};

	free(context);
	probe.done(probe.context, &result);
}

struct probe *probe_start(struct prober *prober, const struct probe_options *options)
{
	const struct sim_world *world = world_of();
	struct probe *probe = calloc(1, sizeof(*probe));
	struct sim_process *process = process_step_out();
	uint64_t delay_ms = 1;

	if (!probe)
		abort();
	probe->kind = world->probe(world->context, process, options->identifier, options->digest,
				   &delay_ms);
	process_step_in(process);
	if (delay_ms >= options->timeout_ms) {
		delay_ms = options->timeout_ms;
		probe->kind = PROBE_TIMED_OUT;
	}
	probe->prober = prober;
	probe->done = options->done;
	probe->context = options->context;
	loop_timer_start(prober->loop, &probe->timer, delay_ms, on_probed, probe);
	return probe;
}

void probe_cancel(struct probe *probe)
{
	if (!probe)
		return;
	loop_timer_stop(probe->prober->loop, &probe->timer);
	free(probe);
}
