// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/key_maker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <unistd.h>

#include "acme/net/loop.h"

/* Of the thread, so that the loop comes first on a host with one processor. */
#define NICENESS 10

struct key_wish {
	TAILQ_ENTRY(key_wish) link;
	struct key_maker *maker;
	enum key_type type;
	enum { WISH_WAITS, WISH_IS_MADE, WISH_ENDED } progress;
	bool is_cancelled; /* while it is made: the thread frees it */
	int err;
	struct key *key;
	void (*done)(void *context, int err, struct key *key);
	void *context;
};

TAILQ_HEAD(key_wishes, key_wish);

/* What the thread uses too; whoever is the last frees it. */
struct key_maker {
	struct loop *loop;
	struct watch watch; /* of ended_fd */
	pthread_mutex_t mutex; /* for all below, and for the wishes */
	int ended_fd; /* an eventfd: a wish has ended */
	bool is_running; /* the thread */
	bool is_freed; /* by its owner, while the thread runs */
	struct key_wishes waiting, ended;
};

static void maker_destroy(struct key_maker *maker)
{
	pthread_mutex_destroy(&maker->mutex);
	close(maker->ended_fd);
	free(maker);
}

/* --- the thread ------------------------------------------------------------------------------ */

/* With the mutex held, which is released while the key is made. */
static void make_key(struct key_maker *maker, struct key_wish *wish)
{
	const uint64_t one = 1;

	TAILQ_REMOVE(&maker->waiting, wish, link);
	wish->progress = WISH_IS_MADE;
	pthread_mutex_unlock(&maker->mutex);
	wish->err = key_generate(&wish->key, wish->type);
	pthread_mutex_lock(&maker->mutex);
	if (wish->is_cancelled) {
		key_free(wish->key);
		free(wish);
		return;
	}
	wish->progress = WISH_ENDED;
	TAILQ_INSERT_TAIL(&maker->ended, wish, link);
	/* It cannot be full: the counter has 64 bits. */
	(void)!write(maker->ended_fd, &one, sizeof(one));
}

static void *thread_run(void *context)
{
	struct key_maker *maker = context;
	struct key_wish *wish;
	bool is_freed;

	/* Linux: of this thread alone. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
	pthread_mutex_lock(&maker->mutex);
	while ((wish = TAILQ_FIRST(&maker->waiting)))
		make_key(maker, wish);
	maker->is_running = false;
	is_freed = maker->is_freed;
	pthread_mutex_unlock(&maker->mutex);
	if (is_freed)
		maker_destroy(maker);
	return NULL;
}

/* Signals are the loop's.  With the mutex held.  0 or -errno. */
static int thread_start(struct key_maker *maker)
{
	sigset_t all, before;
	pthread_t thread;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&thread, NULL, thread_run, maker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return -err;
	pthread_detach(thread);
	maker->is_running = true;
	return 0;
}

/* --- the loop's side ------------------------------------------------------------------------- */

static struct key_wish *take_ended(struct key_maker *maker)
{
	struct key_wish *wish;

	pthread_mutex_lock(&maker->mutex);
	wish = TAILQ_FIRST(&maker->ended);
	if (wish)
		TAILQ_REMOVE(&maker->ended, wish, link);
	pthread_mutex_unlock(&maker->mutex);
	return wish;
}

/* One at a time: a callback may cancel others. */
static void on_wish_ended(void *context, uint32_t events)
{
	struct key_maker *maker = context;
	struct key_wish *wish;
	uint64_t count;

	(void)events;
	(void)!read(maker->ended_fd, &count, sizeof(count));
	while ((wish = take_ended(maker))) {
		wish->done(wish->context, wish->err, wish->key);
		free(wish);
	}
}

int key_maker_new(struct key_maker **ret_maker, struct loop *loop)
{
	struct key_maker *maker = calloc(1, sizeof(*maker));
	int err;

	if (!maker)
		return -ENOMEM;
	maker->loop = loop;
	TAILQ_INIT(&maker->waiting);
	TAILQ_INIT(&maker->ended);
	maker->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (maker->ended_fd < 0) {
		err = -errno;
		free(maker);
		return err;
	}
	pthread_mutex_init(&maker->mutex, NULL);
	err = loop_watch_start(loop, &maker->watch, maker->ended_fd, EPOLLIN, on_wish_ended, maker);
	if (err)
		maker_destroy(maker);
	else
		*ret_maker = maker;
	return err;
}

void key_maker_free(struct key_maker *maker)
{
	bool is_running;

	if (!maker)
		return;
	loop_watch_stop(maker->loop, &maker->watch);
	pthread_mutex_lock(&maker->mutex);
	is_running = maker->is_running;
	maker->is_freed = true;
	pthread_mutex_unlock(&maker->mutex);
	if (!is_running)
		maker_destroy(maker);
}

struct key_wish *key_maker_wish(struct key_maker *maker, enum key_type type,
				void (*done)(void *context, int err, struct key *key),
				void *context)
{
	struct key_wish *wish = calloc(1, sizeof(*wish));
	int err = 0;

	if (!wish)
		return NULL;
	wish->maker = maker;
	wish->type = type;
	wish->done = done;
	wish->context = context;
	pthread_mutex_lock(&maker->mutex);
	TAILQ_INSERT_TAIL(&maker->waiting, wish, link);
	if (!maker->is_running)
		err = thread_start(maker);
	if (err)
		TAILQ_REMOVE(&maker->waiting, wish, link);
	pthread_mutex_unlock(&maker->mutex);
	if (!err)
		return wish;
	free(wish);
	return NULL;
}

void key_maker_cancel(struct key_wish *wish)
{
	struct key_maker *maker;

	if (!wish)
		return;
	maker = wish->maker;
	pthread_mutex_lock(&maker->mutex);
	if (wish->progress == WISH_IS_MADE) {
		wish->is_cancelled = true;
		wish = NULL;
	} else if (wish->progress == WISH_WAITS) {
		TAILQ_REMOVE(&maker->waiting, wish, link);
	} else {
		TAILQ_REMOVE(&maker->ended, wish, link);
	}
	pthread_mutex_unlock(&maker->mutex);
	if (!wish)
		return;
	key_free(wish->key);
	free(wish);
}
