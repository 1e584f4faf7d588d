/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Makes RSA keys in a thread, one after the other: each takes a tenth of a second to some seconds, and
 * the event loop goes on meanwhile.  The thread starts with the first key and ends when none is wanted
 * any more.  It runs at a lower priority.  tests/sim replaces this file.
 */
#ifndef ACME_RENEWAL_KEY_MAKER_H
#define ACME_RENEWAL_KEY_MAKER_H

#include "acme/crypto/key.h"

struct key_maker;
struct key_wish;
struct loop;

/* `loop` must outlive it.  0, -ENOMEM or -errno. */
int key_maker_new(struct key_maker **ret_maker, struct loop *loop);

/* All wishes must have ended.  A key that the thread is making now is thrown away when it is done. */
void key_maker_free(struct key_maker *maker);

/*
 * Ask for a key.  `done` is called once, later, from the loop, unless the wish is cancelled before: the
 * key is the caller's, or NULL and `err` is an error of key_generate() or -errno.  The wish is freed
 * then.  NULL: out of memory.
 */
struct key_wish *key_maker_wish(struct key_maker *maker, enum key_type type,
				void (*done)(void *context, int err, struct key *key),
				void *context);
void key_maker_cancel(struct key_wish *wish);

#endif
