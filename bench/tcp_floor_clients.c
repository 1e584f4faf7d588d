// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The clients of tcp_floor.c: validators, as sidestep-bench plays them. They take their random numbers
 * from one fixed sequence, which starts again with each connection. So all of them send the same
 * ClientHello, and one recorded answer satisfies all: to a client it is a handshake like any other.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* RAND_METHOD */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/rand.h>
#include <openssl/ssl.h>

#include "bench/tcp_floor.h"
#include "common/clock.h"
#include "common/validator/hello.h"
#include "common/validator/route.h"
#include "common/validator/validator.h"

#define NAME        "bench.example.org"
#define EVENTS      64
#define CLIENTS_MAX 256

/* --- the same random numbers for every client ------------------------------------- */

static uint64_t sequence; /* where it has got to */

/* splitmix64 (Steele, Lea, Flood 2014) */
static int next_random(unsigned char *bytes, int count)
{
	for (int i = 0; i < count; i++) {
		uint64_t mixed = sequence += UINT64_C(0x9e3779b97f4a7c15);

		mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
		bytes[i] = (unsigned char)(mixed >> 56);
	}
	return 1;
}

static int is_seeded(void)
{
	return 1;
}

static struct hello make_hello(void)
{
	static const RAND_METHOD method = {
		.bytes = next_random, .pseudorand = next_random, .status = is_seeded};
	struct hello hello;

	require(RAND_set_rand_method(&method) == 1, "RAND_set_rand_method");
	require(!hello_init(&hello, HELLO_SMALL, HELLO_TLS_13), "OpenSSL");
	return hello;
}

static void begin_sequence(void)
{
	sequence = 1;
}

/* --- recording ------------------------------------------------------------------- */

/* Send what TLS has to say; its size. */
static uint32_t say(int fd, SSL *client)
{
	uint8_t bytes[FLIGHT_MAX];
	int size = BIO_read(SSL_get_wbio(client), bytes, sizeof(bytes));

	require(size > 0 && send(fd, bytes, (size_t)size, MSG_NOSIGNAL) == size, "send");
	return (uint32_t)size;
}

/* Receive once; its size. */
static uint32_t hear(int fd, uint8_t bytes[FLIGHT_MAX])
{
	ssize_t size = recv(fd, bytes, FLIGHT_MAX, 0);

	require(size > 0, "recv");
	return (uint32_t)size;
}

void clients_record(const struct sockaddr_in *address, struct recording *ret_recording)
{
	struct hello hello = make_hello();
	struct recording recording = {0};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	SSL *client;

	require(fd >= 0 && !connect(fd, (const struct sockaddr *)address, sizeof(*address)),
		"connect");
	begin_sequence();
	require(!hello_client(&hello, NAME, 0, &client), "OpenSSL");
	SSL_set_bio(client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_do_handshake(client);
	recording.hello_size = say(fd, client);
	/* The server sends each of its flights at once. */
	recording.flight_size = hear(fd, recording.flight);
	BIO_write(SSL_get_rbio(client), recording.flight, (int)recording.flight_size);
	require(SSL_do_handshake(client) == 1, "the handshake with the server to record");
	SSL_shutdown(client);
	recording.finished_size = say(fd, client);
	recording.goodbye_size = hear(fd, recording.goodbye);
	SSL_free(client);
	hello_done(&hello);
	close(fd);
	*ret_recording = recording;
}

/* --- the load --------------------------------------------------------------------- */

struct clients {
	struct hello hello;
	struct route route;
	struct subject subject;
	int epoll_fd;
	struct validator validators[CLIENTS_MAX];
};

static void come(struct clients *clients, struct validator *validator)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = validator};
	enum outcome outcome;

	validator->subject = clients->subject;
	begin_sequence();
	require(validator_begin(validator, &clients->route, &clients->hello, 0, &outcome) ==
			VALIDATOR_GOES_ON,
		"connect");
	require(!epoll_ctl(clients->epoll_fd, EPOLL_CTL_ADD, validator->fd, &event), "epoll_ctl");
}

/* Whether the conversation is over. */
static bool proceed(struct validator *validator, uint32_t happened)
{
	bool readable = happened & (EPOLLIN | EPOLLERR | EPOLLHUP);
	enum outcome outcome;

	if (validator_proceed(validator, readable, &outcome) == VALIDATOR_GOES_ON)
		return false;
	require(outcome == OUTCOME_OK, "a validator is not content with the recording");
	return true;
}

unsigned long clients_load(const struct sockaddr_in *address, unsigned long concurrency,
			   unsigned long seconds)
{
	static struct clients clients;
	struct epoll_event events[EVENTS];
	unsigned long done = 0;
	uint64_t until_ns;

	require(concurrency && concurrency <= CLIENTS_MAX, "1 to 256 clients are possible");
	clients.hello = make_hello();
	clients.route.destination.ipv4 = *address;
	clients.route.destination.size = sizeof(*address);
	require(identifier_parse(&clients.subject.identifier, NAME) == IDENTIFIER_OK, NAME);
	clients.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	require(clients.epoll_fd >= 0, "epoll_create1");
	until_ns = clock_monotonic_ns() + seconds * CLOCK_NS_PER_S;
	for (unsigned long i = 0; i < concurrency; i++)
		come(&clients, &clients.validators[i]);
	while (clock_monotonic_ns() < until_ns) {
		int count = epoll_wait(clients.epoll_fd, events, EVENTS, 100);

		for (int i = 0; i < count; i++) {
			struct validator *validator = events[i].data.ptr;

			if (!proceed(validator, events[i].events))
				continue;
			validator_end(validator, false);
			done++;
			come(&clients, validator);
		}
	}
	return done;
}
