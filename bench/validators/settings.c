// SPDX-License-Identifier: GPL-3.0-or-later
#include "bench/validators/settings.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/validators/route.h"
#include "bench/validators/subject.h"
#include "common/version.h"

#define PROGRAM      "sidestep-bench"
#define DEFAULT_PORT 443
#define NS_PER_S     1e9

#define DEFAULT_TIMEOUT_S  10 /* Boulder's, for dial and handshake */
#define DEFAULT_RATE_LIMIT 1000
#define RATE_LIMIT_MAX     1e6
#define DEFAULT_OPEN_LIMIT 10000
#define OPEN_LIMIT_MAX     1000000
#define SECONDS_MAX        86400
#define GENERATE_MAX       10000000
#define THREADS_MAX        1024
#define COUNT_MAX          1e15

/* --- the options ----------------------------------------------------------------------------- */

/* What is being filled in: as given. */
struct parsing {
	struct settings settings;
	const char **names, **files; /* of --name and --names */
	size_t name_count, file_count;
	struct endpoint *destinations, *sources;
	size_t destination_count, source_count;
	double generate, concurrency, duration_s, count, timeout_s, max_open, threads;
	const char *suffix, *answer;
	bool help, version, failed;
};

enum option_kind {
	OPTION_FLAG, /* a bool */
	OPTION_TEXT, /* a const char * */
	OPTION_NUMBER, /* a double, whole */
	OPTION_DECIMAL, /* a double */
	OPTION_NAME,
	OPTION_FILE,
	OPTION_SOURCE,
	OPTION_HELLO,
	OPTION_TLS,
	OPTION_ARRIVALS,
	OPTION_CLOSE,
};

#define FIELD(name) offsetof(struct parsing, name)

static const struct option_entry {
	const char *name;
	enum option_kind kind;
	size_t field; /* offset in struct parsing */
	double max; /* of a number, which is over 0 */
	const char *value; /* what stands for the value in help; NULL: takes none */
	const char *help;
} options[] = {
	{"name", OPTION_NAME, 0, 0, "NAME",
	 "a domain name or IP address to ask for; again for each"},
	{"names", OPTION_FILE, 0, 0, "FILE",
	 "lines of NAME, or NAME and its key authorization or digest"},
	{"generate", OPTION_NUMBER, FIELD(generate), GENERATE_MAX, "N",
	 "the names n0.SUFFIX, n1.SUFFIX, ... N of them"},
	{"suffix", OPTION_TEXT, FIELD(suffix), 0, "SUFFIX", "of --generate"},
	{"key-authorization", OPTION_TEXT, FIELD(answer), 0, "TEXT",
	 "what names without one of their own must be answered with:\n"
	 "TOKEN.THUMBPRINT, or its SHA-256 in hexadecimal digits\n"
	 "(default: any; only the certificate's form is verified)"},
	{"rate", OPTION_DECIMAL, FIELD(settings.rate), RATE_LIMIT_MAX, "R",
	 "open loop: start R connections a second, whatever the server does"},
	{"concurrency", OPTION_NUMBER, FIELD(concurrency), OPEN_LIMIT_MAX, "N",
	 "closed loop: N connections at a time (default: 1)"},
	{"arrivals", OPTION_ARRIVALS, 0, 0, "HOW",
	 "of the open loop: fixed or poisson (default: fixed)"},
	{"ramp-up", OPTION_DECIMAL, FIELD(settings.ramp_s), SECONDS_MAX, "SECONDS",
	 "let rate or concurrency grow evenly over this time"},
	{"duration", OPTION_DECIMAL, FIELD(duration_s), SECONDS_MAX, "SECONDS",
	 "start connections for this long, ramp-up included"},
	{"count", OPTION_NUMBER, FIELD(count), COUNT_MAX, "N",
	 "start N connections (default, without --duration:\n"
	 "each name once over each route)"},
	{"max-rate", OPTION_DECIMAL, FIELD(settings.max_rate), RATE_LIMIT_MAX, "R",
	 "never start more a second (default: 1000); raise it for\n"
	 "servers that are yours"},
	{"max-open", OPTION_NUMBER, FIELD(max_open), OPEN_LIMIT_MAX, "N",
	 "never have more connections open (default: 10000)"},
	{"timeout", OPTION_DECIMAL, FIELD(timeout_s), SECONDS_MAX, "SECONDS",
	 "for connecting and handshake (default: 10)"},
	{"threads", OPTION_NUMBER, FIELD(threads), THREADS_MAX, "N", "(default: 1)"},
	{"source", OPTION_SOURCE, 0, 0, "ADDRESS",
	 "connect from this address of ours: a perspective; again for each"},
	{"hello", OPTION_HELLO, 0, 0, "SHAPE",
	 "of the ClientHello: go, small, split or shuffled; again for\n"
	 "several, chosen at random (default: go)"},
	{"tls", OPTION_TLS, 0, 0, "VERSION", "1.2, 1.3 or any (default: any)"},
	{"close", OPTION_CLOSE, 0, 0, "HOW",
	 "after the handshake: now, as validators do (default), or\n"
	 "reset, which leaves no TIME_WAIT here"},
	{"report", OPTION_TEXT, FIELD(settings.report), 0, "DIR",
	 "write report.md with plots (by gnuplot), and all figures"},
	{"json", OPTION_FLAG, FIELD(settings.json), 0, NULL,
	 "one JSON document on standard output"},
	{"quiet", OPTION_FLAG, FIELD(settings.quiet), 0, NULL, "no progress"},
	{"help", OPTION_FLAG, FIELD(help), 0, NULL, "this text"},
	{"version", OPTION_FLAG, FIELD(version), 0, NULL, "the version"},
};

#define OPTION_COUNT ((int)(sizeof(options) / sizeof(*options)))
#define CODE_BASE    256 /* getopt's code of the first option */

static void print_help(void)
{
	char left[48];

	puts("usage: " PROGRAM " [OPTION]... ADDRESS[:PORT]...\n"
	     "Play certificate authorities that validate by TLS-ALPN-01 (RFC 8737), at any load.\n"
	     "\n"
	     "Connects to the addresses given and to no other (port 443 without PORT), and\n"
	     "verifies each certificate as the strictest validator would.\n");
	for (int i = 0; i < OPTION_COUNT; i++) {
		const char *at = options[i].help, *end;

		snprintf(left, sizeof(left), "--%s %s", options[i].name,
			 options[i].value ? options[i].value : "");
		for (; (end = strchr(at, '\n')); at = end + 1, left[0] = '\0')
			printf("  %-26s %.*s\n", left, (int)(end - at), at);
		printf("  %-26s %s\n", left, at);
	}
	puts("\nLatency counts from the moment when a connection was due to start.\n"
	     "An interrupt ends the run early, with its results.\n"
	     "Exit status: 0 all validated; 1 failures, or none at all; 2 wrong usage.");
}

/* --- telling ---------------------------------------------------------------------------------- */

/* Say what is wrong, unless something was said already. */
static void __attribute__((format(printf, 2, 3)))
wrong(struct parsing *parsing, const char *format, ...)
{
	va_list arguments;

	if (parsing->failed)
		return;
	parsing->failed = true;
	fputs(PROGRAM ": ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputs("; see --help\n", stderr);
}

/* --- taking ---------------------------------------------------------------------------------- */

static void take_number(struct parsing *parsing, const struct option_entry *option,
			const char *text)
{
	double number;
	char *end;

	errno = 0;
	number = strtod(text, &end);
	if (text[0] < '0' || text[0] > '9' || *end || errno || !(number > 0) ||
	    number > option->max || (option->kind == OPTION_NUMBER && number != floor(number)))
		wrong(parsing, "--%s is a%s number over 0, up to %.0f, not '%s'", option->name,
		      option->kind == OPTION_NUMBER ? " whole" : "", option->max, text);
	else
		*(double *)((char *)parsing + option->field) = number;
}

static void take_source(struct parsing *parsing, const char *text)
{
	struct endpoint *source = &parsing->sources[parsing->source_count];

	if (endpoint_parse(source, text, 0) || source->ipv4.sin_port)
		wrong(parsing, "--source is an IPv4 or IPv6 address of this machine, not '%s'",
		      text);
	else
		parsing->source_count++;
}

static void take_destination(struct parsing *parsing, const char *text)
{
	if (endpoint_parse(&parsing->destinations[parsing->destination_count], text, DEFAULT_PORT))
		wrong(parsing,
		      "'%s' is no ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT: host names are not looked "
		      "up, name the address itself",
		      text);
	else
		parsing->destination_count++;
}

static void take_hello(struct parsing *parsing, const char *text)
{
	struct settings *settings = &parsing->settings;
	enum hello_shape shape;

	for (shape = 0; shape < HELLO_SHAPES; shape++)
		if (strcmp(text, hello_shape_name(shape)) == 0)
			break;
	if (shape == HELLO_SHAPES) {
		wrong(parsing, "--hello is go, small, split or shuffled, not '%s'", text);
		return;
	}
	for (size_t i = 0; i < settings->shape_count; i++)
		if (settings->shapes[i] == shape)
			return;
	settings->shapes[settings->shape_count++] = shape;
}

static void take_tls(struct parsing *parsing, const char *text)
{
	enum hello_tls tls;

	for (tls = 0; tls < HELLO_TLS; tls++)
		if (strcmp(text, hello_tls_name(tls)) == 0)
			break;
	if (tls == HELLO_TLS)
		wrong(parsing, "--tls is 1.2, 1.3 or any, not '%s'", text);
	else
		parsing->settings.tls = tls;
}

static void take_option(struct parsing *parsing, const struct option_entry *option,
			const char *value)
{
	void *field = (char *)parsing + option->field;

	/* An unset variable in a script ends here. */
	if (value && !*value) {
		wrong(parsing, "--%s has an empty value", option->name);
		return;
	}
	switch (option->kind) {
	case OPTION_FLAG:
		*(bool *)field = true;
		break;
	case OPTION_TEXT:
		*(const char **)field = value;
		break;
	case OPTION_NUMBER:
	case OPTION_DECIMAL:
		take_number(parsing, option, value);
		break;
	case OPTION_NAME: /* there is room for argc of each */
		parsing->names[parsing->name_count++] = value;
		break;
	case OPTION_FILE:
		parsing->files[parsing->file_count++] = value;
		break;
	case OPTION_SOURCE:
		take_source(parsing, value);
		break;
	case OPTION_HELLO:
		take_hello(parsing, value);
		break;
	case OPTION_TLS:
		take_tls(parsing, value);
		break;
	case OPTION_ARRIVALS:
		parsing->settings.poisson = strcmp(value, "poisson") == 0;
		if (!parsing->settings.poisson && strcmp(value, "fixed") != 0)
			wrong(parsing, "--arrivals is fixed or poisson, not '%s'", value);
		break;
	case OPTION_CLOSE:
		parsing->settings.close =
			strcmp(value, "reset") == 0 ? SETTINGS_CLOSE_RESET : SETTINGS_CLOSE_NOW;
		if (parsing->settings.close == SETTINGS_CLOSE_NOW && strcmp(value, "now") != 0)
			wrong(parsing, "--close is now or reset, not '%s'", value);
		break;
	}
}

static void take_arguments(struct parsing *parsing, int argc, char **argv)
{
	struct option long_options[OPTION_COUNT + 1] = {0};
	int code;

	for (int i = 0; i < OPTION_COUNT; i++)
		long_options[i] = (struct option){.name = options[i].name,
						  .has_arg = options[i].value ? required_argument
									      : no_argument,
						  .val = CODE_BASE + i};
	/* From the beginning, however often; without words of its own. */
	optind = 0;
	opterr = 0;
	while ((code = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
		if (code >= CODE_BASE)
			take_option(parsing, &options[code - CODE_BASE], optarg);
		else if (code == ':')
			wrong(parsing, "the option %s needs a value", argv[optind - 1]);
		else
			wrong(parsing, "there is no option like %s", argv[optind - 1]);
	}
	for (int i = optind; i < argc; i++)
		take_destination(parsing, argv[i]);
}

/* --- what options mean together --------------------------------------------------------------- */

/* `what` of the user's did not become subjects. */
static void tell_subject(struct parsing *parsing, const char *what, int err,
			 const struct subject_error *error)
{
	if (err == -EINVAL && error->line)
		wrong(parsing, "%s, line %zu: %s", what, error->line, error->text);
	else if (err == -EINVAL)
		wrong(parsing, "%s: %s", what, error->text);
	else
		wrong(parsing, "%s: %s", what, strerror(-err));
}

/* 0 or -ENOMEM; what is the user's fault is told. */
static int conclude_subjects(struct parsing *parsing)
{
	struct subjects *subjects;
	struct subject_error error = {0};
	int err = subjects_new(&parsing->settings.subjects);

	if (err)
		return err;
	subjects = parsing->settings.subjects;
	if (!parsing->generate != !parsing->suffix)
		wrong(parsing, "--generate and --suffix go together");
	for (size_t i = 0; !err && i < parsing->name_count; i++) {
		err = subjects_add(subjects, parsing->names[i], NULL, &error);
		if (err)
			tell_subject(parsing, parsing->names[i], err, &error);
	}
	for (size_t i = 0; !err && i < parsing->file_count; i++) {
		err = subjects_add_file(subjects, parsing->files[i], &error);
		if (err)
			tell_subject(parsing, parsing->files[i], err, &error);
	}
	error.line = 0;
	if (!err && !parsing->failed && parsing->generate) {
		err = subjects_generate(subjects, (size_t)parsing->generate, parsing->suffix,
					&error);
		if (err)
			tell_subject(parsing, parsing->suffix, err, &error);
	}
	if (!err && parsing->answer) {
		err = subjects_set_answer(subjects, parsing->answer, &error);
		if (err)
			tell_subject(parsing, "--key-authorization", err, &error);
	}
	if (!subjects_count(subjects))
		wrong(parsing, "no name is given: --name, --names or --generate say which");
	return err == -ENOMEM ? err : 0;
}

static int conclude_routes(struct parsing *parsing)
{
	struct settings *settings = &parsing->settings;
	int err;

	if (!parsing->destination_count) {
		wrong(parsing, "no address is given: there is no default, name the server's own");
		return 0;
	}
	err = routes_make(&settings->routes, &settings->route_count, parsing->destinations,
			  parsing->destination_count, parsing->sources, parsing->source_count);
	if (err == -EAFNOSUPPORT) {
		wrong(parsing, "a --source is of another family than all addresses to connect to");
		return 0;
	}
	return err;
}

static void conclude_load(struct parsing *parsing)
{
	struct settings *settings = &parsing->settings;

	if (settings->rate && parsing->concurrency)
		wrong(parsing, "--rate (open loop) and --concurrency (closed loop) exclude each "
			       "other");
	if (settings->rate > settings->max_rate)
		wrong(parsing,
		      "--rate %g is over the limit of %g a second; if the server is yours, raise it "
		      "by --max-rate %g",
		      settings->rate, settings->max_rate, settings->rate);
	if (settings->poisson && !settings->rate)
		wrong(parsing, "--arrivals needs the open loop of --rate");
	settings->max_open = (unsigned int)parsing->max_open;
	settings->threads = (unsigned int)parsing->threads;
	settings->concurrency = parsing->concurrency ? (unsigned int)parsing->concurrency : 1;
	if (!settings->rate && settings->concurrency > settings->max_open)
		wrong(parsing, "--concurrency %u is over --max-open %u", settings->concurrency,
		      settings->max_open);
	if (settings->threads > (settings->rate ? settings->max_open : settings->concurrency))
		wrong(parsing, "there are more --threads than connections at a time");
	settings->timeout_ns = (uint64_t)(parsing->timeout_s * NS_PER_S);
	settings->duration_ns =
		parsing->duration_s ? (uint64_t)(parsing->duration_s * NS_PER_S) : UINT64_MAX;
	settings->count = parsing->count ? (uint64_t)parsing->count : UINT64_MAX;
	if (!parsing->count && !parsing->duration_s)
		settings->count = subjects_count(settings->subjects) * settings->route_count;
	if (!settings->shape_count)
		settings->shapes[settings->shape_count++] = HELLO_GO;
}

static enum settings_result conclude(struct parsing *parsing)
{
	if (parsing->failed)
		return SETTINGS_WRONG;
	if (parsing->help) {
		print_help();
		return SETTINGS_SHOWN;
	}
	if (parsing->version) {
		puts(PROGRAM " " SIDESTEP_VERSION);
		return SETTINGS_SHOWN;
	}
	/* The address first: without it nothing else is worth reading. */
	if (conclude_routes(parsing) || (!parsing->failed && conclude_subjects(parsing)))
		return SETTINGS_NO_MEMORY;
	if (!parsing->failed)
		conclude_load(parsing);
	return parsing->failed ? SETTINGS_WRONG : SETTINGS_RUN;
}

enum settings_result settings_parse(struct settings *ret_settings, int argc, char **argv)
{
	size_t room = (size_t)argc + 1;
	struct parsing parsing = {
		.settings.max_rate = DEFAULT_RATE_LIMIT,
		.names = calloc(room, sizeof(*parsing.names)),
		.files = calloc(room, sizeof(*parsing.files)),
		.destinations = calloc(room, sizeof(*parsing.destinations)),
		.sources = calloc(room, sizeof(*parsing.sources)),
		.timeout_s = DEFAULT_TIMEOUT_S,
		.max_open = DEFAULT_OPEN_LIMIT,
		.threads = 1,
	};
	enum settings_result result = SETTINGS_NO_MEMORY;

	if (parsing.names && parsing.files && parsing.destinations && parsing.sources) {
		take_arguments(&parsing, argc, argv);
		result = conclude(&parsing);
	}
	free(parsing.names);
	free(parsing.files);
	free(parsing.destinations);
	free(parsing.sources);
	if (result == SETTINGS_RUN)
		*ret_settings = parsing.settings;
	else
		settings_done(&parsing.settings);
	return result;
}

void settings_done(struct settings *settings)
{
	subjects_free(settings->subjects);
	free(settings->routes);
	settings->subjects = NULL;
	settings->routes = NULL;
}
