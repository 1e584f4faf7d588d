// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/log.h"
#include "responder/limits.h"
#include "responder/ring.h"
#include "responder/worker.h"

struct server {
	unsigned int worker_count;
	struct worker **workers;
	struct limits *limits; /* for all threads */
	int failure_fd;
};

/* --- how connections ended -------------------------------------------------------------------- */

void server_conn_stats(const struct server *server, uint64_t ret_counts[CONN_STATS])
{
	memset(ret_counts, 0, CONN_STATS * sizeof(ret_counts[0]));
	for (unsigned int i = 0; i < server->worker_count; i++)
		worker_add_results(server->workers[i], ret_counts);
}

/* --- making and unmaking ------------------------------------------------------------ */

/* A thread's share, as far as the limit of open files lets a ring have it. */
static uint32_t connections_per_thread(const struct server_options *options)
{
	uint32_t share = (options->connections - 1) / options->threads + 1;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= share + WORKER_SPARE_SLOTS)
		return share;
	if (limit.rlim_cur > 2u * WORKER_SPARE_SLOTS)
		share = (uint32_t)limit.rlim_cur - WORKER_SPARE_SLOTS;
	else
		share = (uint32_t)limit.rlim_cur / 2;
	log_warning("the limit of open files, %llu, lets each thread have %u connections only; "
		    "raise it ('ulimit -n', LimitNOFILE=) for more",
		    (unsigned long long)limit.rlim_cur, share);
	return share;
}

static int make_limits(struct server *server, const struct server_options *options)
{
	uint64_t seed[2];
	int err;

	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		return -errno;
	err = limits_new(&server->limits, options->connections, options->connections_per_source,
			 seed);
	if (err)
		log_error("no memory to count %u connections: give fewer with --connections",
			  options->connections);
	return err;
}

static int make_workers(struct server *server, const struct server_options *options)
{
	uint32_t share = connections_per_thread(options);
	int err = 0;

	while (!err && server->worker_count < options->threads) {
		unsigned int number = server->worker_count;

		err = worker_new(&server->workers[number], options, number, share, server->limits,
				 server->failure_fd);
		if (!err)
			server->worker_count++;
	}
	return err;
}

int server_new(const struct server_options *options, struct server **ret_server)
{
	struct server *server = calloc(1, sizeof(*server));
	int err = -ENOMEM;

	assert(options->threads && options->connections && options->connections_per_source);
	if (!server)
		return err;
	server->failure_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	server->workers = calloc(options->threads, sizeof(server->workers[0]));
	if (server->failure_fd < 0 || !server->workers)
		log_error("no memory or descriptors for %u threads", options->threads);
	else
		err = make_limits(server, options);
	if (!err)
		err = make_workers(server, options);
	if (err) {
		server_free(server);
		return err;
	}
	*ret_server = server;
	return 0;
}

int server_start(struct server *server)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < server->worker_count; i++)
		err = worker_start(server->workers[i]);
	return err;
}

uint64_t server_silence_ns(const struct server *server)
{
	uint64_t first_ns = UINT64_MAX;

	for (unsigned int i = 0; i < server->worker_count; i++) {
		uint64_t progress_ns = worker_progress_ns(server->workers[i]);

		if (progress_ns < first_ns)
			first_ns = progress_ns;
	}
	return ring_clock_ns() - first_ns;
}

void server_retire(struct server *server)
{
	for (unsigned int i = 0; i < server->worker_count; i++)
		worker_retire(server->workers[i]);
}

bool server_is_idle(const struct server *server)
{
	for (unsigned int i = 0; i < server->worker_count; i++)
		if (!worker_is_idle(server->workers[i]))
			return false;
	return true;
}

int server_failure_fd(const struct server *server)
{
	return server->failure_fd;
}

void server_free(struct server *server)
{
	if (!server)
		return;
	/* All at once, and then wait for each. */
	for (unsigned int i = 0; i < server->worker_count; i++)
		worker_stop(server->workers[i]);
	for (unsigned int i = 0; i < server->worker_count; i++)
		worker_free(server->workers[i]);
	free(server->workers);
	limits_free(server->limits);
	if (server->failure_fd >= 0)
		close(server->failure_fd);
	free(server);
}

int server_check(FILE *out)
{
	const char *missing;
	int err = ring_probe(&missing);

	if (!err) {
		fprintf(out, "io_uring:      yes\n");
		return 0;
	}
	fprintf(out, "io_uring:      %s: %s\n", missing, strerror(-err));
	fprintf(out, "               %s\n", ring_advice(err));
	return -ENOTSUP;
}
