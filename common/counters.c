// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/counters.h"

#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/maps.h"

static const struct {
	const char *name;
	const char *text;
} counters[STEER_COUNTERS] = {
	[STEER_SYN_MARKED] = {"syn_marked", "SYNs marked while a name was pending"},
	[STEER_BARE_ACK_HELD] = {"bare_ack_held", "bare third ACKs held back until the first data"},
	[STEER_BARE_ACK_PASSED] =
		{"bare_ack_passed",
		 "bare third ACKs passed: FIN, silent client, SYN cookie or MPTCP"},
	[STEER_PASSED_OTHER] = {"passed_other", "first data passed: not an acme-tls/1 ClientHello"},
	[STEER_PASSED_MALFORMED] = {"passed_malformed",
				    "first data passed: neither TLS nor understood"},
	[STEER_PASSED_NOT_PENDING] = {"passed_not_pending",
				      "acme-tls/1 passed: the name is not pending"},
	[STEER_PASSED_UNDECIDED] =
		{"passed_undecided",
		 "first data passed: server name or ALPN not among the first bytes"},
	[STEER_PASSED_NO_RESPONDER] = {"passed_no_responder",
				       "pending name passed: no responder listens, or it is hung"},
	[STEER_PASSED_MPTCP] = {"passed_mptcp", "first data passed: the connection is MPTCP"},
	[STEER_PASSED_FAILED] = {"passed_failed",
				 "acme-tls/1 for a pending name passed: the kernel refused a step"},
	[STEER_STEERED] = {"steered", "connections taken to the responder"},
	[STEER_WATCHED] = {"watched", "data passed, and looked at on: it may become a challenge"},
	[STEER_REENTERED] = {"reentered",
			     "segments sent once more through the classifier, behind a RST"},
	[STEER_DROPPED] = {"dropped",
			   "segments of a steered connection dropped, to be retransmitted"},
	[STEER_COOKIE_STEERED] = {"cookie_steered",
				  "of the steered: production was answering with SYN cookies"},
	[STEER_ADOPTED] = {"adopted", "of the steered: taken over by TCP_REPAIR"},
	[STEER_PASSED_OTHER_SYNACK] = {"passed_other_synack",
				       "first data passed: it answers a SYN-ACK that is not "
				       "production's, as with SYNPROXY"},
	[STEER_PASSED_NO_SOCKET] = {"passed_no_socket",
				    "segments passed: no socket here has the connection (address "
				    "translation, forwarding)"},
	[STEER_LATE] = {"late", "of the steered: production had accepted the connection, and sees "
				"it reset"},
};

const char *steer_counter_name(enum steer_counter counter)
{
	assert(counter < STEER_COUNTERS);
	return counters[counter].name;
}

const char *steer_counter_text(enum steer_counter counter)
{
	assert(counter < STEER_COUNTERS);
	return counters[counter].text;
}

int counters_read(const struct paths *paths, uint64_t ret_values[STEER_COUNTERS])
{
	static const struct map_shape shape = {STEER_PIN_COUNTERS, BPF_MAP_TYPE_PERCPU_ARRAY,
					       sizeof(__u32), sizeof(__u64)};
	uint64_t sums[STEER_COUNTERS] = {0}, *values = NULL;
	int cpu_count = libbpf_num_possible_cpus();
	int map, cpu, err = 0;
	__u32 i;

	if (cpu_count < 0)
		return cpu_count;
	map = map_open(paths, &shape, false);
	if (map < 0)
		return map;
	values = calloc((size_t)cpu_count, sizeof(*values));
	if (!values) {
		err = -ENOMEM;
		goto out;
	}
	for (i = 0; i < STEER_COUNTERS; i++) {
		if (bpf_map_lookup_elem(map, &i, values)) {
			/* A map with fewer counters comes from another version. */
			err = errno == ENOENT ? -EPROTO : -errno;
			goto out;
		}
		for (cpu = 0; cpu < cpu_count; cpu++)
			sums[i] += values[cpu];
	}
	memcpy(ret_values, sums, sizeof(sums));
out:
	free(values);
	close(map);
	return err;
}
