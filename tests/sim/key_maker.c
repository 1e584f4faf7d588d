// SPDX-License-Identifier: GPL-3.0-or-later
/* RSA keys without a thread: each takes a second of simulated time. */
#include "acme/renewal/key_maker.h"

#include <errno.h>
#include <stdlib.h>

#include "acme/net/loop.h"

#define KEY_MS 1000

struct key_maker {
	struct loop *loop;
};

struct key_wish {
	struct key_maker *maker;
	enum key_type type;
	struct timer timer;
	void (*done)(void *context, int err, struct key *key);
	void *context;
};

int key_maker_new(struct key_maker **ret_maker, struct loop *loop)
{
	*ret_maker = calloc(1, sizeof(**ret_maker));
	if (!*ret_maker)
		return -ENOMEM;
	(*ret_maker)->loop = loop;
	return 0;
}

void key_maker_free(struct key_maker *maker)
{
	free(maker);
}

static void on_key_time(void *context)
{
	struct key_wish *wish = context;
	struct key *key = NULL;
	int err = key_generate(&key, wish->type);

	wish->done(wish->context, err, key);
	free(wish);
}

struct key_wish *key_maker_wish(struct key_maker *maker, enum key_type type,
				void (*done)(void *context, int err, struct key *key),
				void *context)
{
	struct key_wish *wish = calloc(1, sizeof(*wish));

	if (!wish)
		return NULL;
	wish->maker = maker;
	wish->type = type;
	wish->done = done;
	wish->context = context;
	loop_timer_start(maker->loop, &wish->timer, KEY_MS, on_key_time, wish);
	return wish;
}

void key_maker_cancel(struct key_wish *wish)
{
	if (!wish)
		return;
	loop_timer_stop(wish->maker->loop, &wish->timer);
	free(wish);
}
