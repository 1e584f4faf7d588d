// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/watch.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/challenge_table.h"
#include "common/clock.h"
#include "common/instance.h"
#include "common/log.h"
#include "common/paths.h"
#include "responder/attachment.h"
#include "responder/hindrances.h"
#include "responder/interfaces.h"
#include "responder/listening.h"
#include "responder/netns.h"
#include "responder/retry.h"
#include "responder/steer.h"

/*
 * What is attached is looked at when the kernel tells of a change, but not after each of very
 * many changes, and now and then: a link that was detached is not told of.
 */
#define ATTACHED_SOONEST_MS 100
#define ATTACHED_LATEST_MS  5000
/* How often what hinders steering is looked for, unless interfaces have come or gone. */
#define HINDRANCES_MS 60000
/* How often the namespace's name is looked at, and for how long there must be no server. */
#define NETNS_MS       200
#define EVENTS_AT_ONCE 1000
#define NS_PER_MS      UINT64_C(1000000)

struct watch {
	struct interfaces *interfaces; /* NULL: nothing is steered */
	const struct steer_options *options;
	int events_fd;
	bool changed; /* since the last look at what is attached */
	uint64_t attached_ns; /* that look, of clock_boottime_ns() */
	struct retry lookup_retry;
	struct hindrances hindrances;
	bool hindrances_written;
	int hindrances_err; /* the last time */
	uint64_t hindrances_ns; /* when they were looked for; 0: to be done now */
	uint64_t netns_abandoned_ns; /* since then; 0: it is not */
	bool netns_unnamed_logged;
};

/* --- events -------------------------------------------------------------------------- */

/*
 * A socket that is readable when interfaces, their queueing disciplines or their filters
 * come, go or change: rtnetlink(7).  Or -errno.
 */
static int open_events(void)
{
	const struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_TC,
	};
	int err, fd;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/* What exactly happened is not read: to look at what is there is simpler, and misses nothing. */
static void read_events(struct watch *watch)
{
	char message[8192];

	for (int i = 0; i < EVENTS_AT_ONCE; i++) {
		if (recv(watch->events_fd, message, sizeof(message), 0) < 0 && errno != ENOBUFS)
			return;
		watch->changed = true;
	}
}

/* --- what is attached ----------------------------------------------------------------- */

/* The guard stays attached to the network namespace. */
static void follow_lookup(struct watch *watch)
{
	uint64_t now_ns = clock_boottime_ns();
	const struct paths *paths = watch->options->paths;
	struct attachment_programs programs;
	int err;

	err = attachment_programs_get(paths, &programs);
	if (err) /* interfaces_follow() logs it */
		return;
	if (attachment_lookup_is_there(paths) != 0) {
		retry_settle(&watch->lookup_retry, now_ns);
	} else if (retry_is_due(&watch->lookup_retry, now_ns)) {
		retry_note(&watch->lookup_retry, now_ns);
		err = attachment_attach_lookup(paths, &programs);
		if (err)
			log_error("something on this host detached the sk_lookup program, and it "
				  "cannot be attached again: %s; trying on",
				  strerror(-err));
		else
			log_warning("something on this host detached the sk_lookup program: "
				    "attached again");
	}
	attachment_programs_close(&programs);
}

static void follow_attached(struct watch *watch)
{
	const struct paths *paths = watch->options->paths;
	int lock_fd = instance_lock_programs(paths);

	watch->changed = false;
	watch->attached_ns = clock_boottime_ns();
	if (lock_fd < 0) {
		log_error("cannot lock %s: %s", paths->programs_lock, strerror(-lock_fd));
		return;
	}
	follow_lookup(watch);
	if (interfaces_follow(watch->interfaces, watch->options)) {
		interfaces_write(watch->interfaces, paths);
		watch->hindrances_ns = 0;
	}
	close(lock_fd);
}

/* --- what hinders steering --------------------------------------------------------------- */

static bool has_hindrance(const struct hindrances *hindrances, const struct hindrance *wanted)
{
	for (size_t i = 0; i < hindrances->count; i++)
		if (!memcmp(&hindrances->list[i], wanted, sizeof(*wanted)))
			return true;
	return false;
}

static void warn_of_new(const struct hindrances *before, const struct hindrances *now)
{
	char text[256];

	for (size_t i = 0; i < now->count; i++) {
		if (has_hindrance(before, &now->list[i]))
			continue;
		hindrance_describe(&now->list[i], text, sizeof(text));
		log_warning("%s", text);
	}
}

static void follow_hindrances(struct watch *watch)
{
	const struct steer_options *options = watch->options;
	struct hindrances found;
	int err;

	watch->hindrances_ns = clock_boottime_ns();
	err = hindrances_find(&found, options->interfaces, options->interface_count);
	if (err && err != watch->hindrances_err)
		log_warning("cannot check for what hinders steering: %s", strerror(-err));
	watch->hindrances_err = err;
	if (watch->hindrances_written && !memcmp(&found, &watch->hindrances, sizeof(found)))
		return;
	warn_of_new(&watch->hindrances, &found);
	watch->hindrances = found;
	watch->hindrances_written = !hindrances_write(&found, options->paths);
}

/* --- the namespace ---------------------------------------------------------------------- */

/*
 * Is nobody left for whom we are here?  The container's process has ended or the name is gone,
 * and no server listens at a watched port: what is left of the namespace is kept by us, and
 * with it the addresses that its successor needs.
 */
static bool netns_is_abandoned(struct watch *watch)
{
	const struct steer_options *options = watch->options;
	int listening;

	if (!options->netns || netns_is_named(options->netns))
		return false;
	/* Without steering the server would be the responder itself. */
	listening = watch->interfaces ? listening_at(options->ports, options->port_count) : 0;
	if (listening && !watch->netns_unnamed_logged)
		log_warning("network namespace %s can no longer be found by this name%s%s: going "
			    "on as long as a server listens in it",
			    options->netns->path, listening < 0 ? ", nor looked into: " : "",
			    listening < 0 ? strerror(-listening) : "");
	watch->netns_unnamed_logged |= listening != 0;
	return !listening;
}

/* For a while already?  A server that restarts has no listener for a moment. */
static bool netns_has_ended(struct watch *watch)
{
	uint64_t now_ns = clock_boottime_ns();

	if (!netns_is_abandoned(watch))
		watch->netns_abandoned_ns = 0;
	else if (!watch->netns_abandoned_ns)
		watch->netns_abandoned_ns = now_ns;
	else
		return now_ns - watch->netns_abandoned_ns >= NETNS_MS * NS_PER_MS;
	return false;
}

/* --- public --------------------------------------------------------------------------- */

int watch_new(struct watch **ret_watch, struct interfaces *interfaces,
	      const struct steer_options *options)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	int err;

	if (!watch)
		return -ENOMEM;
	*watch = (struct watch){
		.interfaces = interfaces,
		.options = options,
		.events_fd = open_events(),
		.changed = true, /* something may have come before the socket was open */
	};
	if (watch->events_fd < 0) {
		err = watch->events_fd;
		free(watch);
		return err;
	}
	*ret_watch = watch;
	return 0;
}

int watch_fd(const struct watch *watch)
{
	return watch->events_fd;
}

/* For how long what is attached need not be looked at, in milliseconds. */
static uint64_t attached_pause_ms(const struct watch *watch)
{
	uint64_t since_ms = (clock_boottime_ns() - watch->attached_ns) / NS_PER_MS;
	uint64_t wanted_ms = watch->changed ? ATTACHED_SOONEST_MS : ATTACHED_LATEST_MS;

	return since_ms < wanted_ms ? wanted_ms - since_ms : 0;
}

int watch_pause_ms(const struct watch *watch)
{
	uint64_t pause_ms = watch->interfaces ? attached_pause_ms(watch) : ATTACHED_LATEST_MS;

	if (watch->options->netns && pause_ms > NETNS_MS)
		pause_ms = NETNS_MS;
	return (int)pause_ms;
}

enum watch_result watch_work(struct watch *watch)
{
	read_events(watch);
	if (netns_has_ended(watch))
		return WATCH_NETNS_ENDED;
	if (!watch->interfaces)
		return WATCH_GOES_ON;
	if (!attached_pause_ms(watch))
		follow_attached(watch);
	/* No timer of its own: the looks at what is attached come often enough. */
	if (!watch->hindrances_ns ||
	    clock_boottime_ns() - watch->hindrances_ns > HINDRANCES_MS * NS_PER_MS)
		follow_hindrances(watch);
	return WATCH_GOES_ON;
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	close(watch->events_fd);
	free(watch);
}
