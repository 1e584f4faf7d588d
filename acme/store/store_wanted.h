/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is wanted of a certificate, beside it on the disk: the member "wanted" of its origin.json.  The
 * state has it, too; from here it is restored when the database is lost.
 */
#ifndef ACME_STORE_STORE_WANTED_H
#define ACME_STORE_STORE_WANTED_H

#include "acme/util/certificate_spec.h"

struct json_t;
struct paths;

struct store_wanted {
	struct certificate_spec spec; /* its texts live as long as this */
	char *name;
	struct json_t *origin;
};

/* For a new generation's origin.  A new object; NULL: out of memory. */
struct json_t *store_wanted_to_json(const struct certificate_spec *spec);

/* -ENOENT: origin.json says nothing of it, or is not there; or -errno. */
int store_wanted_read(struct store_wanted *ret_wanted, const struct paths *paths, const char *name);
void store_wanted_done(struct store_wanted *wanted);

/*
 * Write it where it is not what the file says.  0; -ENOENT: there is no certificate; -EBUSY: another
 * process works on it; or -errno.
 */
int store_wanted_note(const struct paths *paths, const struct certificate_spec *spec);

#endif
