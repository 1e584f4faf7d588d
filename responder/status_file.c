// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/status_file.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

#include "common/paths.h"
#include "common/version.h"
#include "responder/json_file.h"
#include "responder/options.h"

static void print_ports(FILE *out, const struct options *options)
{
	fputs("\"ports\": [", out);
	for (size_t i = 0; i < options->port_count; i++)
		fprintf(out, "%s%u", i ? ", " : "", options->ports[i]);
	fputs("]", out);
}

/* As the user would write them. */
static void print_addresses(FILE *out, const struct options *options)
{
	char text[INET6_ADDRSTRLEN];

	fputs("\"addresses\": [", out);
	for (size_t i = 0; i < options->address_count; i++) {
		const struct in6_addr *address = (const void *)options->addresses[i].bytes;

		if (IN6_IS_ADDR_V4MAPPED(address))
			inet_ntop(AF_INET, &address->s6_addr[12], text, sizeof(text));
		else
			inet_ntop(AF_INET6, address, text, sizeof(text));
		fprintf(out, "%s\"%s\"", i ? ", " : "", text);
	}
	fputs("]", out);
}

struct status {
	const struct options *options;
	enum ring_engine engine;
};

static void print_status(FILE *out, const void *context)
{
	const struct status *status = context;
	const struct options *options = status->options;

	fprintf(out, "{\"pid\": %d, \"version\": \"%s\", \"started_at\": ", (int)getpid(),
		SIDESTEP_VERSION);
	json_file_print_now(out);
	fprintf(out, ", \"standalone\": %s, ", options->standalone ? "true" : "false");
	print_ports(out, options);
	if (options->address_count) {
		fputs(", ", out);
		print_addresses(out, options);
	}
	if (options->netns) {
		fputs(", \"netns\": ", out);
		json_file_print_string(out, options->netns);
	}
	fprintf(out, ", \"engine\": \"%s\", \"threads\": %u, \"user\": ",
		ring_engine_name(status->engine), options->threads);
	json_file_print_string(out, options->user);
	fputs("}\n", out);
}

int status_file_write(const struct paths *paths, const struct options *options,
		      enum ring_engine engine)
{
	const struct status status = {.options = options, .engine = engine};

	return json_file_write(paths->status, print_status, &status);
}
