// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The TCP floor: what the kernel alone takes for a validator's handshake.  A server without TLS
 * that moves the same bytes in the same steps as a TLS 1.3 handshake, and clients for it:
 *
 *   tcp_floor serve ADDRESS PORT                       until SIGTERM
 *   tcp_floor load ADDRESS PORT CONCURRENCY SECONDS    prints the number of conversations
 *
 * The server is of the responder's shape: one thread and one io_uring.  For each conversation a
 * client also does the public-key work of a TLS client, so that the server finds the caches as
 * such clients leave them.  Aim it at namespaces of your own only.  Run by handshakes.py.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/evp.h>

/* Of sidestep-bench's small hello with a TLS 1.3 server that has a P-256 certificate. */
#define HELLO_SIZE        260
#define FLIGHT_SIZE       900
#define FINISHED_SIZE     80
#define CLOSE_NOTIFY_SIZE 24

#define EVENTS      64
#define CLIENTS_MAX 256
#define DESCRIPTORS 4096
#define BACKLOG     1024
#define ACCEPTS     32 /* that wait at once */
#define NS_PER_S    UINT64_C(1000000000)

static const uint8_t bytes[FLIGHT_SIZE];
static size_t received[DESCRIPTORS]; /* by descriptor: what has come so far */
static EVP_PKEY *shares[DESCRIPTORS]; /* by descriptor: a client's */

static void require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "tcp_floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void watch(int epoll_fd, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	require(fd < DESCRIPTORS, "too many descriptors");
	require(!epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
	received[fd] = 0;
}

static void send_all(int fd, size_t size)
{
	/* It fits into an empty socket buffer; a peer that is gone shows at the next receive. */
	if (send(fd, bytes, size, MSG_NOSIGNAL) < 0)
		received[fd] = SIZE_MAX / 2;
}

/* --- the server ------------------------------------------------------------------ */

enum operation { ACCEPT, RECEIVE, SEND, CLOSE };

struct conversation {
	uint8_t buffer[4096];
	size_t received;
};

struct server {
	struct io_uring uring;
	int listener_fd;
	struct sockaddr_storage peers[ACCEPTS];
	socklen_t sizes[ACCEPTS];
	struct conversation conversations[DESCRIPTORS]; /* by direct descriptor */
};

static int open_listener(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	require(fd >= 0, "socket");
	require(!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), "SO_REUSEADDR");
	require(!bind(fd, (const struct sockaddr *)address, sizeof(*address)), "bind");
	require(!listen(fd, BACKLOG), "listen");
	return fd;
}

static struct io_uring_sqe *next_sqe(struct server *server, enum operation operation,
				     unsigned int number)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&server->uring);

	if (!sqe) {
		io_uring_submit(&server->uring);
		sqe = io_uring_get_sqe(&server->uring);
	}
	require(sqe, "io_uring takes no more");
	memset(sqe, 0, sizeof(*sqe));
	sqe->user_data = (uint64_t)operation << 32 | number;
	return sqe;
}

static void accept_one(struct server *server, unsigned int number)
{
	struct io_uring_sqe *sqe = next_sqe(server, ACCEPT, number);
	uint64_t user_data = sqe->user_data;

	server->sizes[number] = sizeof(server->peers[number]);
	io_uring_prep_accept(sqe, server->listener_fd, (struct sockaddr *)&server->peers[number],
			     &server->sizes[number], 0);
	sqe->file_index = IORING_FILE_INDEX_ALLOC;
	sqe->user_data = user_data;
}

static void receive(struct server *server, unsigned int slot)
{
	struct io_uring_sqe *sqe = next_sqe(server, RECEIVE, slot);
	uint64_t user_data = sqe->user_data;

	io_uring_prep_recv(sqe, (int)slot, server->conversations[slot].buffer,
			   sizeof(server->conversations[slot].buffer), 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	sqe->user_data = user_data;
}

static void answer(struct server *server, unsigned int slot, size_t size)
{
	struct io_uring_sqe *sqe = next_sqe(server, SEND, slot);
	uint64_t user_data = sqe->user_data;

	io_uring_prep_send(sqe, (int)slot, bytes, size, MSG_NOSIGNAL);
	sqe->flags |= IOSQE_FIXED_FILE;
	sqe->user_data = user_data;
}

static void close_slot(struct server *server, unsigned int slot)
{
	struct io_uring_sqe *sqe = next_sqe(server, CLOSE, slot);
	uint64_t user_data = sqe->user_data;

	io_uring_prep_close_direct(sqe, slot);
	sqe->user_data = user_data;
}

/* A hello gets the flight, a Finished the goodbye; then the client closes, and so do we. */
static void on_received(struct server *server, unsigned int slot, int result)
{
	struct conversation *conversation = &server->conversations[slot];
	size_t before = conversation->received;

	if (result <= 0) {
		close_slot(server, slot);
		return;
	}
	conversation->received += (size_t)result;
	if (before < HELLO_SIZE && conversation->received >= HELLO_SIZE)
		answer(server, slot, FLIGHT_SIZE);
	if (before < HELLO_SIZE + FINISHED_SIZE &&
	    conversation->received >= HELLO_SIZE + FINISHED_SIZE)
		answer(server, slot, CLOSE_NOTIFY_SIZE);
	receive(server, slot);
}

static void on_completion(struct server *server, const struct io_uring_cqe *cqe)
{
	unsigned int number = (unsigned int)cqe->user_data;

	switch ((enum operation)(cqe->user_data >> 32)) {
	case ACCEPT:
		if (cqe->res >= 0) {
			server->conversations[cqe->res].received = 0;
			receive(server, (unsigned int)cqe->res);
		}
		accept_one(server, number);
		break;
	case RECEIVE:
		on_received(server, number, cqe->res);
		break;
	case SEND: /* a peer that is gone shows at the next receive */
	case CLOSE:
		break;
	}
}

/* As the responder does it: one ring, direct descriptors, several accepts that wait. */
static void serve(const struct sockaddr_in *address)
{
	static struct server server;
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_CQSIZE,
		.cq_entries = 8192,
	};
	struct io_uring_cqe *cqes[EVENTS];
	unsigned int count;

	server.listener_fd = open_listener(address);
	errno = -io_uring_queue_init_params(1024, &server.uring, &params);
	require(!errno, "io_uring");
	errno = -io_uring_register_files_sparse(&server.uring, DESCRIPTORS);
	require(!errno, "direct descriptors");
	for (unsigned int number = 0; number < ACCEPTS; number++)
		accept_one(&server, number);
	for (;;) {
		io_uring_submit_and_wait(&server.uring, 1);
		while ((count = io_uring_peek_batch_cqe(&server.uring, cqes, EVENTS))) {
			for (unsigned int i = 0; i < count; i++)
				on_completion(&server, cqes[i]);
			io_uring_cq_advance(&server.uring, count);
		}
	}
}

/* --- its clients ----------------------------------------------------------------- */

static EVP_PKEY *server_share, *server_key;
static uint8_t signature[128];
static size_t signature_size = sizeof(signature);

static void make_keys(void)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	server_share = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	server_key = EVP_EC_gen("P-256");
	require(server_share && server_key && context &&
			EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, server_key) == 1 &&
			EVP_DigestSign(context, signature, &signature_size, bytes, 130) == 1,
		"OpenSSL");
	EVP_MD_CTX_free(context);
}

/* A key share, before the hello. */
static EVP_PKEY *make_share(void)
{
	EVP_PKEY *share = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");

	require(share, "OpenSSL");
	return share;
}

/* The agreement and the check of the signature, after the server's flight. */
static void agree_and_verify(EVP_PKEY *share)
{
	EVP_PKEY_CTX *agreement = EVP_PKEY_CTX_new(share, NULL);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t secret[64];
	size_t size = sizeof(secret);

	require(agreement && context && EVP_PKEY_derive_init(agreement) == 1 &&
			EVP_PKEY_derive_set_peer(agreement, server_share) == 1 &&
			EVP_PKEY_derive(agreement, secret, &size) == 1 &&
			EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, server_key) == 1 &&
			EVP_DigestVerify(context, signature, signature_size, bytes, 130) == 1,
		"OpenSSL");
	EVP_PKEY_CTX_free(agreement);
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(share);
}

static void come(int epoll_fd, const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	require(fd >= 0, "socket");
	require(!connect(fd, (const struct sockaddr *)address, sizeof(*address)) ||
			errno == EINPROGRESS,
		"connect");
	watch(epoll_fd, fd, EPOLLOUT | EPOLLET);
	shares[fd] = make_share();
}

/* Whether the conversation is over. */
static bool talk(int epoll_fd, int fd, uint32_t happened)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
	uint8_t buffer[4096];
	size_t before = received[fd];
	ssize_t size;

	require(!(happened & EPOLLERR), "the server closed a conversation");
	if (happened & EPOLLOUT) {
		send_all(fd, HELLO_SIZE);
		require(!epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event), "epoll_ctl");
		return false;
	}
	size = recv(fd, buffer, sizeof(buffer), 0);
	if (size < 0 && errno == EAGAIN)
		return false;
	require(size > 0 || before >= FLIGHT_SIZE, "the server said too little");
	received[fd] += size > 0 ? (size_t)size : 0;
	if (before >= FLIGHT_SIZE || received[fd] < FLIGHT_SIZE)
		return before >= FLIGHT_SIZE;
	agree_and_verify(shares[fd]);
	/* As a validator does: Finished, and it is done. */
	send_all(fd, FINISHED_SIZE);
	return true;
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void load(const struct sockaddr_in *address, unsigned long concurrency,
		 unsigned long seconds)
{
	uint64_t until_ns = clock_ns() + seconds * NS_PER_S;
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[EVENTS];
	unsigned long done = 0;

	require(epoll_fd >= 0, "epoll_create1");
	make_keys();
	for (unsigned long i = 0; i < concurrency; i++)
		come(epoll_fd, address);
	while (clock_ns() < until_ns) {
		int count = epoll_wait(epoll_fd, events, EVENTS, 100);

		for (int i = 0; i < count; i++) {
			if (!talk(epoll_fd, events[i].data.fd, events[i].events))
				continue;
			close(events[i].data.fd);
			done++;
			come(epoll_fd, address);
		}
	}
	printf("%lu\n", done);
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	unsigned long concurrency;

	if (argc < 4 || inet_pton(AF_INET, argv[2], &address.sin_addr) != 1)
		goto usage;
	address.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
	if (argc == 4 && strcmp(argv[1], "serve") == 0)
		serve(&address);
	if (argc != 6 || strcmp(argv[1], "load"))
		goto usage;
	concurrency = strtoul(argv[4], NULL, 10);
	if (!concurrency || concurrency > CLIENTS_MAX)
		goto usage;
	load(&address, concurrency, strtoul(argv[5], NULL, 10));
	return 0;
usage:
	fprintf(stderr, "usage: tcp_floor serve ADDRESS PORT\n"
			"       tcp_floor load ADDRESS PORT CONCURRENCY SECONDS\n");
	return 2;
}
