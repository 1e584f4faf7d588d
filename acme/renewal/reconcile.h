/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The certificates that the configuration wants, made known to the state. */
#ifndef WANTED_H
#define WANTED_H

struct config;
struct failure;
struct state;

/*
 * Let the state know every [certificate] and every line of each [domains] file, and retire what
 * the configuration wanted before and wants no more.  All or nothing: when anything is wrong,
 * it is told, line by line, and the state is as it was.  What has not changed since the last time
 * is not read again.  0, or -1 with `failure` filled in.
 */
int wanted_take(struct state *state, const struct config *config, struct failure *failure);

#endif
