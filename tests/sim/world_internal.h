/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the world share. */
#ifndef TESTS_SIM_WORLD_INTERNAL_H
#define TESTS_SIM_WORLD_INTERNAL_H

#include "tests/sim/world.h"

/* world_net.c: what sim.h asks the world, and what a CA asks it. */
void world_transport(void *context, struct sim_call *call);
void world_dns(void *context, const struct sim_question *question, struct sim_dns *ret_answer);
enum probe_kind world_probe(void *context, struct sim_process *from,
			    const struct identifier *identifier,
			    const uint8_t digest[CHALLENGE_DIGEST_SIZE], uint64_t *ret_delay_ms);
void world_connect_ca(struct world *world, struct model_host *ret_host);

/* world_servers.c */
int world_hook(void *context, struct sim_hook *hook);
void world_install_hooks(void);

/* world.c */
void world_ended(void *context, struct sim_process *process);

#endif
