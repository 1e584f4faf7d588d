/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Asks the CAs when they want certificates renewed (ari.h), for those that the state says are to be
 * asked about, and writes down what they say.  Whatever goes wrong is no failure: then the
 * certificate's age decides, and the CA is asked again later.  Used by renewals.c.
 */
#ifndef WINDOWS_H
#define WINDOWS_H

#include <stdbool.h>

struct arguments;
struct net;
struct state;
struct windows;

/* What it is given must outlive it.  `idle` is called whenever all questions have been answered.  0 or -ENOMEM. */
int windows_new(struct windows **ret_windows, const struct arguments *arguments, struct net *net,
		struct state *state, void (*idle)(void *context), void *context);

/* Questions under way are dropped. */
void windows_free(struct windows *windows);

/* Ask what is due to be asked.  False: nothing is under way, and `idle` will not be called. */
bool windows_ask_due(struct windows *windows);

/* The CAs' settings have changed: who is being asked is asked again by windows_ask_due(). */
void windows_settings_changed(struct windows *windows);

#endif
