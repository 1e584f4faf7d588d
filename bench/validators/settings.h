/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line of `sidestep-bench`: what a run is. */
#ifndef BENCH_SETTINGS_H
#define BENCH_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/validator/hello.h"

struct route;
struct subjects;

enum settings_close { SETTINGS_CLOSE_NOW, SETTINGS_CLOSE_RESET };

struct settings {
	struct subjects *subjects; /* at least one */
	struct route *routes; /* at least one */
	size_t route_count;
	double rate; /* arrivals a second; 0: a closed loop */
	unsigned int concurrency; /* of the closed loop */
	bool poisson;
	double ramp_s;
	uint64_t duration_ns; /* of arrivals, from the start; UINT64_MAX: until `count` */
	uint64_t count; /* of connections; UINT64_MAX: until the duration is over */
	uint64_t timeout_ns; /* for TCP and TLS handshake of one connection */
	double max_rate; /* holds for the closed loop too */
	unsigned int max_open; /* connections at a time in all; at least one a thread */
	unsigned int threads;
	enum hello_shape shapes[HELLO_SHAPES]; /* each once */
	size_t shape_count; /* at least 1 */
	enum hello_tls tls;
	enum settings_close close;
	bool json, quiet;
	const char *report; /* a directory; NULL: none */
};

enum settings_result {
	SETTINGS_RUN,
	SETTINGS_SHOWN, /* help or version was asked for, and is on standard output */
	SETTINGS_WRONG, /* the user was told on standard error */
	SETTINGS_NO_MEMORY,
};

/*
 * Understand the command line, and read the file of names.  After RUN the caller calls
 * settings_done().
 */
enum settings_result settings_parse(struct settings *ret_settings, int argc, char **argv);
void settings_done(struct settings *settings);

#endif
