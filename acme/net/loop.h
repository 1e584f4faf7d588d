/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The event loop: timers, SIGINT and SIGTERM, the transfers of http.c, and other descriptors.  Only
 * this file calls curl_multi_*.  Everything runs on the caller's thread.  Callbacks may start and
 * stop timers, transfers and watches.
 */
#ifndef ACME_NET_LOOP_H
#define ACME_NET_LOOP_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct loop;

/* Embedded in its user; all zero: stopped. */
struct timer {
	TAILQ_ENTRY(timer) link;
	uint64_t due_ns;
	void (*fire)(void *context);
	void *context;
	bool running;
};

/* Embedded in its user: an easy handle on its way. */
struct transfer {
	CURL *easy; /* its CURLOPT_PRIVATE is the transfer */
	void (*finish)(struct transfer *transfer, CURLcode result);
};

/* Embedded in its user: a descriptor that is waited for; all zero: stopped. */
struct watch {
	int fd; /* the user's, who stops the watch before closing it */
	void (*ready)(void *context, uint32_t events);
	void *context;
	bool running;
};

/*
 * From here on SIGINT, SIGTERM and, unless it is ignored, SIGHUP are blocked and end loop_run().  One
 * loop a process.  0, -ENOMEM or -errno.
 */
int loop_new(struct loop **ret_loop);

/* All timers, transfers and watches must be stopped.  Gives the signals back. */
void loop_free(struct loop *loop);

/* Call `fire` once, `delay_ms` from now; a running timer starts again. */
void loop_timer_start(struct loop *loop, struct timer *timer, uint64_t delay_ms,
		      void (*fire)(void *context), void *context);
void loop_timer_stop(struct loop *loop, struct timer *timer);

/* Set off; `finish` is called once, unless stopped before.  0 or -ENOMEM. */
int loop_transfer_start(struct loop *loop, struct transfer *transfer);
void loop_transfer_stop(struct loop *loop, struct transfer *transfer);

/*
 * Call `ready` whenever one of `events` (as epoll's, EPOLLET too) has come for
 * `fd`; for a running watch of the same `fd`, from now on for these.  0 or -errno.
 */
int loop_watch_start(struct loop *loop, struct watch *watch, int fd, uint32_t events,
		     void (*ready)(void *context, uint32_t events), void *context);
void loop_watch_stop(struct loop *loop, struct watch *watch);

/* From here on `hung_up` is called for SIGHUP.  0 or -errno. */
int loop_on_hangup(struct loop *loop, void (*hung_up)(void *context), void *context);

/* Run until loop_stop(): 0; until a signal comes: -EINTR; or -errno. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

#endif
