/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fetching a certificate: the CA offers a default chain and perhaps alternate chains (RFC 8555
 * section 7.4.2), of which the user may prefer one.
 */
#ifndef ACME_PROTOCOL_CHAIN_SELECT_H
#define ACME_PROTOCOL_CHAIN_SELECT_H

#include <stddef.h>

struct ca;
struct ca_reply;
struct chain_select;

/* The most alternate chains that are fetched. */
#define CHAIN_SELECT_ALTERNATES_MAX 8

/*
 * Fetch the chain at `url`.  With `preferred`, the last certificate of the chain shall be issued by
 * an issuer of this common name: otherwise fetch the alternates one by one until one fits.  If none
 * does, warn and take the default chain.  `done` is called once, later, unless the selection is
 * freed before: body and body_size are the chain, or the failure says why the default chain could
 * not be fetched.  `preferred` (NULL: none) must outlive it.  NULL: out of memory.
 */
struct chain_select *chain_select_start(struct ca *ca, const char *url, const char *preferred,
					void (*done)(void *context, struct ca_reply *reply),
					void *context);

/* In any state, also from within `done`. */
void chain_select_free(struct chain_select *selection);

#endif
