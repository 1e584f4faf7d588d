/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A responder's life: opens everything as root, gives root up, answers until it
 * is told to end or another takes over.  service.c knows the order in which things
 * happen.  Used by main.c.
 */
#ifndef SERVICE_H
#define SERVICE_H

struct options;
struct paths;

/* Live it.  0 when it was told to end, or -errno, logged. */
int service_run(const struct options *options, const struct paths *paths);

/* Remove what ended responders left for their successors.  0 or -errno, logged. */
int service_unload(const struct paths *paths);

#endif
