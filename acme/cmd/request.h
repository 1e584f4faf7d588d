/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What `certonly` wants of a certificate: what the command line gives, and for a name that is known
 * already, what it has.  The configuration's settings of a name that it names are never changed here.
 */
#ifndef ACME_CMD_REQUEST_H
#define ACME_CMD_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "acme/store/state.h"
#include "acme/util/certificate_spec.h"
#include "acme/util/failure.h"

struct arguments;
struct identifier;
struct settings;

struct request {
	struct certificate_spec spec;
	bool is_known; /* the state has the name */
	bool is_configured; /* the configuration names it: its row stays as it is */
	struct failure unread; /* why the state could not be read: nothing is known then */
	char differences[256]; /* options that say something else than what is known; "": none */

	/* For request.c. */
	struct state_lineage lineage;
	struct string_list cas;
};

/*
 * Read what is known of the certificate `name`, and put the request for `names` together.  What it is
 * given must outlive it.  0, or -1 with `failure` filled in: the configuration has other settings for
 * it.
 */
int request_load(struct request *ret_request, const struct arguments *arguments,
		 const struct settings *settings, const char *name, const struct identifier *names,
		 size_t name_count, struct failure *failure);
void request_done(struct request *request);

#endif
