// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/option_table.h"
#include "common/version.h"
#include "responder/limits.h"
#include "responder/listener.h"

#define PROGRAM       "sidestep-responder"
#define DEFAULT_USER  "sidestep-responder"
#define DEFAULT_GROUP "sidestep"
#define DEFAULT_PORT  443

/* What is being filled in. */
struct parsing {
	struct options options;
	bool check, upgrade, unload, version, help, help_man;
};

/* --- values that are more than a word ------------------------------------------------------------ */

static void take_interface(void *target, const char *value, struct option_error *error)
{
	struct options *options = &((struct parsing *)target)->options;

	(void)error;
	for (size_t i = 0; i < options->interface_count; i++)
		if (strcmp(options->interfaces[i], value) == 0)
			return;
	options->interfaces[options->interface_count++] = value;
}

static void take_port(void *target, const char *value, struct option_error *error)
{
	struct options *options = &((struct parsing *)target)->options;
	unsigned long port;
	char *end;

	errno = 0;
	port = strtoul(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || errno || !port || port > UINT16_MAX) {
		option_wrong(error, "--port takes a number from 1 to 65535, not '%s'", value);
		return;
	}
	for (size_t i = 0; i < options->port_count; i++)
		if (options->ports[i] == port)
			return;
	if (options->port_count == STEER_PORTS_MAX)
		option_wrong(error, "there can be four ports at most: %s is too many", value);
	else
		options->ports[options->port_count++] = (uint16_t)port;
}

static void take_address(void *target, const char *value, struct option_error *error)
{
	static const uint8_t mapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	struct options *options = &((struct parsing *)target)->options;
	struct steer_address address;

	memcpy(address.bytes, mapped, sizeof(mapped));
	if (inet_pton(AF_INET, value, address.bytes + sizeof(mapped)) != 1 &&
	    inet_pton(AF_INET6, value, address.bytes) != 1)
		option_wrong(error, "--address takes an IPv4 or IPv6 address, not '%s'", value);
	else if (options->address_count == STEER_ADDRESSES_MAX)
		option_wrong(error, "there can be %d addresses at most: %s is too many",
			     STEER_ADDRESSES_MAX, value);
	else
		options->addresses[options->address_count++] = address;
}

/* --- the options --------------------------------------------------------------------------------- */

static const char *const takeovers[] = {
	[TAKEOVER_AUTO] = "auto",
	[TAKEOVER_ASSIGN] = "assign",
	[TAKEOVER_REPAIR] = "repair",
	NULL,
};

static const char *const attach_modes[] = {
	[ATTACH_AUTO] = "auto",
	[ATTACH_TCX] = "tcx",
	[ATTACH_CLSACT] = "clsact",
	NULL,
};

static const char *const engines[] = {
	[RING_AUTO] = "auto",
	[RING_IO_URING] = "io_uring",
	[RING_EPOLL] = "epoll",
	NULL,
};

#define FIELD(member) OPTION_FIELD(struct parsing, member)

static const struct option_row rows[] = {
	{.name = "interface",
	 .kind = OPTION_OWN,
	 .take = take_interface,
	 .value = "IF",
	 .help = "Steer only what arrives on this interface. May be repeated. Default: all "
		 "interfaces, also those that come later."},
	{.name = "port",
	 .kind = OPTION_OWN,
	 .take = take_port,
	 .value = "N",
	 .help = "The port that certificate authorities connect to. May be repeated, for four "
		 "ports at most. Default: 443."},
	{.name = "address",
	 .kind = OPTION_OWN,
	 .take = take_address,
	 .value = "ADDRESS",
	 .help = "Steer only what comes for this address of the host. May be repeated. Default: "
		 "any address."},
	{.name = "netns",
	 .kind = OPTION_TEXT,
	 FIELD(options.netns),
	 .value = "NAME",
	 .help = "The network namespace in which the production server listens: a name that 'ip "
		 "netns' lists, or a path."},
	{.name = "takeover",
	 .kind = OPTION_CHOICE,
	 FIELD(options.takeover),
	 .choices = takeovers,
	 .value = "HOW",
	 .help = "How to take a connection over: auto, assign (needs Linux 6.9) or repair (for "
		 "older kernels). Default: auto."},
	{.name = "attach",
	 .kind = OPTION_CHOICE,
	 FIELD(options.attach_mode),
	 .choices = attach_modes,
	 .value = "HOW",
	 .help = "How to attach to interfaces: auto, tcx (needs Linux 6.6) or clsact. Default: "
		 "auto."},
	{.name = "standalone",
	 .kind = OPTION_FLAG,
	 FIELD(options.standalone),
	 .help = "Do not steer: listen on the port itself, where no other server does."},
	{.name = "engine",
	 .kind = OPTION_CHOICE,
	 FIELD(options.engine),
	 .choices = engines,
	 .value = "ENGINE",
	 .help = "How to serve connections: auto, io_uring (needs Linux 6.1) or epoll. Default: "
		 "auto, which takes epoll where io_uring does not work."},
	{.name = "threads",
	 .kind = OPTION_NUMBER,
	 FIELD(options.threads),
	 .max = THREADS_MAX,
	 .value = "N",
	 .help = "Answer with this many threads. Default: one for each CPU."},
	{.name = "connections",
	 .kind = OPTION_NUMBER,
	 FIELD(options.connections),
	 .max = LIMITS_CONNECTIONS_MAX,
	 .value = "N",
	 .help = "Serve at most this many connections at once; each takes 11 KB. Default: 16384."},
	{.name = "connections-per-source",
	 .kind = OPTION_NUMBER,
	 FIELD(options.connections_per_source),
	 .max = LIMITS_CONNECTIONS_MAX,
	 .value = "N",
	 .help = "Serve at most this many connections of one IPv4 address or IPv6 /64 at once, and "
		 "twice as many of one /24 or /48. Default: a quarter of --connections."},
	{.name = "user",
	 .kind = OPTION_TEXT,
	 FIELD(options.user),
	 .value = "USER",
	 .help = "Run as this user once everything is open. It is in no group and may not publish. Default: sidestep-responder."},
	{.name = "group",
	 .kind = OPTION_TEXT,
	 FIELD(options.group),
	 .value = "GROUP",
	 .help = "Let this group publish challenges. Default: sidestep."},
	{.name = "root",
	 .kind = OPTION_TEXT,
	 FIELD(options.root),
	 .value = "DIR",
	 .help = "Keep all files below DIR instead of /. This makes another instance."},
	{.name = "replace",
	 .kind = OPTION_FLAG,
	 FIELD(options.replace),
	 .help = "Take over from the responder that runs, without a gap. The old one then ends."},
	{.name = "foreground",
	 .kind = OPTION_FLAG,
	 FIELD(options.foreground),
	 .help = "Stay in the foreground and log to standard error."},
	{.name = "verbose", .kind = OPTION_FLAG, FIELD(options.verbose), .help = "Log more."},
	{.name = "check",
	 .kind = OPTION_FLAG,
	 FIELD(check),
	 .help = "Print what this machine offers and what is missing, then exit."},
	{.name = "upgrade",
	 .kind = OPTION_FLAG,
	 FIELD(upgrade),
	 .help = "Replace the programs of the running responder in the kernel with those of this "
		 "build, under any traffic, then exit."},
	{.name = "unload",
	 .kind = OPTION_FLAG,
	 FIELD(unload),
	 .help = "Remove what a responder that has ended left for the next one (programs, pending "
		 "challenges, counters, status), then exit."},
	{.name = "version",
	 .kind = OPTION_FLAG,
	 FIELD(version),
	 .help = "Print the version and exit."},
	{.name = "help", .kind = OPTION_FLAG, FIELD(help), .help = "Print this and exit."},
	{.name = "help-man", .kind = OPTION_FLAG, FIELD(help_man)},
};

static const struct option_table table = {rows, sizeof(rows) / sizeof(*rows)};

static const struct option_page page = {
	.command = PROGRAM,
	.usage = "[OPTION]...",
	.before =
		"Answers TLS-ALPN-01 validations (RFC 8737) beside the server that has the port.\n",
	.after =
		"Without --foreground, the program returns when the responder is ready in the "
		"background. That responder logs nothing: use --foreground or systemd to have a "
		"log.\n"
		"\n"
		"SIGUSR1 logs how connections ended. SIGTERM ends the responder.\n"
		"\n"
		"Exit status: 0 done or ready, 1 failed, 2 wrong usage, 3 the network namespace of "
		"--netns has ended.\n",
	.table = &table,
};

/* --- what they mean together --------------------------------------------------------------------- */

/* One thread for each CPU that this process may use. */
static unsigned int usable_cpus(void)
{
	cpu_set_t cpus;

	return sched_getaffinity(0, sizeof(cpus), &cpus) ? 1 : (unsigned int)CPU_COUNT(&cpus);
}

static void check_standalone(const struct options *options, struct option_error *error)
{
	if (!options->standalone)
		return;
	if (options->interface_count || options->address_count ||
	    options->attach_mode != ATTACH_AUTO || options->takeover != TAKEOVER_AUTO)
		option_wrong(error, "--standalone does not steer: --interface, --address, "
				    "--takeover and --attach do not go with it");
	if (options->port_count > 1)
		option_wrong(error, "--standalone listens on one port");
}

static void conclude(struct parsing *parsing, struct option_error *error)
{
	struct options *options = &parsing->options;

	if (parsing->check + parsing->upgrade + parsing->unload > 1)
		option_wrong(error, "--check, --upgrade and --unload exclude each other");
	options->action = parsing->check     ? OPTIONS_CHECK
			  : parsing->upgrade ? OPTIONS_UPGRADE
			  : parsing->unload  ? OPTIONS_UNLOAD
					     : OPTIONS_RUN;
	if (!options->port_count)
		options->ports[options->port_count++] = DEFAULT_PORT;
	if (!options->connections_per_source)
		options->connections_per_source =
			(options->connections - 1) / LIMITS_SOURCE_PART + 1;
	check_standalone(options, error);
}

/* Whether there is something to show instead of anything to do. */
static bool show_page(const struct parsing *parsing)
{
	if (parsing->version)
		puts(PROGRAM " " SIDESTEP_VERSION);
	else if (parsing->help)
		option_print_help(&page, stdout);
	else if (parsing->help_man)
		option_print_man(&page, stdout);
	return parsing->version || parsing->help || parsing->help_man;
}

static int parse(struct parsing *parsing, int argc, char **argv)
{
	struct option_error error = {0};
	int first;

	first = option_parse(&table, argc, argv, parsing, NULL, &error);
	if (!error.text[0] && show_page(parsing)) {
		parsing->options.action = OPTIONS_EXIT;
		return 0;
	}
	if (first < argc)
		option_wrong(&error, "the argument '%s' is not expected", argv[first]);
	conclude(parsing, &error);
	if (!error.text[0])
		return 0;
	fprintf(stderr, PROGRAM ": %s; see --help\n", error.text);
	return -EINVAL;
}

int options_parse(struct options *ret_options, int argc, char **argv)
{
	struct parsing parsing = {
		.options =
			{
				.root = "",
				.user = DEFAULT_USER,
				.group = DEFAULT_GROUP,
				.interfaces = calloc((size_t)argc + 1,
						     sizeof(*parsing.options.interfaces)),
				.addresses = calloc((size_t)argc + 1,
						    sizeof(*parsing.options.addresses)),
				.threads = usable_cpus(),
				.connections = LIMITS_CONNECTIONS,
			},
	};
	int err = -ENOMEM;

	if (parsing.options.interfaces && parsing.options.addresses)
		err = parse(&parsing, argc, argv);
	if (err) {
		options_done(&parsing.options);
		return err;
	}
	*ret_options = parsing.options;
	return 0;
}

void options_done(struct options *options)
{
	free(options->interfaces);
	free(options->addresses);
	*options = (struct options){0};
}

struct options_ports options_ports(const struct options *options)
{
	struct options_ports ports = {""};
	size_t used = 0;

	for (size_t i = 0; i < options->port_count; i++)
		used += (size_t)snprintf(ports.text + used, sizeof(ports.text) - used, "%s%u",
					 i ? ", " : "", options->ports[i]);
	return ports;
}
