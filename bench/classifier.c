// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What each rule of the classifier costs, by BPF_PROG_TEST_RUN: classifier ROUNDS.
 * Run by steering.py, which reads the lines that this prints:
 *
 *   TAKEOVER ns RULE N                      a line a round: the time of a run
 *   TAKEOVER program NAME INSNS BYTES       verifier's processed instructions, bytes of native code
 *
 * Every round takes all rules in turn, so that what else the machine does falls on all of
 * them.  Rules that leave no trace run over the same segment many times.  The others need a
 * connection for each run: it is opened over a TAP interface, so that the classifier
 * finds what it would find, and a round's figure is the median of its runs.  After each, the
 * action and the counters tell whether the rule was the one that was meant.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/subject.h"
#include "bench/frames.h"
#include "tests/hello_vectors.h"

#define NAMES           100000
#define PENDING_VECTOR  "pebble-dns" /* whose server name is pending */
#define STEADY_RUNS     200000
#define CONNECTIONS     300 /* a round */
#define ROUNDS_MAX      1000
#define STEADY_PORT     1023 /* of no connection */
#define NO_COUNTER      STEER_COUNTERS
#define COOKIES_FILE    "/proc/sys/net/ipv4/tcp_syncookies"
#define COOKIES_DEFAULT '1'
#define COOKIES_ALWAYS  '2'

struct bench {
	struct frames_tap tap;
	struct hello_vectors vectors;
	struct subject subject;
};

/* What a rule does to the segment, and the counter that tells of it. */
struct outcome {
	int action;
	enum steer_counter counter;
};

/* A rule that leaves no trace, on a segment that belongs to no connection. */
struct steady_rule {
	const char *name;
	unsigned int flags;
	bool ipv6, empty_program, disarmed, other_port;
	size_t payload_size;
	struct outcome outcome;
};

static const struct steady_rule steady_rules[] = {
	{
		.name = "empty",
		.flags = FRAMES_ACK,
		.empty_program = true,
		.payload_size = FRAMES_PAYLOAD_MAX,
		.outcome = {SUBJECT_PASS, NO_COUNTER},
	},
	{
		.name = "unarmed",
		.flags = FRAMES_ACK,
		.disarmed = true,
		.payload_size = FRAMES_PAYLOAD_MAX,
		.outcome = {SUBJECT_PASS, NO_COUNTER},
	},
	{
		.name = "other_port",
		.flags = FRAMES_ACK,
		.other_port = true,
		.payload_size = FRAMES_PAYLOAD_MAX,
		.outcome = {SUBJECT_PASS, NO_COUNTER},
	},
	{
		.name = "established",
		.flags = FRAMES_ACK,
		.payload_size = FRAMES_PAYLOAD_MAX,
		.outcome = {SUBJECT_PASS, NO_COUNTER},
	},
	{
		.name = "established_ipv6",
		.flags = FRAMES_ACK,
		.ipv6 = true,
		.payload_size = FRAMES_PAYLOAD_MAX,
		.outcome = {SUBJECT_PASS, NO_COUNTER},
	},
	{
		.name = "syn",
		.flags = FRAMES_SYN,
		.outcome = {SUBJECT_PASS, STEER_SYN_MARKED},
	},
};

/* A rule that decides on a connection: its first data is `hello`, or nothing. */
struct connection_rule {
	const char *name;
	const char *hello; /* a vector's name, of which one segment's worth is taken; NULL: none */
	bool empty_program;
	bool rest; /* of the hello, when the first segment was seen before */
	bool accepted; /* by production, before the data comes */
	bool cookie; /* production answers with SYN cookies */
	struct outcome outcome[SUBJECT_TAKEOVERS];
};

#define BOTH_TAKEOVERS(action, counter) \
	{                               \
		{action, counter},      \
		{                       \
			action, counter \
		}                       \
	}

static const struct connection_rule connection_rules[] = {
	{
		.name = "empty_once",
		.hello = "curl",
		.empty_program = true,
		.outcome = BOTH_TAKEOVERS(SUBJECT_PASS, NO_COUNTER),
	},
	{
		.name = "accepted",
		.hello = "curl",
		.accepted = true,
		.outcome = BOTH_TAKEOVERS(SUBJECT_PASS, STEER_PASSED_OTHER),
	},
	{
		.name = "bare_ack",
		.outcome = BOTH_TAKEOVERS(SUBJECT_DROP, STEER_BARE_ACK_HELD),
	},
	{
		.name = "not_tls",
		.hello = "bad-http",
		.outcome = BOTH_TAKEOVERS(SUBJECT_PASS, STEER_PASSED_MALFORMED),
	},
	{
		.name = "other_hello",
		.hello = "curl",
		.outcome = BOTH_TAKEOVERS(SUBJECT_PASS, STEER_PASSED_OTHER),
	},
	{
		.name = "not_pending_hello",
		.hello = "pebble-ipv4",
		.outcome = BOTH_TAKEOVERS(SUBJECT_PASS, STEER_PASSED_NOT_PENDING),
	},
	{
		.name = "acme_hello",
		.hello = PENDING_VECTOR,
		.outcome = {{SUBJECT_REDIRECT, STEER_REENTERED}, {SUBJECT_PASS, STEER_STEERED}},
	},
	{
		.name = "undecided_hello",
		.hello = "chromium",
		.outcome = BOTH_TAKEOVERS(SUBJECT_PASS, STEER_WATCHED),
	},
	{
		.name = "completed_hello",
		.hello = "chromium",
		.rest = true,
		.outcome = BOTH_TAKEOVERS(SUBJECT_PASS, STEER_PASSED_OTHER),
	},
	{
		.name = "cookie_hello",
		.hello = "curl",
		.cookie = true,
		.outcome = BOTH_TAKEOVERS(SUBJECT_PASS, STEER_PASSED_OTHER),
	},
};

/* --- was it the rule that was meant? --------------------------------------------- */

/* Compare the counters around `runs` runs.  0, or -EPROTO, said. */
static int check_counters(const struct bench *bench, const char *name, enum steer_counter counter,
			  uint64_t runs, const uint64_t before[STEER_COUNTERS])
{
	uint64_t after[STEER_COUNTERS], others = 0;
	int err = subject_counters(&bench->subject, after);

	if (err)
		return err;
	for (int i = 0; i < STEER_COUNTERS; i++)
		if (i != STEER_SYN_MARKED)
			others += after[i] - before[i];
	if (counter == NO_COUNTER ? !others : after[counter] - before[counter] == runs)
		return 0;
	fprintf(stderr, "classifier: %s: not all of the %llu runs met that rule\n", name,
		(unsigned long long)runs);
	return -EPROTO;
}

static int check_action(const char *name, int action, int wanted)
{
	if (action == wanted)
		return 0;
	fprintf(stderr, "classifier: %s: the action was %d instead of %d\n", name, action, wanted);
	return -EPROTO;
}

static int choose_program(const struct bench *bench, bool empty)
{
	return empty ? bench->subject.empty_fd : bench->subject.classifier_fd;
}

/* --- rules that leave no trace --------------------------------------------------- */

static int measure_steady(struct bench *bench, const struct steady_rule *rule, uint32_t *ret_ns)
{
	static const uint8_t payload[FRAMES_PAYLOAD_MAX];
	const struct frames_connection connection = {
		.ipv6 = rule->ipv6,
		.port = STEADY_PORT,
		.to_port = rule->other_port ? FRAMES_PORT + 1 : FRAMES_PORT,
	};
	uint64_t before[STEER_COUNTERS];
	struct frame frame;
	int action, err;

	frames_make(&bench->tap, &connection, rule->flags, 0, payload, rule->payload_size, &frame);
	err = subject_counters(&bench->subject, before);
	if (!err)
		err = subject_arm(&bench->subject, !rule->disarmed);
	if (!err)
		err = subject_run(choose_program(bench, rule->empty_program), &bench->tap, &frame,
				  STEADY_RUNS, ret_ns, &action);
	if (!err)
		err = subject_arm(&bench->subject, true);
	if (!err)
		err = check_action(rule->name, action, rule->outcome.action);
	if (err)
		return err;
	return check_counters(bench, rule->name, rule->outcome.counter, STEADY_RUNS, before);
}

/* --- rules that decide on a connection ------------------------------------------- */

/* How production answers SYNs, in this namespace. */
static int set_cookies(char mode)
{
	int fd = open(COOKIES_FILE, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, &mode, 1) < 0)
		err = -errno;
	close(fd);
	return err;
}

/* Show the classifier a segment of the connection, once. */
static int show(struct bench *bench, int program_fd, const struct frames_connection *connection,
		unsigned int flags, uint32_t offset, const void *payload, size_t size,
		uint32_t *ret_ns, int *ret_action)
{
	struct frame frame;

	frames_make(&bench->tap, connection, flags, offset, payload, size, &frame);
	return subject_run(program_fd, &bench->tap, &frame, 1, ret_ns, ret_action);
}

/* Let production's server take the connection that stands, and end it on both sides. */
static int accept_and_close(struct bench *bench, const struct frames_connection *connection)
{
	int fd = accept4(bench->subject.production_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return -errno;
	close(fd);
	return frames_reset(&bench->tap, connection, 0);
}

/* Open a connection, and show the classifier what it is to see before the measured segment. */
static int prepare(struct bench *bench, const struct connection_rule *rule,
		   struct frames_connection *ret_connection)
{
	const struct subject *subject = &bench->subject;
	uint32_t ns;
	int action, err;

	err = frames_connect(&bench->tap, ret_connection);
	if (!err)
		err = show(bench, subject->classifier_fd, ret_connection, FRAMES_SYN, 0, NULL, 0,
			   &ns, &action);
	if (!err && rule->accepted)
		err = frames_acknowledge(&bench->tap, ret_connection);
	if (!err && rule->rest)
		err = show(bench, subject->classifier_fd, ret_connection, FRAMES_ACK, 0,
			   hello_vectors_find(&bench->vectors, rule->hello)->data,
			   FRAMES_PAYLOAD_MAX, &ns, &action);
	return err;
}

static int measure_connection(struct bench *bench, const struct connection_rule *rule,
			      uint32_t *ret_ns)
{
	const struct hello_vector *hello =
		rule->hello ? hello_vectors_find(&bench->vectors, rule->hello) : NULL;
	size_t offset = rule->rest ? FRAMES_PAYLOAD_MAX : 0;
	size_t size = hello ? hello->size - offset : 0;
	struct frames_connection connection;
	int action, err;

	err = prepare(bench, rule, &connection);
	if (!err)
		err = show(bench, choose_program(bench, rule->empty_program), &connection,
			   FRAMES_ACK, (uint32_t)offset, hello ? hello->data + offset : NULL,
			   size < FRAMES_PAYLOAD_MAX ? size : FRAMES_PAYLOAD_MAX, ret_ns, &action);
	if (!err)
		err = check_action(rule->name, action,
				   rule->outcome[bench->subject.takeover].action);
	if (err)
		return err;
	subject_drain(&bench->subject);
	return rule->accepted ? accept_and_close(bench, &connection)
			      : frames_reset(&bench->tap, &connection, 0);
}

static int compare_ns(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

static int measure_connections(struct bench *bench, const struct connection_rule *rule,
			       uint32_t *ret_ns)
{
	enum steer_counter counter = rule->outcome[bench->subject.takeover].counter;
	uint64_t before[STEER_COUNTERS];
	uint32_t ns[CONNECTIONS];
	int err = subject_counters(&bench->subject, before);

	if (!err && rule->cookie)
		err = set_cookies(COOKIES_ALWAYS);
	for (int i = 0; !err && i < CONNECTIONS; i++)
		err = measure_connection(bench, rule, &ns[i]);
	if (!err && rule->cookie)
		err = set_cookies(COOKIES_DEFAULT);
	if (err)
		return err;
	qsort(ns, CONNECTIONS, sizeof(ns[0]), compare_ns);
	*ret_ns = ns[CONNECTIONS / 2];
	return check_counters(bench, rule->name, counter, CONNECTIONS, before);
}

/* --- rounds ---------------------------------------------------------------------- */

static const char *subject_takeover_name(const struct bench *bench)
{
	return bench->subject.takeover == SUBJECT_REPAIR ? "repair" : "assign";
}

static int run_round(struct bench *bench)
{
	uint32_t ns;
	int err = subject_forget(&bench->subject);

	for (size_t i = 0; !err && i < sizeof(steady_rules) / sizeof(steady_rules[0]); i++) {
		err = measure_steady(bench, &steady_rules[i], &ns);
		if (!err)
			printf("%s ns %s %u\n", subject_takeover_name(bench), steady_rules[i].name,
			       ns);
	}
	for (size_t i = 0; !err && i < sizeof(connection_rules) / sizeof(connection_rules[0]);
	     i++) {
		err = measure_connections(bench, &connection_rules[i], &ns);
		if (!err)
			printf("%s ns %s %u\n", subject_takeover_name(bench),
			       connection_rules[i].name, ns);
	}
	return err;
}

static void print_program(void *context, const struct bpf_prog_info *info)
{
	const struct bench *bench = context;

	printf("%s program %s %u %u\n", subject_takeover_name(bench), info->name,
	       info->verified_insns, info->jited_prog_len);
}

static int measure_takeover(struct bench *bench, enum subject_takeover takeover,
			    unsigned int rounds)
{
	const char *pending = hello_vectors_find(&bench->vectors, PENDING_VECTOR)->server_name;
	int err = subject_open(takeover, pending, NAMES, &bench->subject);

	if (err)
		return err;
	err = subject_describe(&bench->subject, print_program, bench);
	for (unsigned int i = 0; !err && i < rounds; i++)
		err = run_round(bench);
	subject_close(&bench->subject);
	return err;
}

int main(int argc, char **argv)
{
	unsigned long rounds = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
	struct bench bench;
	int err;

	if (!rounds || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: classifier ROUNDS (1 to %d)\n", ROUNDS_MAX);
		return 2;
	}
	err = unshare(CLONE_NEWNET) ? -errno : frames_open(&bench.tap);
	if (err) {
		fprintf(stderr, "classifier: cannot make a network of its own: %s; run as root\n",
			strerror(-err));
		return 1;
	}
	hello_vectors_load(&bench.vectors);
	for (int takeover = 0; !err && takeover < SUBJECT_TAKEOVERS; takeover++)
		err = measure_takeover(&bench, takeover, (unsigned int)rounds);
	hello_vectors_free(&bench.vectors);
	close(bench.tap.fd);
	if (err)
		fprintf(stderr, "classifier: %s\n", strerror(-err));
	return err ? 1 : 0;
}
