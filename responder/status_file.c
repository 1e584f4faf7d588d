// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/status_file.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "common/paths.h"
#include "common/version.h"
#include "responder/json_file.h"
#include "responder/options.h"
#include "responder/steer.h"

struct status {
	const struct options *options;
	const struct steer *steer;
};

static void print_status(FILE *out, const void *context)
{
	const struct status *status = context;
	const struct options *options = status->options;
	time_t now = time(NULL);
	char started_at[sizeof("2026-01-01T00:00:00Z")] = "";
	struct tm utc;

	if (gmtime_r(&now, &utc))
		strftime(started_at, sizeof(started_at), "%Y-%m-%dT%H:%M:%SZ", &utc);
	fprintf(out, "{\"pid\": %d, \"version\": \"%s\", \"started_at\": \"%s\", ", (int)getpid(),
		SIDESTEP_VERSION, started_at);
	fprintf(out, "\"port\": %u, \"standalone\": %s, \"threads\": %u, \"user\": ", options->port,
		options->standalone ? "true" : "false", options->threads);
	json_file_print_string(out, options->user);
	fputs(", ", out);
	steer_describe(status->steer, out);
	fputs("}\n", out);
}

int status_file_write(const struct paths *paths, const struct options *options,
		      const struct steer *steer)
{
	const struct status status = {.options = options, .steer = steer};

	return json_file_write(paths->status, print_status, &status);
}
