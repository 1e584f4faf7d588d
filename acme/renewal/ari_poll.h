/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Polls the CAs' renewal information (protocol/ari.h) for the certificates that the state lists, and
 * writes the answers into the state.  Nothing that goes wrong here is a failure: the certificate's
 * age then decides, and the CA is asked again later.  A CA that does not answer is left alone for
 * some minutes, and delays nobody: see `idle`.
 */
#ifndef ACME_RENEWAL_ARI_POLL_H
#define ACME_RENEWAL_ARI_POLL_H

#include <stdbool.h>

struct ari_poll;
struct ca_pool;
struct loop;
struct state;

/* How long whoever waits for answers waits at most. */
#define ARI_POLL_PATIENCE_MS 5000

/*
 * What it is given must outlive it.  `idle` is called when all queries are answered; before that, once,
 * when ARI_POLL_PATIENCE_MS have passed: the other answers come later.  0 or -ENOMEM.
 */
int ari_poll_new(struct ari_poll **ret_poll, struct ca_pool *ca_pool, struct loop *loop,
		 struct state *state, void (*idle)(void *context), void *context);

/* Queries under way are dropped. */
void ari_poll_free(struct ari_poll *poll);

/* Send the queries that are due.  False: none is under way, and `idle` will not be called. */
bool ari_poll_start(struct ari_poll *poll);

/* The CAs' settings have changed: ari_poll_start() sends queries that are under way again. */
void ari_poll_settings_changed(struct ari_poll *poll);

#endif
