// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The responder among many who mean no good, on the loopback interface: who gets
 * through, and what is left afterwards.  An argument is how many connections are to
 * leave nothing behind (default: 20,000).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <wolfssl/ssl.h>

#include "responder/listener.h"
#include "responder/ring.h"
#include "responder/server.h"
#include "tests/unit/responder/engines.h"
#include "tests/unit/fixture.h"
#include "tests/unit/responder/tls_client.h"
#include "common/clock.h"

#define NAME        "pending.example.com"
#define THREADS     2
#define CONNECTIONS 128
#define PATIENCE_NS UINT64_C(20000000000)
#define NEIGHBOUR   0x7f000101u /* 127.0.1.1 */

static const struct tls_client_options validator = {
	.server_name = NAME, .protocols = "acme-tls/1", .group = WOLFSSL_ECC_X25519};

static unsigned int connection_count = 20000;
static struct fixture fixture;
static struct listeners listeners;
static struct server *server;
static enum ring_engine engine;

static void start_server(uint32_t per_source)
{
	const struct server_options options = {
		.paths = &fixture.paths,
		.threads = THREADS,
		.engine = engine,
		.connections = CONNECTIONS,
		.connections_per_source = per_source,
		.listener_fds = (const int(*)[STEER_FAMILIES])listeners.fds,
	};

	assert_int_equal(server_new(&options, &server), 0);
	assert_int_equal(server_start(server), 0);
}

static int setup(void **state)
{
	static const uint8_t digest[CHALLENGE_DIGEST_SIZE] = {7};
	struct identifier identifier;

	engine = engine_of(state);
	fixture_init(&fixture, 4);
	fixture_make_table(&fixture, 4);
	assert_int_equal(identifier_parse(&identifier, NAME), IDENTIFIER_OK);
	assert_int_equal(challenge_table_publish(fixture.writer, &identifier, digest, 600), 0);
	assert_int_equal(listeners_open(&listeners, THREADS, 0), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	server_free(server);
	server = NULL;
	listeners_close(&listeners);
	fixture_done(&fixture);
	return 0;
}

/* --- clients ------------------------------------------------------------------------ */

/* Connected from this address; closing resets, so that no port waits afterwards. */
static int connect_from(uint32_t source)
{
	const struct linger reset = {.l_onoff = 1};
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(source)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	socklen_t size = sizeof(address);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(
		getsockname(listeners.fds[0][STEER_V4], (struct sockaddr *)&address, &size), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, size), 0);
	return fd;
}

static bool say(struct tls_client *client, int fd)
{
	size_t size = client->output_size;

	client->output_size = 0;
	return send(fd, client->output, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static bool is_answered(uint32_t source)
{
	static uint8_t words[TLS_CLIENT_BUFFER_SIZE];
	static struct tls_client client;
	int fd = connect_from(source);
	bool going;

	tls_client_init(&client, &validator);
	going = say(&client, fd);
	while (going && !client.said_goodbye) {
		ssize_t size = recv(fd, words, sizeof(words), 0);

		going = size > 0 && tls_client_step(&client, words, (size_t)size) &&
			(!client.output_size || say(&client, fd));
	}
	going = going && client.certificate_size;
	tls_client_done(&client);
	close(fd);
	return going;
}

/* One of many: says something or nothing, and goes at once or is left open. */
static int misbehave(unsigned int kind)
{
	static const uint8_t half_a_hello[100] = {22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3};
	int fd = connect_from(INADDR_LOOPBACK);

	switch (kind % 4) {
	case 0: /* silent */
		break;
	case 1:
		send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL);
		break;
	case 2:
		send(fd, half_a_hello, sizeof(half_a_hello), MSG_NOSIGNAL);
		break;
	case 3:
		send(fd, half_a_hello, sizeof(half_a_hello), MSG_NOSIGNAL);
		shutdown(fd, SHUT_WR);
		break;
	}
	return fd;
}

/* --- what is left -------------------------------------------------------------------- */

static uint64_t result_of(enum conn_stat result)
{
	uint64_t counts[CONN_STATS];

	server_conn_stats(server, counts);
	return counts[result];
}

/* Those that went for others, or on a slow machine because their time was over. */
static uint64_t gone(void)
{
	return result_of(CONN_STAT_MADE_ROOM) + result_of(CONN_STAT_DEADLINE);
}

static void wait_until_idle(void)
{
	uint64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;

	while (!server_is_idle(server) && clock_monotonic_ns() < until_ns)
		usleep(1000);
	assert_true(server_is_idle(server));
}

static unsigned int open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned int count = 0;

	assert_non_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static size_t resident_kb(void)
{
	size_t size = 0, pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%zu %zu", &size, &pages), 2);
	fclose(file);
	return pages * 4;
}

/* --- tests ---------------------------------------------------------------------------- */

static void test_limits_each_source(void **state)
{
	enum { PER_SOURCE = 4, MORE = 3 };
	int fds[PER_SOURCE + MORE];
	uint64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;

	(void)state;
	start_server(PER_SOURCE);
	for (int i = 0; i < PER_SOURCE + MORE; i++)
		fds[i] = connect_from(INADDR_LOOPBACK);
	while (result_of(CONN_STAT_SOURCE_LIMIT) < MORE && clock_monotonic_ns() < until_ns)
		usleep(1000);
	assert_int_equal(result_of(CONN_STAT_SOURCE_LIMIT), MORE);
	assert_true(is_answered(NEIGHBOUR));
	for (int i = 0; i < PER_SOURCE + MORE; i++)
		close(fds[i]);
	wait_until_idle();
	assert_true(is_answered(INADDR_LOOPBACK));
	assert_int_equal(result_of(CONN_STAT_SOURCE_LIMIT), MORE);
}

/* Ten for each place, none of which leaves: every validator is answered all the same. */
static void test_validators_get_through_a_storm(void **state)
{
	enum { CROWD = 10 * CONNECTIONS };
	static int fds[CROWD];
	uint64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;

	(void)state;
	start_server(2 * CONNECTIONS); /* no source is too many by itself */
	for (unsigned int i = 0; i < CROWD; i++) {
		fds[i] = misbehave(i % 2 ? 2 : 0);
		if (i % 10 == 9)
			assert_true(is_answered(NEIGHBOUR));
	}
	/* The last ones may still wait for the other thread to accept them. */
	while (gone() < CROWD - CONNECTIONS && clock_monotonic_ns() < until_ns)
		usleep(1000);
	assert_true(gone() >= CROWD - CONNECTIONS);
	assert_true(result_of(CONN_STAT_MADE_ROOM) > 0);
	assert_int_equal(result_of(CONN_STAT_OVERLOAD), 0);
	for (unsigned int i = 0; i < CROWD; i++)
		close(fds[i]);
	wait_until_idle();
	/* Counted when they have left. */
	assert_int_equal(result_of(CONN_STAT_ANSWERED), CROWD / 10);
}

/* Those that shake hands and say no more are not driven out by the new: these are refused. */
static void test_refuses_the_new_when_all_shake_hands(void **state)
{
	enum { CROWD = 3 * CONNECTIONS };
	static struct tls_client client;
	static int fds[CROWD];
	uint8_t byte;

	(void)state;
	start_server(CONNECTIONS);
	for (int i = 0; i < CROWD; i++) {
		fds[i] = connect_from(INADDR_LOOPBACK);
		tls_client_init(&client, &validator);
		say(&client, fds[i]);
		tls_client_done(&client);
		/* Its answer, or its end. */
		recv(fds[i], &byte, 1, 0);
	}
	assert_true(result_of(CONN_STAT_OVERLOAD) > 0);
	assert_int_equal(result_of(CONN_STAT_MADE_ROOM), 0);
	for (int i = 0; i < CROWD; i++)
		close(fds[i]);
	wait_until_idle();
	assert_true(is_answered(INADDR_LOOPBACK));
}

static void test_many_leave_nothing(void **state)
{
	enum { KEPT = 32, WARM_UP = 2000 };
	int fds[KEPT];
	unsigned int descriptors;
	uint64_t sum = 0, counts[CONN_STATS];
	size_t before_kb = 0;

	(void)state;
	start_server(CONNECTIONS);
	for (int i = 0; i < KEPT; i++)
		fds[i] = -1;
	descriptors = open_descriptors();
	for (unsigned int i = 0; i < connection_count; i++) {
		int *fd = &fds[i % KEPT];

		if (i == WARM_UP)
			before_kb = resident_kb();
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		if (i % 10)
			*fd = misbehave(i / 10 + i);
		else
			assert_true(is_answered(NEIGHBOUR));
	}
	for (int i = 0; i < KEPT; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	wait_until_idle();
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed */
	assert_in_range(resident_kb(), 0, before_kb + 4096);
#endif
	assert_int_equal(open_descriptors(), descriptors);
	server_conn_stats(server, counts);
	for (int result = 0; result < CONN_STATS; result++)
		sum += counts[result];
	/* One that was reset while it waited in the backlog may never have been seen. */
	assert_in_range(sum, connection_count * 9 / 10, connection_count);
	assert_true(counts[CONN_STAT_ANSWERED] >= connection_count / 10);
	assert_int_equal(counts[CONN_STAT_REFUSED], 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		ON_EACH_ENGINE(test_limits_each_source, setup, teardown),
		ON_EACH_ENGINE(test_validators_get_through_a_storm, setup, teardown),
		ON_EACH_ENGINE(test_refuses_the_new_when_all_shake_hands, setup, teardown),
		ON_EACH_ENGINE(test_many_leave_nothing, setup, teardown),
	};

	if (argc > 1)
		connection_count = (unsigned int)strtoul(argv[1], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
