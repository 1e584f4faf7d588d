// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The TCP floor: what the kernel alone takes for a validator's handshake.  A server without TLS
 * that says what another one said in a handshake, and validators for it, which cannot tell:
 *
 *   tcp_floor record ADDRESS PORT FILE                     of the responder
 *   tcp_floor serve ADDRESS PORT FILE                      until SIGTERM
 *   tcp_floor load ADDRESS PORT CONCURRENCY SECONDS        prints the number of conversations
 *
 * The server moves the same bytes in the same segments as the responder, by the same calls: one
 * thread, one io_uring, single accepts with the peer's address, multishot receives into provided
 * buffers.  Its clients do all the work of a TLS client, so that the server finds the caches as
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
#include <sys/mman.h>
#include <sys/socket.h>

#include "bench/tcp_floor.h"

#define EVENTS      64
#define DESCRIPTORS 4096
#define BACKLOG     4096
#define ACCEPTS     32 /* that wait at once */

/* As the responder's ring has them. */
#define BUFFERS      1024
#define BUFFER_SIZE  4096
#define BUFFER_GROUP 0

void require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "tcp_floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- the server ------------------------------------------------------------------ */

enum operation { ACCEPT, RECEIVE, SEND, CLOSE };

struct server {
	struct io_uring uring;
	struct io_uring_buf_ring *buffer_ring;
	uint8_t *buffers;
	int listener_fd;
	struct recording recording;
	struct sockaddr_storage peers[ACCEPTS];
	socklen_t sizes[ACCEPTS];
	size_t received[DESCRIPTORS]; /* by direct descriptor */
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

	io_uring_prep_recv_multishot(sqe, (int)slot, NULL, 0, 0);
	sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
	sqe->buf_group = BUFFER_GROUP;
	sqe->user_data = user_data;
}

static void answer(struct server *server, unsigned int slot, const uint8_t *bytes, size_t size)
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
static void on_received(struct server *server, unsigned int slot, const struct io_uring_cqe *cqe)
{
	const struct recording *recording = &server->recording;
	size_t whole = recording->hello_size + recording->finished_size;
	size_t before = server->received[slot];
	size_t now = before + (cqe->res > 0 ? (size_t)cqe->res : 0);

	server->received[slot] = now;
	if (before < recording->hello_size && now >= recording->hello_size)
		answer(server, slot, recording->flight, recording->flight_size);
	if (before < whole && now >= whole)
		answer(server, slot, recording->goodbye, recording->goodbye_size);
	if (cqe->res <= 0 && cqe->res != -ENOBUFS)
		close_slot(server, slot);
	else if (!(cqe->flags & IORING_CQE_F_MORE))
		receive(server, slot);
}

static void give_buffer(struct server *server, unsigned int number, int offset)
{
	io_uring_buf_ring_add(server->buffer_ring, server->buffers + (size_t)number * BUFFER_SIZE,
			      BUFFER_SIZE, (unsigned short)number, io_uring_buf_ring_mask(BUFFERS),
			      offset);
}

static void on_completion(struct server *server, const struct io_uring_cqe *cqe)
{
	unsigned int number = (unsigned int)cqe->user_data;

	switch ((enum operation)(cqe->user_data >> 32)) {
	case ACCEPT:
		if (cqe->res >= 0) {
			server->received[cqe->res] = 0;
			receive(server, (unsigned int)cqe->res);
		}
		accept_one(server, number);
		break;
	case RECEIVE:
		on_received(server, number, cqe);
		if (cqe->flags & IORING_CQE_F_BUFFER) {
			give_buffer(server, cqe->flags >> IORING_CQE_BUFFER_SHIFT, 0);
			io_uring_buf_ring_advance(server->buffer_ring, 1);
		}
		break;
	case SEND: /* a peer that is gone shows at the next receive */
	case CLOSE:
		break;
	}
}

static void provide_buffers(struct server *server)
{
	struct io_uring_buf_reg registration = {.ring_entries = BUFFERS, .bgid = BUFFER_GROUP};

	server->buffer_ring = mmap(NULL, BUFFERS * sizeof(struct io_uring_buf),
				   PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	server->buffers = malloc((size_t)BUFFERS * BUFFER_SIZE);
	require(server->buffer_ring != MAP_FAILED && server->buffers, "memory");
	registration.ring_addr = (uintptr_t)server->buffer_ring;
	errno = -io_uring_register_buf_ring(&server->uring, &registration, 0);
	require(!errno, "provided buffers");
	io_uring_buf_ring_init(server->buffer_ring);
	for (unsigned int number = 0; number < BUFFERS; number++)
		give_buffer(server, number, (int)number);
	io_uring_buf_ring_advance(server->buffer_ring, BUFFERS);
}

static void serve(const struct sockaddr_in *address, const struct recording *recording)
{
	static struct server server;
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_CQSIZE,
		.cq_entries = 8192,
	};
	struct io_uring_cqe *cqes[EVENTS];
	unsigned int count;

	server.recording = *recording;
	server.listener_fd = open_listener(address);
	errno = -io_uring_queue_init_params(1024, &server.uring, &params);
	require(!errno, "io_uring");
	errno = -io_uring_register_files_sparse(&server.uring, DESCRIPTORS);
	require(!errno, "direct descriptors");
	provide_buffers(&server);
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

/* --- the program ----------------------------------------------------------------- */

static struct recording read_recording(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct recording recording;

	require(file && fread(&recording, sizeof(recording), 1, file) == 1, path);
	fclose(file);
	return recording;
}

static void write_recording(const char *path, const struct recording *recording)
{
	FILE *file = fopen(path, "wb");

	require(file && fwrite(recording, sizeof(*recording), 1, file) == 1 && !fclose(file), path);
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	struct recording recording;

	if (argc < 5 || inet_pton(AF_INET, argv[2], &address.sin_addr) != 1)
		goto usage;
	address.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
	if (argc == 5 && strcmp(argv[1], "record") == 0) {
		clients_record(&address, &recording);
		write_recording(argv[4], &recording);
	} else if (argc == 5 && strcmp(argv[1], "serve") == 0) {
		recording = read_recording(argv[4]);
		serve(&address, &recording);
	} else if (argc == 6 && strcmp(argv[1], "load") == 0) {
		printf("%lu\n", clients_load(&address, strtoul(argv[4], NULL, 10),
					     strtoul(argv[5], NULL, 10)));
	} else {
		goto usage;
	}
	return 0;
usage:
	fprintf(stderr, "usage: tcp_floor record|serve ADDRESS PORT FILE\n"
			"       tcp_floor load ADDRESS PORT CONCURRENCY SECONDS\n");
	return 2;
}
