/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What all orders of a process share.  It must outlive them. */
#ifndef ACME_CHALLENGE_ISSUE_ENV_H
#define ACME_CHALLENGE_ISSUE_ENV_H

struct challenge_table;
struct key_maker;
struct name_claims;
struct paths;
struct selfcheck;

struct issue_env {
	const struct paths *paths; /* certificates, and the responder's evidence */
	struct challenge_table **table; /* replaced when the responder has created a new one */
	struct name_claims *claims;
	struct key_maker *key_maker;
	struct selfcheck *selfcheck; /* NULL: tell the CA without a self-check */
};

#endif
