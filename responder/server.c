// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "responder/limits.h"
#include "responder/worker.h"

struct server {
	enum ring_engine engine;
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

/* RING_AUTO becomes what works here. */
static enum ring_engine choose_engine(enum ring_engine wanted)
{
	enum ring_engine engine;
	const char *missing;
	int err;

	if (wanted != RING_AUTO)
		return wanted;
	engine = ring_choose(&missing, &err);
	if (missing)
		log_info("io_uring does not work here, so epoll is used: %s: %s; %s", missing,
			 strerror(-err), ring_advice(err));
	return engine;
}

/* A thread's share of the connections, within the limit of open files. */
static uint32_t connections_per_thread(const struct server_options *options,
				       enum ring_engine engine)
{
	uint32_t share = (options->connections - 1) / options->threads + 1;
	uint32_t most = ring_slots_max(engine, options->threads);

	if (most >= share + WORKER_SPARE_SLOTS)
		return share;
	share = most > 2 * WORKER_SPARE_SLOTS ? most - WORKER_SPARE_SLOTS : most / 2;
	log_warning("the limit of open files allows each thread only %u connections; raise it "
		    "('ulimit -n', LimitNOFILE=) for more",
		    share);
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
	uint32_t share = connections_per_thread(options, server->engine);
	int err = 0;

	while (!err && server->worker_count < options->threads) {
		unsigned int number = server->worker_count;

		err = worker_new(&server->workers[number], options, server->engine, number, share,
				 server->limits, server->failure_fd);
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
	server->engine = choose_engine(options->engine);
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
	return clock_monotonic_ns() - first_ns;
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

enum ring_engine server_engine(const struct server *server)
{
	return server->engine;
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

int server_check(enum ring_engine engine, FILE *out)
{
	const char *missing;
	int err;
	enum ring_engine chosen = ring_choose(&missing, &err);

	if (missing) {
		fprintf(out, "io_uring:      %s: %s\n", missing, strerror(-err));
		fprintf(out, "               %s\n", ring_advice(err));
	} else {
		fprintf(out, "io_uring:      yes\n");
	}
	if (engine != RING_AUTO)
		chosen = engine;
	err = ring_probe(chosen, &missing);
	fprintf(out, "engine:        %s%s\n", ring_engine_name(chosen),
		err ? ", which does not work here" : "");
	return err ? -ENOTSUP : 0;
}
