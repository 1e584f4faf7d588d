/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the monitor watches on this host and what it does then: ARCHITECTURE.md has
 * the table.
 */
#ifndef RESPONDER_WATCH_H
#define RESPONDER_WATCH_H

struct interfaces;
struct steer_options;
struct watch;

/*
 * Open what is needed; before privileges are dropped.  `interfaces` and `options` stay the
 * caller's, and are used until watch_free().  Without interfaces nothing is steered, and only
 * the namespace is watched.  0 or -errno.
 */
int watch_new(struct watch **ret_watch, struct interfaces *interfaces,
	      const struct steer_options *options);

/* Readable when something has changed.  Still the watch's. */
int watch_fd(const struct watch *watch);

/* For how many milliseconds there is nothing to do, unless watch_fd() is readable. */
int watch_pause_ms(const struct watch *watch);

/* Do the work that is due. */
enum watch_result {
	WATCH_GOES_ON,
	WATCH_NETNS_ENDED, /* nobody but us keeps the namespace: detach, and let go of it */
};
enum watch_result watch_work(struct watch *watch);

void watch_free(struct watch *watch);

#endif
