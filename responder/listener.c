// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "responder/conn.h"

#define BACKLOG 4096 /* capped by net.core.somaxconn */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static const char *const family_names[STEER_FAMILIES] = {"IPv4", "IPv6"};

/* `port` of all addresses, or with 0 a port of the kernel's choice of the loopback address. */
static socklen_t make_address(union address *ret_address, enum steer_family family, uint16_t port)
{
	memset(ret_address, 0, sizeof(*ret_address));
	if (family == STEER_V4) {
		ret_address->v4 = (struct sockaddr_in){
			.sin_family = AF_INET,
			.sin_port = htons(port),
			.sin_addr.s_addr = htonl(port ? INADDR_ANY : INADDR_LOOPBACK),
		};
		return sizeof(ret_address->v4);
	}
	ret_address->v6 = (struct sockaddr_in6){
		.sin6_family = AF_INET6,
		.sin6_port = htons(port),
		.sin6_addr = port ? in6addr_any : in6addr_loopback,
	};
	return sizeof(ret_address->v6);
}

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) ? -errno : 0;
}

/*
 * Nobody connects to the loopback address: it only keeps strangers away from the listener.
 * So it need not exist yet, or ever (a loopback interface that comes up late, disable_ipv6).
 */
static int allow_missing_address(int fd, int family)
{
	return family == AF_INET6 ? set_option(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1)
				  : set_option(fd, IPPROTO_IP, IP_FREEBIND, 1);
}

/*
 * Bind, and let siblings share the port.  The first of a family must not share
 * it while it binds: a production server of the same user may have a port that
 * it shares among its own workers, and would lose connections to us.
 */
static int bind_shared(int fd, const union address *address, socklen_t length, bool first)
{
	int err;

	/* A restarted responder does not wait for its predecessor's TIME_WAIT. */
	err = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (!err && address->any.sa_family == AF_INET6)
		err = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (!err)
		err = allow_missing_address(fd, address->any.sa_family);
	if (!err && !first)
		err = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (!err && bind(fd, &address->any, length))
		err = -errno;
	if (!err && first)
		err = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	return err;
}

/* A listening socket, or -errno. */
static int open_one(const union address *address, socklen_t length, bool first)
{
	int err, fd;

	fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = bind_shared(fd, address, length, first);
	if (!err) /* of the accepted sockets */
		err = set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, CONN_USER_TIMEOUT_MS);
	if (!err && listen(fd, BACKLOG))
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

/* One socket a thread.  0 or -errno; what was opened stays in `listeners`. */
static int open_family(struct listeners *listeners, enum steer_family family, uint16_t port)
{
	union address address;
	socklen_t length = make_address(&address, family, port);

	for (unsigned int thread = 0; thread < listeners->threads; thread++) {
		int fd = open_one(&address, length, !thread);

		if (fd < 0)
			return fd;
		listeners->fds[thread][family] = fd;
		/* The first one's port, which the kernel may have chosen, is everyone's. */
		if (!thread && getsockname(fd, &address.any, &length))
			return -errno;
	}
	return 0;
}

static void log_failure(int err, enum steer_family family, uint16_t port)
{
	const char *name = family_names[family];

	if (port && err == -EADDRINUSE)
		log_error("another server has %s port %u: start without --standalone, which "
			  "leaves the port to it",
			  name, port);
	else if (port && err == -EACCES)
		log_error("no permission to listen on %s port %u: start as root", name, port);
	else
		log_error("cannot listen on %s: %s", name, strerror(-err));
}

static int open_families(struct listeners *listeners, uint16_t port)
{
	unsigned int missing = 0;
	int err;

	for (int family = 0; family < STEER_FAMILIES; family++) {
		err = open_family(listeners, family, port);
		if (err == -EAFNOSUPPORT) {
			missing++;
			log_notice("this kernel has no %s now: going on without it; restart the "
				   "responder if it comes later",
				   family_names[family]);
		} else if (err) {
			log_failure(err, family, port);
			return err;
		}
	}
	if (missing < STEER_FAMILIES)
		return 0;
	log_error("this kernel has neither IPv4 nor IPv6: enable one of them and start again");
	return -EAFNOSUPPORT;
}

int listeners_init(struct listeners *ret_listeners, unsigned int threads)
{
	struct listeners listeners = {
		.fds = calloc(threads, sizeof(*listeners.fds)),
		.threads = threads,
	};

	if (!listeners.fds)
		return -ENOMEM;
	for (unsigned int thread = 0; thread < threads; thread++)
		for (int family = 0; family < STEER_FAMILIES; family++)
			listeners.fds[thread][family] = -1;
	*ret_listeners = listeners;
	return 0;
}

int listeners_open(struct listeners *ret_listeners, unsigned int threads, uint16_t port)
{
	struct listeners listeners;
	int err;

	err = listeners_init(&listeners, threads);
	if (err) {
		log_error("no memory for %u listeners", threads);
		return err;
	}
	err = open_families(&listeners, port);
	if (err) {
		listeners_close(&listeners);
		return err;
	}
	*ret_listeners = listeners;
	return 0;
}

/* Close all descriptors, each by `close_one`. */
static void close_each(struct listeners *listeners, void (*close_one)(int fd))
{
	for (unsigned int thread = 0; listeners->fds && thread < listeners->threads; thread++)
		for (int family = 0; family < STEER_FAMILIES; family++)
			if (listeners->fds[thread][family] >= 0)
				close_one(listeners->fds[thread][family]);
	free(listeners->fds);
	listeners->fds = NULL;
	listeners->threads = 0;
}

/*
 * A ring that accepts on a socket lets go of it only some time after its own
 * end.  Shut down, the socket listens no longer from this moment on, and the port
 * is free for whoever starts next.
 */
static void shut_down(int fd)
{
	shutdown(fd, SHUT_RDWR);
	close(fd);
}

static void leave(int fd)
{
	close(fd);
}

void listeners_close(struct listeners *listeners)
{
	close_each(listeners, shut_down);
}

void listeners_leave(struct listeners *listeners)
{
	close_each(listeners, leave);
}
