// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/net/dns.h"

#include <arpa/nameser.h>
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/time.h>

/* Calls that 1.18 has; newer versions would have others used. */
#define CARES_NO_DEPRECATED
#include <ares.h>

#include "acme/net/loop.h"
#include "common/validator/route.h"
#include "common/clock.h"

#define NS_PER_S       1000000000ULL
#define DNS_PORT       53
#define FIRST_TRY_MS   1500 /* each further one takes twice as long */
#define TRIES          3
#define CHANNEL_OLD_NS (30 * NS_PER_S) /* /etc/resolv.conf may have changed since */

/* One of c-ares' sockets. */
struct dns_socket {
	LIST_ENTRY(dns_socket) link;
	struct dns *dns;
	struct watch watch;
};

struct dns {
	struct loop *loop;
	bool has_resolver;
	struct endpoint_text resolver;
	ares_channel channel; /* NULL: not open */
	uint64_t opened_ns;
	size_t under_way; /* queries that c-ares still knows */
	LIST_HEAD(dns_socket_list, dns_socket) sockets;
	struct timer timer; /* c-ares' next */
};

/* Both the caller (until its callback or cancel) and c-ares (until its answer) refer to it. */
struct dns_query {
	struct dns *dns;
	void (*done)(void *context, struct dns_answer *answer);
	void *context;
	struct timer timer; /* until the deadline; then, at once, for telling */
	struct dns_answer answer;
	bool with_caller, with_ares;
};

/* --- c-ares on the loop ---------------------------------------------------------------------- */

static void on_dns_timer(void *context);

static void set_timer(struct dns *dns)
{
	struct timeval left, *next = ares_timeout(dns->channel, NULL, &left);

	if (next)
		loop_timer_start(dns->loop, &dns->timer,
				 (uint64_t)next->tv_sec * 1000 + (uint64_t)next->tv_usec / 1000 + 1,
				 on_dns_timer, dns);
	else
		loop_timer_stop(dns->loop, &dns->timer);
}

static void on_dns_timer(void *context)
{
	struct dns *dns = context;

	ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	set_timer(dns);
}

static void on_dns_socket_ready(void *context, uint32_t events)
{
	struct dns_socket *socket = context; /* may be gone afterwards */
	struct dns *dns = socket->dns;
	int fd = socket->watch.fd;

	ares_process_fd(dns->channel, events & ~(uint32_t)EPOLLOUT ? fd : ARES_SOCKET_BAD,
			events & EPOLLOUT ? fd : ARES_SOCKET_BAD);
	set_timer(dns);
}

static struct dns_socket *find_socket(struct dns *dns, int fd)
{
	struct dns_socket *socket;

	LIST_FOREACH(socket, &dns->sockets, link)
	if (socket->watch.fd == fd)
		return socket;
	return NULL;
}

/*
 * What c-ares wants to know of a socket; nothing: it is about to close it.  Without memory
 * its queries end by their deadline.
 */
static void on_dns_socket(void *context, ares_socket_t fd, int readable, int writable)
{
	struct dns *dns = context;
	struct dns_socket *socket = find_socket(dns, fd);
	uint32_t events = (readable ? EPOLLIN : 0) | (writable ? EPOLLOUT : 0);

	if (!socket && events) {
		socket = calloc(1, sizeof(*socket));
		if (!socket)
			return;
		socket->dns = dns;
		socket->watch.fd = fd;
		LIST_INSERT_HEAD(&dns->sockets, socket, link);
	}
	if (socket && events &&
	    !loop_watch_start(dns->loop, &socket->watch, fd, events, on_dns_socket_ready, socket))
		return;
	if (!socket)
		return;
	loop_watch_stop(dns->loop, &socket->watch);
	LIST_REMOVE(socket, link);
	free(socket);
}

static void close_channel(struct dns *dns)
{
	if (!dns->channel)
		return;
	ares_destroy(dns->channel);
	dns->channel = NULL;
	loop_timer_stop(dns->loop, &dns->timer);
}

static int open_channel(struct dns *dns)
{
	struct ares_options options = {
		/* Else 1.18 would try on, and call a SERVFAIL a refused connection. */
		.flags = ARES_FLAG_NOCHECKRESP, .timeout = FIRST_TRY_MS,   .tries = TRIES,
		.sock_state_cb = on_dns_socket, .sock_state_cb_data = dns,
	};
	int status;

	status = ares_init_options(&dns->channel, &options,
				   ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
					   ARES_OPT_SOCK_STATE_CB);
	if (status) {
		dns->channel = NULL;
		return status;
	}
	dns->opened_ns = clock_monotonic_ns();
	if (dns->has_resolver)
		status = ares_set_servers_ports_csv(dns->channel, dns->resolver.text);
	if (status)
		close_channel(dns);
	return status;
}

/* Never from within c-ares: whom it calls back only sets timers. */
static int prepare_channel(struct dns *dns)
{
	if (dns->channel && !dns->under_way &&
	    clock_monotonic_ns() > dns->opened_ns + CHANNEL_OLD_NS)
		close_channel(dns);
	return dns->channel ? 0 : open_channel(dns);
}

/* --- from outside ---------------------------------------------------------------------------- */

int dns_new(struct dns **ret_dns, struct loop *loop, const char *resolver)
{
	struct endpoint endpoint;
	struct dns *dns;

	if (resolver && endpoint_parse(&endpoint, resolver, DNS_PORT))
		return -EINVAL;
	dns = calloc(1, sizeof(*dns));
	if (!dns || ares_library_init(ARES_LIB_INIT_ALL)) {
		free(dns);
		return -ENOMEM;
	}
	dns->loop = loop;
	if (resolver) {
		dns->has_resolver = true;
		dns->resolver = endpoint_text(&endpoint);
	}
	LIST_INIT(&dns->sockets);
	*ret_dns = dns;
	return 0;
}

void dns_free(struct dns *dns)
{
	if (!dns)
		return;
	close_channel(dns);
	assert(!dns->under_way);
	ares_library_cleanup();
	free(dns);
}

static void query_report(void *context)
{
	struct dns_query *query = context;
	void (*done)(void *, struct dns_answer *) = query->done;
	struct dns_answer answer = query->answer;
	void *its_context = query->context;

	query->answer = (struct dns_answer){0};
	query->with_caller = false;
	if (!query->with_ares)
		free(query);
	done(its_context, &answer);
}

static void on_dns_answer(void *context, int status, int timeouts, unsigned char *message, int size)
{
	struct dns_query *query = context;

	(void)timeouts;
	query->with_ares = false;
	query->dns->under_way--;
	if (!query->with_caller) {
		free(query);
		return;
	}
	dns_answer_read(&query->answer, query->answer.type, status, message, size);
	loop_timer_start(query->dns->loop, &query->timer, 0, query_report, query);
}

static void on_dns_deadline(void *context)
{
	struct dns_query *query = context;

	query->answer.status = DNS_TIMED_OUT;
	query_report(query);
}

struct dns_query *dns_ask(struct dns *dns, const char *name, enum dns_type type,
			  void (*done)(void *context, struct dns_answer *answer), void *context)
{
	/* RFC 1035 section 3.2.2, RFC 3596 section 2.1, RFC 8659 section 4.1. */
	static const int numbers[] = {[DNS_A] = ns_t_a, [DNS_AAAA] = ns_t_aaaa, [DNS_CAA] = 257};
	struct dns_query *query = calloc(1, sizeof(*query));
	int status;

	if (!query)
		return NULL;
	*query = (struct dns_query){.dns = dns,
				    .done = done,
				    .context = context,
				    .answer.type = type,
				    .with_caller = true};
	status = prepare_channel(dns);
	if (status) {
		dns_answer_read(&query->answer, type, status, NULL, 0);
		loop_timer_start(dns->loop, &query->timer, 0, query_report, query);
		return query;
	}
	query->with_ares = true;
	dns->under_way++;
	loop_timer_start(dns->loop, &query->timer, DNS_DEADLINE_MS, on_dns_deadline, query);
	ares_query(dns->channel, name, ns_c_in, numbers[type], on_dns_answer, query);
	set_timer(dns);
	return query;
}

void dns_cancel(struct dns_query *query)
{
	if (!query)
		return;
	loop_timer_stop(query->dns->loop, &query->timer);
	dns_answer_done(&query->answer);
	query->with_caller = false;
	if (!query->with_ares)
		free(query);
}
