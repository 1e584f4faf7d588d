// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/version.h"
#include "responder/limits.h"

#define PROGRAM      "sidestep-responder"
#define DEFAULT_NAME "sidestep" /* of the user and of the group */
#define DEFAULT_PORT 443
#define THREADS_MAX  1024 /* a mistake beyond this */

/* Options without a letter. */
enum option_code {
	CODE_ROOT = 256,
	CODE_INTERFACE,
	CODE_PORT,
	CODE_ADDRESS,
	CODE_NETNS,
	CODE_USER,
	CODE_GROUP,
	CODE_THREADS,
	CODE_CONNECTIONS,
	CODE_CONNECTIONS_PER_SOURCE,
	CODE_TAKEOVER,
	CODE_ATTACH,
	CODE_STANDALONE,
	CODE_REPLACE,
	CODE_FOREGROUND,
	CODE_VERBOSE,
	CODE_CHECK,
	CODE_UPGRADE,
	CODE_UNLOAD,
	CODE_VERSION,
	CODE_HELP,
};

static const struct option long_options[] = {
	{"root", required_argument, NULL, CODE_ROOT},
	{"interface", required_argument, NULL, CODE_INTERFACE},
	{"port", required_argument, NULL, CODE_PORT},
	{"address", required_argument, NULL, CODE_ADDRESS},
	{"netns", required_argument, NULL, CODE_NETNS},
	{"user", required_argument, NULL, CODE_USER},
	{"group", required_argument, NULL, CODE_GROUP},
	{"threads", required_argument, NULL, CODE_THREADS},
	{"connections", required_argument, NULL, CODE_CONNECTIONS},
	{"connections-per-source", required_argument, NULL, CODE_CONNECTIONS_PER_SOURCE},
	{"takeover", required_argument, NULL, CODE_TAKEOVER},
	{"attach", required_argument, NULL, CODE_ATTACH},
	{"standalone", no_argument, NULL, CODE_STANDALONE},
	{"replace", no_argument, NULL, CODE_REPLACE},
	{"foreground", no_argument, NULL, CODE_FOREGROUND},
	{"verbose", no_argument, NULL, CODE_VERBOSE},
	{"check", no_argument, NULL, CODE_CHECK},
	{"upgrade", no_argument, NULL, CODE_UPGRADE},
	{"unload", no_argument, NULL, CODE_UNLOAD},
	{"version", no_argument, NULL, CODE_VERSION},
	{"help", no_argument, NULL, CODE_HELP},
	{NULL, 0, NULL, 0},
};

static const char help_text[] =
	"Usage: " PROGRAM " [OPTION]...\n"
	"Answer TLS-ALPN-01 validations (RFC 8737) beside the server that has the port.\n"
	"\n"
	"  --interface IF   steer what arrives on this interface; may be repeated\n"
	"                   (default: all interfaces)\n"
	"  --port N         the port that certificate authorities connect to (default: 443);\n"
	"                   up to four\n"
	"  --address A      steer only what comes for this address of ours; may be repeated\n"
	"                   (default: any)\n"
	"  --netns NS       the network namespace in which the production server listens:\n"
	"                   a name as 'ip netns' lists them, or a path\n"
	"  --takeover HOW        how to take a connection over: auto, sk_lookup (Linux 6.9 and newer)\n"
	"                   or repair (older kernels) (default: auto)\n"
	"  --attach HOW     how to attach to interfaces: auto, tcx or clsact (default: auto)\n"
	"  --standalone     do not steer: listen on the port, where no other server does\n"
	"  --threads N      threads that answer (default: one a CPU)\n"
	"  --connections N  connections at once, 11 KB each (default: 16384)\n"
	"  --connections-per-source N\n"
	"                   of one IPv4 address or IPv6 /64; twice as many of one /24 or /48\n"
	"                   (default: a quarter of all)\n"
	"  --user USER      user to run as, once everything is open (default: sidestep)\n"
	"  --group GROUP    group that may publish challenges (default: sidestep)\n"
	"  --root DIR       keep everything below DIR instead of /: another instance\n"
	"  --replace        take over from the responder that runs, without a gap; it then ends\n"
	"  --foreground     stay in the foreground, and log to standard error\n"
	"  --verbose        log more\n"
	"\n"
	"  --check          say what this machine offers, what is missing, and exit\n"
	"  --upgrade        put the programs of this build in the place of those of the\n"
	"                   running responder, whatever traffic there is, and exit\n"
	"  --unload         remove what an ended responder left for its successor:\n"
	"                   programs, pending challenges, counters, status; and exit\n"
	"  --version        print the version and exit\n"
	"  --help           print this and exit\n"
	"\n"
	"Without --foreground it returns when the responder is ready in the background,\n"
	"which then logs nothing: to have the log, use --foreground or systemd.\n"
	"SIGUSR1 logs how connections ended, SIGTERM ends.\n"
	"Exit status: 0 done or ready, 1 failed, 2 bad usage.\n";

static int usage_error(const char *what, const char *value)
{
	fprintf(stderr, PROGRAM ": %s%s%s; see --help\n", what, value ? ": " : "",
		value ? value : "");
	return -EINVAL;
}

/* One thread for each CPU that this process may use. */
static unsigned int usable_cpus(void)
{
	cpu_set_t cpus;

	return sched_getaffinity(0, sizeof(cpus), &cpus) ? 1 : (unsigned int)CPU_COUNT(&cpus);
}

/* A decimal number from 1 to `max`; 0 when it is not one. */
static unsigned int parse_number(const char *text, unsigned int max)
{
	unsigned long number;
	char *end;

	if (*text < '0' || *text > '9')
		return 0;
	errno = 0;
	number = strtoul(text, &end, 10);
	return errno || *end || number > max ? 0 : (unsigned int)number;
}

static void add_interface(struct options *options, const char *name)
{
	for (size_t i = 0; i < options->interface_count; i++)
		if (!strcmp(options->interfaces[i], name))
			return;
	options->interfaces[options->interface_count++] = name;
}

static int add_port(struct options *options, const char *text)
{
	uint16_t port = (uint16_t)parse_number(text, UINT16_MAX);

	if (!port)
		return usage_error("--port is 1 to 65535, not", text);
	for (size_t i = 0; i < options->port_count; i++)
		if (options->ports[i] == port)
			return 0;
	if (options->port_count == STEER_PORTS_MAX)
		return usage_error("--port may be given four times at most, no place for", text);
	options->ports[options->port_count++] = port;
	return 0;
}

static int add_address(struct options *options, const char *text)
{
	static const uint8_t mapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	struct steer_address address;

	memcpy(address.bytes, mapped, sizeof(mapped));
	if (inet_pton(AF_INET, text, address.bytes + sizeof(mapped)) != 1 &&
	    inet_pton(AF_INET6, text, address.bytes) != 1)
		return usage_error("--address is an IPv4 or IPv6 address, not", text);
	if (options->address_count == STEER_ADDRESSES_MAX)
		return usage_error("--address was given too often, no place for", text);
	options->addresses[options->address_count++] = address;
	return 0;
}

static int parse_attach_mode(const char *text, enum attach_mode *ret_mode)
{
	if (!strcmp(text, "auto"))
		*ret_mode = ATTACH_AUTO;
	else if (!strcmp(text, "tcx"))
		*ret_mode = ATTACH_TCX;
	else if (!strcmp(text, "clsact"))
		*ret_mode = ATTACH_CLSACT;
	else
		return usage_error("--attach is auto, tcx or clsact, not", text);
	return 0;
}

static int parse_takeover(const char *text, enum takeover *ret_takeover)
{
	if (!strcmp(text, "auto"))
		*ret_takeover = TAKEOVER_AUTO;
	else if (!strcmp(text, "sk_lookup"))
		*ret_takeover = TAKEOVER_SK_LOOKUP;
	else if (!strcmp(text, "repair"))
		*ret_takeover = TAKEOVER_REPAIR;
	else
		return usage_error("--takeover is auto, sk_lookup or repair, not", text);
	return 0;
}

static int parse_connections(const char *what, const char *text, unsigned int *ret_number)
{
	unsigned int number = parse_number(text, LIMITS_CONNECTIONS_MAX);

	if (!number)
		return usage_error(what, text);
	*ret_number = number;
	return 0;
}

/* An option with a value.  0 or -EINVAL, told. */
static int take_value(struct options *options, int code, const char *value)
{
	/* An unset variable in a script ends here, and not in the system's own directories. */
	if (!*value)
		return usage_error("an option has an empty value", NULL);
	switch (code) {
	case CODE_ROOT:
		options->root = value;
		return 0;
	case CODE_INTERFACE:
		add_interface(options, value);
		return 0;
	case CODE_PORT:
		return add_port(options, value);
	case CODE_ADDRESS:
		return add_address(options, value);
	case CODE_NETNS:
		options->netns = value;
		return 0;
	case CODE_USER:
		options->user = value;
		return 0;
	case CODE_GROUP:
		options->group = value;
		return 0;
	case CODE_THREADS:
		options->threads = parse_number(value, THREADS_MAX);
		return options->threads ? 0 : usage_error("--threads is 1 to 1024, not", value);
	case CODE_CONNECTIONS:
		return parse_connections("--connections is 1 to 1048576, not", value,
					 &options->connections);
	case CODE_CONNECTIONS_PER_SOURCE:
		return parse_connections("--connections-per-source is 1 to 1048576, not", value,
					 &options->connections_per_source);
	case CODE_TAKEOVER:
		return parse_takeover(value, &options->takeover);
	default:
		return parse_attach_mode(value, &options->attach_mode);
	}
}

/* An option without a value. */
static void take_flag(struct options *options, int code)
{
	switch (code) {
	case CODE_STANDALONE:
		options->standalone = true;
		break;
	case CODE_REPLACE:
		options->replace = true;
		break;
	case CODE_FOREGROUND:
		options->foreground = true;
		break;
	case CODE_VERBOSE:
		options->verbose = true;
		break;
	case CODE_CHECK:
		options->action = OPTIONS_CHECK;
		break;
	case CODE_UPGRADE:
		options->action = OPTIONS_UPGRADE;
		break;
	case CODE_UNLOAD:
		options->action = OPTIONS_UNLOAD;
		break;
	case CODE_VERSION:
		puts(PROGRAM " " SIDESTEP_VERSION);
		options->action = OPTIONS_EXIT;
		break;
	case CODE_HELP:
		fputs(help_text, stdout);
		options->action = OPTIONS_EXIT;
		break;
	}
}

static int check_standalone(const struct options *options)
{
	if (!options->standalone)
		return 0;
	if (options->interface_count || options->address_count ||
	    options->attach_mode != ATTACH_AUTO || options->takeover != TAKEOVER_AUTO)
		return usage_error("--interface, --address, --takeover and --attach steer, "
				   "--standalone does not",
				   NULL);
	if (options->port_count > 1)
		return usage_error("--standalone listens on one port", NULL);
	return 0;
}

static int parse_all(struct options *options, int argc, char **argv)
{
	int code, err;

	while (options->action != OPTIONS_EXIT) {
		code = getopt_long(argc, argv, "", long_options, NULL);
		if (code == -1)
			break;
		if (code == '?') /* getopt_long() has said what is wrong */
			return usage_error("unusable option", NULL);
		if (!optarg) {
			take_flag(options, code);
			continue;
		}
		err = take_value(options, code, optarg);
		if (err)
			return err;
	}
	if (options->action == OPTIONS_EXIT)
		return 0;
	if (optind < argc)
		return usage_error("unexpected argument", argv[optind]);
	if (!options->port_count)
		options->ports[options->port_count++] = DEFAULT_PORT;
	if (!options->connections_per_source)
		options->connections_per_source =
			(options->connections - 1) / LIMITS_SOURCE_PART + 1;
	return check_standalone(options);
}

int options_parse(struct options *ret_options, int argc, char **argv)
{
	struct options options = {
		.action = OPTIONS_RUN,
		.root = "",
		.user = DEFAULT_NAME,
		.group = DEFAULT_NAME,
		.interfaces = calloc((size_t)argc + 1, sizeof(*options.interfaces)),
		.addresses = calloc((size_t)argc + 1, sizeof(*options.addresses)),
		.threads = usable_cpus(),
		.connections = LIMITS_CONNECTIONS,
	};
	int err = -ENOMEM;

	if (options.interfaces && options.addresses)
		err = parse_all(&options, argc, argv);
	if (err) {
		options_done(&options);
		return err;
	}
	*ret_options = options;
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
