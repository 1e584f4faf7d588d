/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What newOrder sends: RFC 8555 section 7.4, with a profile, and what it replaces (RFC 9773). */
#ifndef ACME_PROTOCOL_ORDER_REQUEST_H
#define ACME_PROTOCOL_ORDER_REQUEST_H

#include <stdbool.h>

struct failure;
struct json_t;
struct order_options;

/*
 * A new object; with `replaces`, it names the certificate that the order replaces.  NULL: `failure`
 * says why, such as that the CA lacks the required profile.
 */
struct json_t *order_request_new(const struct order_options *options, bool replaces,
				 struct failure *failure);

#endif
