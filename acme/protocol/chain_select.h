/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fetching a certificate: the CA offers one chain, and perhaps others beside it (RFC 8555 section
 * 7.4.2), of which the user may prefer one.
 */
#ifndef ACME_PROTOCOL_CHAIN_SELECT_H
#define ACME_PROTOCOL_CHAIN_SELECT_H

#include <stddef.h>

struct ca;
struct ca_reply;
struct chain_select;

/* Chains that are looked at beside the first. */
#define CHAIN_SELECT_ALTERNATES_MAX 8

/*
 * Fetch the chain at `url`; with `preferred`, and when that one's last certificate is not issued by
 * an issuer of this common name, the alternates one by one, until one is.  When none is, the first
 * is taken, with a warning.  `done` is called once, later, unless freed before: body and
 * body_size are the chain, or the failure tells why the first could not be had.  `preferred` (NULL:
 * none) must outlive it.  NULL: out of memory.
 */
struct chain_select *chain_select_start(struct ca *ca, const char *url, const char *preferred,
					void (*done)(void *context, struct ca_reply *reply),
					void *context);

/* In any state, also from within `done`. */
void chain_select_free(struct chain_select *selection);

#endif
