/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line of `sidestep-responder`. */
#ifndef RESPONDER_OPTIONS_H
#define RESPONDER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "responder/ring.h"
#include "responder/steer.h"

enum options_action { OPTIONS_RUN, OPTIONS_CHECK, OPTIONS_UPGRADE, OPTIONS_UNLOAD, OPTIONS_EXIT };

struct options {
	enum options_action action;
	const char *root; /* "" for the system's own */
	const char *user, *group;
	const char **interfaces; /* each once; the names are argv's */
	size_t interface_count;
	enum takeover takeover;
	enum attach_mode attach_mode;
	enum ring_engine engine;
	unsigned int threads; /* at least 1 */
	unsigned int connections, connections_per_source; /* at once; at least 1 */
	uint16_t ports[STEER_PORTS_MAX]; /* each once */
	size_t port_count; /* at least 1 */
	struct steer_address *addresses;
	size_t address_count; /* 0: all */
	const char *netns; /* NULL: that of the calling process */
	bool standalone, replace, foreground, verbose;
};

/*
 * Parse the command line. Prints --help and --version, and returns OPTIONS_EXIT for them. 0;
 * -EINVAL after a message on standard error; or -ENOMEM. On success the caller calls
 * options_done().
 */
int options_parse(struct options *ret_options, int argc, char **argv);
void options_done(struct options *options);

/* The ports for a reader, as "443, 8443". */
struct options_ports {
	char text[STEER_PORTS_MAX * sizeof("65535, ")];
};
struct options_ports options_ports(const struct options *options);

#endif
