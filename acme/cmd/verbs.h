/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verbs of the command line, called by main.c; each returns the exit status. */
#ifndef ACME_CMD_VERBS_H
#define ACME_CMD_VERBS_H

struct arguments;
struct settings;

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

int verb_register(const struct arguments *arguments, const struct settings *settings);
int verb_show_account(const struct arguments *arguments, const struct settings *settings);
int verb_update_account(const struct arguments *arguments, const struct settings *settings);
int verb_rollover(const struct arguments *arguments, const struct settings *settings);
int verb_certonly(const struct arguments *arguments, const struct settings *settings);
int verb_reconfigure(const struct arguments *arguments, const struct settings *settings);
int verb_renew(const struct arguments *arguments, const struct settings *settings);
int verb_run(const struct arguments *arguments, const struct settings *settings);
int verb_plan(const struct arguments *arguments, const struct settings *settings);
int verb_certificates(const struct arguments *arguments, const struct settings *settings);
int verb_pause(const struct arguments *arguments, const struct settings *settings);
int verb_unpause(const struct arguments *arguments, const struct settings *settings);
int verb_retry(const struct arguments *arguments, const struct settings *settings);
int verb_revoke(const struct arguments *arguments, const struct settings *settings);
int verb_restore(const struct arguments *arguments, const struct settings *settings);
int verb_delete(const struct arguments *arguments, const struct settings *settings);
int verb_import(const struct arguments *arguments, const struct settings *settings);
int verb_publish(const struct arguments *arguments, const struct settings *settings);
int verb_withdraw(const struct arguments *arguments, const struct settings *settings);
int verb_check(const struct arguments *arguments, const struct settings *settings);
int verb_status(const struct arguments *arguments, const struct settings *settings);

#endif
