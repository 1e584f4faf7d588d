// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/held_acks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "bpf/steer_abi.h"
#include "common/challenge_table.h"
#include "common/clock.h"
#include "common/log.h"

#define NS_PER_MS UINT64_C(1000000)
/* A client's data follows its ACK at once.  After this time it is taken for silent. */
#define HOLD_MS 100
/* How often to look: while any are held, and else. */
#define LOOK_SOON_MS 50
#define LOOK_MS      250
/* Looked at in one go, at most: the rest has its turn soon after. */
#define LOOKED_AT 4096

struct held_acks {
	struct held_acks_fds fds;
	uint64_t looked_ns;
	uint64_t pause_ms;
};

/* A frame as a test run takes it: with an Ethernet header, whatever the interface has. */
static size_t make_frame(const struct steer_held *held, uint8_t ret_frame[])
{
	struct ethhdr *ethernet = (struct ethhdr *)ret_frame;
	size_t missing = held->link_size ? 0 : sizeof(*ethernet);

	memset(ethernet, 0, sizeof(*ethernet));
	ethernet->h_proto = htons(held->frame[0] >> 4 == 4 ? ETH_P_IP : ETH_P_IPV6);
	memcpy(ret_frame + missing, held->frame, held->frame_size);
	return missing + held->frame_size;
}

static void release(const struct held_acks *acks, const struct steer_held *held)
{
	uint8_t frame[sizeof(struct ethhdr) + STEER_FRAME_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame);
	int err;

	if (!held->frame_size || held->frame_size > STEER_FRAME_MAX)
		return;
	opts.data_size_in = (__u32)make_frame(held, frame);
	err = bpf_prog_test_run_opts(acks->fds.release_fd, &opts);
	if (err)
		log_debug("cannot let go of a held-back ACK: %s", strerror(-err));
}

int held_acks_new(struct held_acks **ret_acks, const struct held_acks_fds *fds)
{
	struct held_acks *acks = calloc(1, sizeof(*acks));

	if (!acks)
		return -ENOMEM;
	acks->fds = *fds;
	*ret_acks = acks;
	return 0;
}

void held_acks_free(struct held_acks *acks)
{
	free(acks);
}

int held_acks_pause_ms(const struct held_acks *acks)
{
	uint64_t since_ms = (clock_boottime_ns() - acks->looked_ns) / NS_PER_MS;

	return since_ms < acks->pause_ms ? (int)(acks->pause_ms - since_ms) : 0;
}

void held_acks_work(struct held_acks *acks)
{
	uint8_t key[STEER_FLOW_KEY_SIZE], next[STEER_FLOW_KEY_SIZE];
	const void *from = NULL;
	struct steer_held held;

	if (held_acks_pause_ms(acks))
		return;
	acks->looked_ns = clock_boottime_ns();
	acks->pause_ms = LOOK_MS;
	for (int i = 0; i < LOOKED_AT; i++) {
		uint64_t for_ms;

		if (bpf_map_get_next_key(acks->fds.held_fd, from, next))
			break;
		memcpy(key, next, sizeof(key));
		from = key;
		if (bpf_map_lookup_elem(acks->fds.held_fd, key, &held))
			continue;
		for_ms = (acks->looked_ns - held.held_ns) / NS_PER_MS;
		if (held.held_ns > acks->looked_ns || for_ms < HOLD_MS)
			acks->pause_ms = LOOK_SOON_MS;
		else
			release(acks, &held);
	}
}
