/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether a certificate on the disk is whole: what a server would load. */
#ifndef ACME_STORE_STORE_EXAMINE_H
#define ACME_STORE_STORE_EXAMINE_H

struct paths;
struct stored;

enum store_condition {
	STORE_WHOLE,
	STORE_MISSING, /* nothing of this name is there */
	STORE_INCOMPLETE, /* links below live/ are missing: store_complete() makes them again */
	STORE_DAMAGED, /* a file is missing or cannot be read, or key and certificate do not fit */
	STORE_UNKNOWN, /* it could not be looked at now: *ret_err says why */
};

/*
 * Look at the certificate.  With STORE_WHOLE *ret_stored is the caller's, for stored_done().  With
 * STORE_DAMAGED *ret_fault says what is wrong, in static words; with STORE_UNKNOWN *ret_err is -errno.
 */
enum store_condition store_examine(struct stored *ret_stored, const struct paths *paths,
				   const char *name, const char **ret_fault, int *ret_err);

#endif
