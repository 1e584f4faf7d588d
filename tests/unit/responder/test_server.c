// SPDX-License-Identifier: GPL-3.0-or-later
/* The threads, with real listeners and clients on the loopback interface. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <wolfssl/ssl.h>

#include "responder/conn.h"
#include "responder/listener.h"
#include "responder/ring.h"
#include "responder/server.h"
#include "tests/unit/responder/engines.h"
#include "tests/unit/fixture.h"
#include "tests/unit/responder/tls_client.h"
#include "common/clock.h"

#define NAME       "pending.example.com"
#define ACME       "acme-tls/1"
#define THREADS    2
#define NS_PER_MS  1000000u
#define NS_PER_S   UINT64_C(1000000000)
#define PATIENCE_S 5

static const struct tls_client_options validator = {.server_name = NAME, .protocols = ACME};

static struct fixture fixture;
static struct listeners listeners;
static struct server *server;
static enum ring_engine engine;

static void start_server(void)
{
	const struct server_options options = {
		.paths = &fixture.paths,
		.threads = THREADS,
		.engine = engine,
		.connections = 4096,
		.connections_per_source = 4096,
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

static int connect_client(enum steer_family family)
{
	const struct timeval patience = {.tv_sec = 2 * CONN_DEADLINE_MS / 1000};
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	int fd;

	assert_int_equal(getsockname(listeners.fds[0][family], (struct sockaddr *)&address, &size),
			 0);
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, size), 0);
	return fd;
}

/* As recv(2); the kernel, still ending the rings of an earlier server, may interrupt that. */
static ssize_t receive(int fd, void *buffer, size_t size)
{
	ssize_t result;

	do
		result = recv(fd, buffer, size, 0);
	while (result < 0 && errno == EINTR);
	return result;
}

/* Send what the client has to say. */
static bool say(struct tls_client *client, int fd)
{
	size_t size = client->output_size;

	client->output_size = 0;
	return send(fd, client->output, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* Hear what the server says, up to its goodbye.  False when it ends in another way. */
static bool hear_to_the_end(struct tls_client *client, int fd)
{
	static uint8_t words[TLS_CLIENT_BUFFER_SIZE];

	while (!client->said_goodbye) {
		ssize_t size = receive(fd, words, sizeof(words));

		if (size <= 0 || !tls_client_step(client, words, (size_t)size) ||
		    (client->output_size && !say(client, fd)))
			return false;
	}
	return true;
}

static bool is_answered(const struct tls_client_options *options, enum steer_family family)
{
	static struct tls_client client;
	int fd = connect_client(family);
	bool answered;

	tls_client_init(&client, options);
	answered = say(&client, fd) && hear_to_the_end(&client, fd) && client.certificate_size;
	tls_client_done(&client);
	close(fd);
	return answered;
}

/* How many connections have ended in one of these ways (bits by enum conn_stat). */
static uint64_t ended(unsigned int ways)
{
	uint64_t counts[CONN_STATS], sum = 0;

	server_conn_stats(server, counts);
	for (int way = 0; way < CONN_STATS; way++)
		sum += ways & 1u << way ? counts[way] : 0;
	return sum;
}

/* Wait until so many have, and not more. */
static void expect_ended(unsigned int ways, uint64_t count)
{
	uint64_t until_ns = clock_monotonic_ns() + PATIENCE_S * NS_PER_S;

	while (ended(ways) != count && clock_monotonic_ns() < until_ns)
		usleep(1000);
	assert_int_equal(ended(ways), count);
}

/* Milliseconds until the server closes. */
static uint64_t time_to_end_ms(int fd, uint64_t since_ns)
{
	char bytes[4096];

	while (receive(fd, bytes, sizeof(bytes)) > 0)
		;
	return (clock_monotonic_ns() - since_ns) / NS_PER_MS;
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

/* --- tests -------------------------------------------------------------------------- */

static void test_answers_on_both_families(void **state)
{
	const struct tls_client_options tls12 = {
		.server_name = NAME, .protocols = ACME, .tls12 = true};
	unsigned int before;

	(void)state;
	start_server();
	before = open_descriptors();
	for (int family = 0; family < STEER_FAMILIES; family++)
		for (int i = 0; i < 50; i++) {
			assert_true(is_answered(&validator, (enum steer_family)family));
			assert_true(is_answered(&tls12, (enum steer_family)family));
		}
	expect_ended(1u << CONN_STAT_ANSWERED, 200);
	assert_int_equal(open_descriptors(), before);
}

static void test_counts_how_connections_end(void **state)
{
	const struct tls_client_options other_name = {.server_name = "x.example.com",
						      .protocols = ACME};
	const struct tls_client_options other_protocol = {.server_name = NAME, .protocols = "h2"};
	int fd;

	(void)state;
	start_server();
	assert_false(is_answered(&other_name, STEER_V4));
	expect_ended(1u << CONN_STAT_NOT_PENDING, 1);
	assert_false(is_answered(&other_protocol, STEER_V6));
	expect_ended(1u << CONN_STAT_NO_ALPN, 1);
	close(connect_client(STEER_V4));
	expect_ended(1u << CONN_STAT_CLIENT_LEFT, 1);
	fd = connect_client(STEER_V4);
	assert_int_equal(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 18);
	time_to_end_ms(fd, 0);
	close(fd);
	expect_ended(1u << CONN_STAT_HANDSHAKE_FAILED, 1);
	assert_int_equal(ended(1u << CONN_STAT_ANSWERED), 0);
	assert_int_equal(ended(1u << CONN_STAT_REFUSED), 0);
}

/* Half a hello from each of many, then the other half: none waits for another. */
static void test_serves_many_at_once(void **state)
{
	enum { MANY = 64 };
	static struct tls_client clients[MANY];
	int fds[MANY];

	(void)state;
	start_server();
	for (int i = 0; i < MANY; i++) {
		fds[i] = connect_client(i % STEER_FAMILIES);
		tls_client_init(&clients[i], &validator);
		assert_int_equal(send(fds[i], clients[i].output, 100, 0), 100);
		clients[i].output_size -= 100;
		memmove(clients[i].output, clients[i].output + 100, clients[i].output_size);
	}
	assert_true(is_answered(&validator, STEER_V4));
	for (int i = MANY - 1; i >= 0; i--) {
		assert_true(say(&clients[i], fds[i]));
		assert_true(hear_to_the_end(&clients[i], fds[i]));
		tls_client_done(&clients[i]);
		close(fds[i]);
	}
	expect_ended(1u << CONN_STAT_ANSWERED, MANY + 1);
}

/* Silent, slow, deaf to our answer, and those who stay after the goodbye: all are gone after the deadline. */
static void test_ends_everyone_at_the_deadline(void **state)
{
	enum { SILENT, HALF_HELLO, DEAF, STAYING, KINDS };
	static struct tls_client client;
	uint64_t start_ns;
	int fds[KINDS];

	(void)state;
	start_server();
	start_ns = clock_monotonic_ns();
	for (int kind = 0; kind < KINDS; kind++)
		fds[kind] = connect_client(STEER_V4);
	tls_client_init(&client, &validator);
	assert_int_equal(send(fds[HALF_HELLO], client.output, 100, 0), 100);
	assert_int_equal(send(fds[DEAF], client.output, client.output_size, 0), client.output_size);
	assert_true(say(&client, fds[STAYING]));
	assert_true(hear_to_the_end(&client, fds[STAYING]));
	tls_client_done(&client);
	for (int kind = 0; kind < KINDS; kind++) {
		assert_in_range(time_to_end_ms(fds[kind], start_ns), CONN_DEADLINE_MS - 1,
				CONN_DEADLINE_MS + 1000);
		close(fds[kind]);
	}
	expect_ended(1u << CONN_STAT_DEADLINE, 3);
	expect_ended(1u << CONN_STAT_ANSWERED, 1);
}

/* Each thread has as many slots as the limit of open files allows. */
static void test_refuses_when_full_and_recovers(void **state)
{
	enum { SLOTS = 32, MORE = 2 * THREADS * SLOTS };
	const unsigned int refusals = 1u << CONN_STAT_REFUSED | 1u << CONN_STAT_MADE_ROOM;
	struct rlimit old, few;
	int fds[MORE];

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = SLOTS;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	start_server();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	for (int i = 0; i < MORE; i++)
		fds[i] = connect_client(STEER_V4);
	for (int tries = 0; !ended(refusals) && tries < 1000; tries++)
		usleep(1000);
	assert_true(ended(refusals) > 0);
	for (int i = 0; i < MORE; i++)
		close(fds[i]);
	/* None is forgotten in a backlog. */
	expect_ended(1u << CONN_STAT_CLIENT_LEFT | refusals, MORE);
	for (int i = 0; i < 4 * SLOTS; i++)
		assert_true(is_answered(&validator, i % STEER_FAMILIES));
	expect_ended(1u << CONN_STAT_ANSWERED, 4 * SLOTS);
}

static void test_ends_with_connections_open(void **state)
{
	enum { MANY = 20 };
	unsigned int before = open_descriptors();
	uint64_t start_ns;
	int fds[MANY];

	(void)state;
	start_server();
	for (int i = 0; i < MANY; i++)
		fds[i] = connect_client(i % STEER_FAMILIES);
	assert_true(is_answered(&validator, STEER_V4));
	start_ns = clock_monotonic_ns();
	server_free(server);
	server = NULL;
	/* The listeners, too, are still open: who waits there is not accepted any more. */
	listeners_close(&listeners);
	for (int i = 0; i < MANY; i++) {
		assert_in_range(time_to_end_ms(fds[i], start_ns), 0, 1000);
		close(fds[i]);
	}
	assert_int_equal(open_descriptors(), before - THREADS * STEER_FAMILIES);
}

static void test_tells_that_it_lives(void **state)
{
	struct pollfd polled;

	(void)state;
	start_server();
	/* The threads have nothing to do, and go round all the same. */
	usleep(1200000);
	assert_true(server_silence_ns(server) < 5 * NS_PER_S);
	polled = (struct pollfd){.fd = server_failure_fd(server), .events = POLLIN};
	assert_int_equal(poll(&polled, 1, 0), 0);
}

static void test_names_each_result(void **state)
{
	(void)state;
	for (int i = 0; i < CONN_STATS; i++) {
		const char *name = conn_stat_name((enum conn_stat)i);

		assert_non_null(name);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(name, conn_stat_name((enum conn_stat)j));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EACH_ENGINE(test_answers_on_both_families, setup, teardown),
		ON_EACH_ENGINE(test_counts_how_connections_end, setup, teardown),
		ON_EACH_ENGINE(test_serves_many_at_once, setup, teardown),
		ON_EACH_ENGINE(test_ends_everyone_at_the_deadline, setup, teardown),
		ON_EACH_ENGINE(test_refuses_when_full_and_recovers, setup, teardown),
		ON_EACH_ENGINE(test_ends_with_connections_open, setup, teardown),
		ON_EACH_ENGINE(test_tells_that_it_lives, setup, teardown),
		cmocka_unit_test(test_names_each_result),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
