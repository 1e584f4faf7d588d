/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Telling servers about a new certificate, by the user's hook. */
#ifndef DEPLOY_H
#define DEPLOY_H

struct failure;
struct stored;

/*
 * Run the shell command `hook` with RENEWED_LINEAGE (the directory below live/)
 * and RENEWED_DOMAINS (names, separated by spaces) in its environment, as Certbot
 * does.  What it writes goes to standard error.  Waits for its end.  0, or -1
 * with `failure` filled in when it did not succeed.
 */
int deploy_run_hook(const char *hook, const struct stored *stored, struct failure *failure);

#endif
