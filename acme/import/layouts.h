/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where other ACME clients keep their certificates: one file for each client.  They only
 * look and read; take.c decides whether what they find can be used.
 */
#ifndef ACME_IMPORT_LAYOUTS_H
#define ACME_IMPORT_LAYOUTS_H

#include <stdbool.h>
#include <stddef.h>

#include "acme/util/certificate_spec.h"
#include "acme/util/string_list.h"

/* A certificate in another client's tree.  All texts are its own; NULL: there is none, or the tree
 * does not say. */
struct import_found {
	char *name; /* to be its name here; never NULL */
	char *key; /* path, of PEM; never NULL */
	char *chain; /* path of the certificate, mostly with its chain; never NULL */
	char *issuers; /* path of the rest of the chain, for where `chain` has the certificate alone */
	char *server; /* directory URL of the CA, unchecked; import_list_add() corrects one that is gone */
	char *hook; /* command that is run when it was renewed, unchecked */
	struct certificate_settings settings; /* those that the client has, too */
	char *account; /* path of the PEM key of the account that got it */
};

struct import_list {
	struct import_found *found;
	size_t count, room;
	struct string_list left_out; /* what is not taken over, a sentence each, for the user */
};

struct import_layout {
	const char *client;
	const char *farewell; /* how to stop this client's renewals */
	/* Whether `tree`, a directory, is one of this client. */
	bool (*is_of)(const char *tree);
	/* Append all that is there.  0 or -errno. */
	int (*read)(const char *tree, struct import_list *list);
};

extern const struct import_layout import_certbot, import_lego, import_acmesh, import_dehydrated;

/*
 * Note something that is not taken over: from a format, with '?' for bytes that could confuse a
 * terminal.  Out of memory, it is not noted.
 */
void import_leave_out(struct import_list *list, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Append, and take the texts of `found` over, also on an error.  -ENOMEM also when one of those
 * that are never NULL is.
 */
int import_list_add(struct import_list *list, struct import_found *found);
void import_list_done(struct import_list *list);

#endif
