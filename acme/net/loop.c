// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/net/loop.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"

#define NS_PER_MS            1000000ULL
#define WAIT_MAX_MS          60000
#define EVENTS_AT_ONCE       64 /* then timers and transfers have their turn */
#define CONNECTIONS_PER_HOST 8L /* where HTTP/2 does not make one enough */

struct loop {
	CURLM *multi;
	TAILQ_HEAD(timer_list, timer) timers; /* by due_ns */
	sigset_t old_signals;
	int signal_fd;
	void (*hung_up)(void *context); /* NULL: SIGHUP ends the loop */
	void *context; /* of hung_up */
	int epoll; /* all watches are one descriptor to libcurl */
	bool stopped;
};

/* Whatever is there of it; a descriptor that is not is -1. */
static void loop_destroy(struct loop *loop)
{
	curl_multi_cleanup(loop->multi);
	if (loop->signal_fd >= 0)
		close(loop->signal_fd);
	if (loop->epoll >= 0)
		close(loop->epoll);
	free(loop);
}

/* A terminal that is closed ends the work in order, too, unless nohup(1) says otherwise. */
static void ending_signals(sigset_t *ret_signals)
{
	struct sigaction hangup;

	sigemptyset(ret_signals);
	sigaddset(ret_signals, SIGINT);
	sigaddset(ret_signals, SIGTERM);
	if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
		sigaddset(ret_signals, SIGHUP);
}

int loop_new(struct loop **ret_loop)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	sigset_t signals;
	int err = 0;

	if (!loop)
		return -ENOMEM;
	TAILQ_INIT(&loop->timers);
	ending_signals(&signals);
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0)
		err = -errno;
	loop->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (loop->signal_fd < 0 && !err)
		err = -errno;
	loop->multi = curl_multi_init();
	if (!loop->multi && !err)
		err = -ENOMEM;
	if (err) {
		loop_destroy(loop);
		return err;
	}
	curl_multi_setopt(loop->multi, CURLMOPT_MAX_HOST_CONNECTIONS, CONNECTIONS_PER_HOST);
	sigprocmask(SIG_BLOCK, &signals, &loop->old_signals);
	*ret_loop = loop;
	return 0;
}

void loop_free(struct loop *loop)
{
	sigset_t old_signals;

	if (!loop)
		return;
	assert(TAILQ_EMPTY(&loop->timers));
	old_signals = loop->old_signals;
	loop_destroy(loop);
	sigprocmask(SIG_SETMASK, &old_signals, NULL);
}

void loop_timer_start(struct loop *loop, struct timer *timer, uint64_t delay_ms,
		      void (*fire)(void *context), void *context)
{
	struct timer *before;

	loop_timer_stop(loop, timer);
	timer->due_ns = clock_monotonic_ns() + delay_ms * NS_PER_MS;
	timer->fire = fire;
	timer->context = context;
	timer->running = true;
	/* From the end: most timers are due later than those before them. */
	before = TAILQ_LAST(&loop->timers, timer_list);
	while (before && before->due_ns > timer->due_ns)
		before = TAILQ_PREV(before, timer_list, link);
	if (before)
		TAILQ_INSERT_AFTER(&loop->timers, before, timer, link);
	else
		TAILQ_INSERT_HEAD(&loop->timers, timer, link);
}

void loop_timer_stop(struct loop *loop, struct timer *timer)
{
	if (!timer->running)
		return;
	TAILQ_REMOVE(&loop->timers, timer, link);
	timer->running = false;
}

int loop_transfer_start(struct loop *loop, struct transfer *transfer)
{
	curl_easy_setopt(transfer->easy, CURLOPT_PRIVATE, transfer);
	return curl_multi_add_handle(loop->multi, transfer->easy) ? -ENOMEM : 0;
}

void loop_transfer_stop(struct loop *loop, struct transfer *transfer)
{
	curl_multi_remove_handle(loop->multi, transfer->easy);
}

int loop_watch_start(struct loop *loop, struct watch *watch, int fd, uint32_t events,
		     void (*ready)(void *context, uint32_t events), void *context)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	assert(!watch->running || watch->fd == fd);
	if (epoll_ctl(loop->epoll, watch->running ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event))
		return -errno;
	watch->fd = fd;
	watch->ready = ready;
	watch->context = context;
	watch->running = true;
	return 0;
}

void loop_watch_stop(struct loop *loop, struct watch *watch)
{
	if (!watch->running)
		return;
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->running = false;
}

int loop_on_hangup(struct loop *loop, void (*hung_up)(void *context), void *context)
{
	sigset_t signals;

	loop->hung_up = hung_up;
	loop->context = context;
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	if (signalfd(loop->signal_fd, &signals, 0) < 0)
		return -errno;
	sigprocmask(SIG_BLOCK, &signals, NULL);
	return 0;
}

static void fire_timers(struct loop *loop)
{
	uint64_t now_ns = clock_monotonic_ns();
	struct timer *timer;

	while (!loop->stopped) {
		timer = TAILQ_FIRST(&loop->timers);
		if (!timer || timer->due_ns > now_ns)
			return;
		loop_timer_stop(loop, timer);
		timer->fire(timer->context);
	}
}

static void finish_transfers(struct loop *loop)
{
	struct transfer *transfer;
	CURLMsg *message;
	CURLcode result;
	int left;

	while (!loop->stopped) {
		message = curl_multi_info_read(loop->multi, &left);
		if (!message)
			return;
		if (message->msg != CURLMSG_DONE)
			continue;
		/* Removing the handle frees the message. */
		result = message->data.result;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
		loop_transfer_stop(loop, transfer);
		transfer->finish(transfer, result);
	}
}

/* One at a time: what a callback stops, or frees, is not told of any more. */
static void tell_watches(struct loop *loop)
{
	struct epoll_event event;
	struct watch *watch;
	int i;

	for (i = 0; i < EVENTS_AT_ONCE && !loop->stopped; i++) {
		if (epoll_wait(loop->epoll, &event, 1, 0) != 1)
			return;
		watch = event.data.ptr;
		watch->ready(watch->context, event.events);
	}
}

/* How long nothing is due, at most; libcurl knows of its own timers. */
static int wait_ms(const struct loop *loop)
{
	const struct timer *timer = TAILQ_FIRST(&loop->timers);
	uint64_t now_ns = clock_monotonic_ns(), ms;

	if (!timer)
		return WAIT_MAX_MS;
	if (timer->due_ns <= now_ns)
		return 0;
	ms = (timer->due_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;
	return ms < WAIT_MAX_MS ? (int)ms : WAIT_MAX_MS;
}

/* Sleep until something is to do.  0, -EINTR when a signal has come, or -EIO. */
static int wait_for_events(struct loop *loop)
{
	struct curl_waitfd others[] = {
		{.fd = loop->signal_fd, .events = CURL_WAIT_POLLIN},
		{.fd = loop->epoll, .events = CURL_WAIT_POLLIN},
	};
	struct signalfd_siginfo info;

	if (curl_multi_poll(loop->multi, others, 2, wait_ms(loop), NULL))
		return -EIO;
	if (read(loop->signal_fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	if (info.ssi_signo != SIGHUP || !loop->hung_up)
		return -EINTR;
	loop->hung_up(loop->context);
	return 0;
}

int loop_run(struct loop *loop)
{
	int running, err;

	loop->stopped = false;
	for (;;) {
		fire_timers(loop);
		if (loop->stopped)
			return 0;
		if (curl_multi_perform(loop->multi, &running))
			return -EIO;
		finish_transfers(loop);
		tell_watches(loop);
		if (loop->stopped)
			return 0;
		err = wait_for_events(loop);
		if (err)
			return err;
	}
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}
