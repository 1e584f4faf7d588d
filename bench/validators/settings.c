// SPDX-License-Identifier: GPL-3.0-or-later
#include "bench/validators/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/validator/route.h"
#include "common/validator/subject.h"
#include "common/option_table.h"
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
	struct option_texts names, files; /* of --name and --names */
	struct endpoint *destinations, *sources;
	size_t destination_count, source_count;
	uint64_t generate, concurrency, count, max_open, threads;
	double duration_s, timeout_s;
	unsigned int arrivals;
	const char *suffix, *answer;
	bool help, help_man, version;
	struct option_error error;
};

/* In the order of `arrivals`. */
enum { ARRIVALS_FIXED, ARRIVALS_POISSON };

static void take_source(void *target, const char *value, struct option_error *error)
{
	struct parsing *parsing = target;
	struct endpoint *source = &parsing->sources[parsing->source_count];

	if (endpoint_parse(source, value, 0) || source->ipv4.sin_port)
		option_wrong(error,
			     "--source takes an IPv4 or IPv6 address of this machine, not '%s'",
			     value);
	else
		parsing->source_count++;
}

static void take_hello(void *target, const char *value, struct option_error *error)
{
	struct settings *settings = &((struct parsing *)target)->settings;
	enum hello_shape shape;

	for (shape = 0; shape < HELLO_SHAPES; shape++)
		if (strcmp(value, hello_shape_name(shape)) == 0)
			break;
	if (shape == HELLO_SHAPES) {
		option_wrong(error, "--hello takes go, small, split or shuffled, not '%s'", value);
		return;
	}
	for (size_t i = 0; i < settings->shape_count; i++)
		if (settings->shapes[i] == shape)
			return;
	settings->shapes[settings->shape_count++] = shape;
}

static void take_tls(void *target, const char *value, struct option_error *error)
{
	enum hello_tls tls;

	for (tls = 0; tls < HELLO_TLS; tls++)
		if (strcmp(value, hello_tls_name(tls)) == 0)
			break;
	if (tls == HELLO_TLS)
		option_wrong(error, "--tls takes 1.2, 1.3 or any, not '%s'", value);
	else
		((struct parsing *)target)->settings.tls = tls;
}

static const char *const arrivals[] = {
	[ARRIVALS_FIXED] = "fixed", [ARRIVALS_POISSON] = "poisson", NULL};
static const char *const closes[] = {
	[SETTINGS_CLOSE_NOW] = "now", [SETTINGS_CLOSE_RESET] = "reset", NULL};

#define FIELD(member) OPTION_FIELD(struct parsing, member)

static const struct option_row rows[] = {
	{.name = "name",
	 .kind = OPTION_TEXTS,
	 FIELD(names),
	 .value = "NAME",
	 .help = "A domain name or IP address to ask for. May be repeated."},
	{.name = "names",
	 .kind = OPTION_TEXTS,
	 FIELD(files),
	 .value = "FILE",
	 .help = "Read names from a file: each line is NAME, or NAME and its key "
		 "authorization or digest. May be repeated."},
	{.name = "generate",
	 .kind = OPTION_NUMBER,
	 FIELD(generate),
	 .max = GENERATE_MAX,
	 .value = "N",
	 .help = "Ask for N names: n0.SUFFIX, n1.SUFFIX, ..."},
	{.name = "suffix",
	 .kind = OPTION_TEXT,
	 FIELD(suffix),
	 .value = "SUFFIX",
	 .help = "The suffix for --generate."},
	{.name = "key-authorization",
	 .kind = OPTION_TEXT,
	 FIELD(answer),
	 .value = "TEXT",
	 .help = "What names without a key authorization of their own must be answered "
		 "with: TOKEN.THUMBPRINT, or its SHA-256 in hexadecimal digits. Without "
		 "it only the form of their certificates is verified."},
	{.name = "rate",
	 .kind = OPTION_DECIMAL,
	 FIELD(settings.rate),
	 .max = RATE_LIMIT_MAX,
	 .value = "R",
	 .help = "Open loop: start R connections a second, whatever the server does."},
	{.name = "concurrency",
	 .kind = OPTION_NUMBER,
	 FIELD(concurrency),
	 .max = OPEN_LIMIT_MAX,
	 .value = "N",
	 .help = "Closed loop: keep N connections open at a time. Default: 1."},
	{.name = "arrivals",
	 .kind = OPTION_CHOICE,
	 FIELD(arrivals),
	 .choices = arrivals,
	 .value = "HOW",
	 .help = "How connections of the open loop follow each other: fixed or poisson. "
		 "Default: fixed."},
	{.name = "ramp-up",
	 .kind = OPTION_DECIMAL,
	 FIELD(settings.ramp_s),
	 .max = SECONDS_MAX,
	 .value = "SECONDS",
	 .help = "Let the rate or concurrency grow evenly over this time."},
	{.name = "duration",
	 .kind = OPTION_DECIMAL,
	 FIELD(duration_s),
	 .max = SECONDS_MAX,
	 .value = "SECONDS",
	 .help = "Start connections for this long, ramp-up included."},
	{.name = "count",
	 .kind = OPTION_NUMBER,
	 FIELD(count),
	 .max = COUNT_MAX,
	 .value = "N",
	 .help = "Start N connections. Default without --duration: each name once over "
		 "each route."},
	{.name = "max-rate",
	 .kind = OPTION_DECIMAL,
	 FIELD(settings.max_rate),
	 .max = RATE_LIMIT_MAX,
	 .value = "R",
	 .help = "Never start more connections a second. Raise it only for servers that "
		 "are yours. Default: 1000."},
	{.name = "max-open",
	 .kind = OPTION_NUMBER,
	 FIELD(max_open),
	 .max = OPEN_LIMIT_MAX,
	 .value = "N",
	 .help = "Never have more connections open. Default: 10000."},
	{.name = "timeout",
	 .kind = OPTION_DECIMAL,
	 FIELD(timeout_s),
	 .max = SECONDS_MAX,
	 .value = "SECONDS",
	 .help = "Give connecting and the handshake this long together. Default: 10."},
	{.name = "threads",
	 .kind = OPTION_NUMBER,
	 FIELD(threads),
	 .max = THREADS_MAX,
	 .value = "N",
	 .help = "Use this many threads. Default: 1."},
	{.name = "source",
	 .kind = OPTION_OWN,
	 .take = take_source,
	 .value = "ADDRESS",
	 .help = "Connect from this address of this machine, as one perspective of a CA. "
		 "May be repeated."},
	{.name = "hello",
	 .kind = OPTION_OWN,
	 .take = take_hello,
	 .value = "SHAPE",
	 .help = "The ClientHello: go, small, split or shuffled. May be repeated; each "
		 "connection then draws one. Default: go."},
	{.name = "tls",
	 .kind = OPTION_OWN,
	 .take = take_tls,
	 .value = "VERSION",
	 .help = "The TLS version: 1.2, 1.3 or any. Default: any."},
	{.name = "close",
	 .kind = OPTION_CHOICE,
	 FIELD(settings.close),
	 .choices = closes,
	 .value = "HOW",
	 .help = "How to close after the handshake: now, as validators do, or reset, "
		 "which leaves no TIME_WAIT here. Default: now."},
	{.name = "report",
	 .kind = OPTION_TEXT,
	 FIELD(settings.report),
	 .value = "DIR",
	 .help = "Write report.md with plots (by gnuplot) and all figures into this "
		 "directory."},
	{.name = "json",
	 .kind = OPTION_FLAG,
	 FIELD(settings.json),
	 .help = "Print one JSON document."},
	{.name = "quiet", .kind = OPTION_FLAG, FIELD(settings.quiet), .help = "Show no progress."},
	{.name = "help", .kind = OPTION_FLAG, FIELD(help), .help = "Print this and exit."},
	{.name = "version",
	 .kind = OPTION_FLAG,
	 FIELD(version),
	 .help = "Print the version and exit."},
	{.name = "help-man", .kind = OPTION_FLAG, FIELD(help_man)},
};

static const struct option_table table = {rows, sizeof(rows) / sizeof(*rows)};

static const struct option_page page = {
	.command = PROGRAM,
	.usage = "[OPTION]... ADDRESS[:PORT]...",
	.before = "Plays certificate authorities that validate by TLS-ALPN-01 (RFC 8737), at any "
		  "load.\n"
		  "\n"
		  "Connects to the addresses given and to no other, to port 443 without PORT, and "
		  "verifies each certificate as the strictest validator would.\n",
	.after = "Latency counts from the moment when a connection was due to start. An interrupt "
		 "ends the run early, with its results.\n"
		 "\n"
		 "Exit status: 0 all validated, 1 failures or nothing validated, 2 wrong usage.\n",
	.table = &table,
};

/* --- taking ---------------------------------------------------------------------------------- */

static void take_destination(struct parsing *parsing, const char *text)
{
	if (endpoint_parse(&parsing->destinations[parsing->destination_count], text, DEFAULT_PORT))
		option_wrong(&parsing->error,
			     "'%s' is not ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT: host names are "
			     "not looked up, so name the address itself",
			     text);
	else
		parsing->destination_count++;
}

static void take_arguments(struct parsing *parsing, int argc, char **argv)
{
	int i;

	for (i = option_parse(&table, argc, argv, parsing, NULL, &parsing->error); i < argc; i++)
		take_destination(parsing, argv[i]);
}

/* --- what options mean together --------------------------------------------------------------- */

/* `what` of the user's did not become subjects. */
static void tell_subject(struct parsing *parsing, const char *what, int err,
			 const struct subject_error *error)
{
	if (err == -EINVAL && error->line)
		option_wrong(&parsing->error, "%s, line %zu: %s", what, error->line, error->text);
	else if (err == -EINVAL)
		option_wrong(&parsing->error, "%s: %s", what, error->text);
	else
		option_wrong(&parsing->error, "%s: %s", what, strerror(-err));
}

/* 0 or -ENOMEM; prints the user's mistakes. */
static int conclude_subjects(struct parsing *parsing)
{
	struct subjects *subjects;
	struct subject_error error = {0};
	int err = subjects_new(&parsing->settings.subjects);

	if (err)
		return err;
	subjects = parsing->settings.subjects;
	if (!parsing->generate != !parsing->suffix)
		option_wrong(&parsing->error, "--generate and --suffix go together");
	for (size_t i = 0; !err && i < parsing->names.count; i++) {
		err = subjects_add(subjects, parsing->names.items[i], NULL, &error);
		if (err)
			tell_subject(parsing, parsing->names.items[i], err, &error);
	}
	for (size_t i = 0; !err && i < parsing->files.count; i++) {
		err = subjects_add_file(subjects, parsing->files.items[i], &error);
		if (err)
			tell_subject(parsing, parsing->files.items[i], err, &error);
	}
	error.line = 0;
	if (!err && !parsing->error.text[0] && parsing->generate) {
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
		option_wrong(&parsing->error,
			     "no name is given: --name, --names or --generate say which");
	return err == -ENOMEM ? err : 0;
}

static int conclude_routes(struct parsing *parsing)
{
	struct settings *settings = &parsing->settings;
	int err;

	if (!parsing->destination_count) {
		option_wrong(&parsing->error,
			     "no address is given: there is no default, name the server's own");
		return 0;
	}
	err = routes_make(&settings->routes, &settings->route_count, parsing->destinations,
			  parsing->destination_count, parsing->sources, parsing->source_count);
	if (err == -EAFNOSUPPORT) {
		option_wrong(&parsing->error,
			     "a --source is of another family than all addresses to connect to");
		return 0;
	}
	return err;
}

static void conclude_load(struct parsing *parsing)
{
	struct settings *settings = &parsing->settings;

	if (settings->rate && parsing->concurrency)
		option_wrong(&parsing->error,
			     "--rate (open loop) and --concurrency (closed loop) exclude each "
			     "other");
	settings->poisson = parsing->arrivals == ARRIVALS_POISSON;
	if (settings->rate > settings->max_rate)
		option_wrong(
			&parsing->error,
			"--rate %g is over the limit of %g a second; if the server is yours, raise it "
			"by --max-rate %g",
			settings->rate, settings->max_rate, settings->rate);
	if (settings->poisson && !settings->rate)
		option_wrong(&parsing->error, "--arrivals needs the open loop of --rate");
	settings->max_open = (unsigned int)parsing->max_open;
	settings->threads = (unsigned int)parsing->threads;
	settings->concurrency = parsing->concurrency ? (unsigned int)parsing->concurrency : 1;
	if (!settings->rate && settings->concurrency > settings->max_open)
		option_wrong(&parsing->error, "--concurrency %u is over --max-open %u",
			     settings->concurrency, settings->max_open);
	if (settings->threads > (settings->rate ? settings->max_open : settings->concurrency))
		option_wrong(&parsing->error,
			     "there are more --threads than connections at a time");
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
	if (parsing->error.text[0])
		return SETTINGS_WRONG;
	if (parsing->help || parsing->help_man) {
		(parsing->help ? option_print_help : option_print_man)(&page, stdout);
		return SETTINGS_SHOWN;
	}
	if (parsing->version) {
		puts(PROGRAM " " SIDESTEP_VERSION);
		return SETTINGS_SHOWN;
	}
	/* The address first: without it nothing else is worth reading. */
	if (conclude_routes(parsing) || (!parsing->error.text[0] && conclude_subjects(parsing)))
		return SETTINGS_NO_MEMORY;
	if (!parsing->error.text[0])
		conclude_load(parsing);
	return parsing->error.text[0] ? SETTINGS_WRONG : SETTINGS_RUN;
}

enum settings_result settings_parse(struct settings *ret_settings, int argc, char **argv)
{
	size_t room = (size_t)argc + 1;
	struct parsing parsing = {
		.settings.max_rate = DEFAULT_RATE_LIMIT,
		.names.items = calloc(room, sizeof(*parsing.names.items)),
		.files.items = calloc(room, sizeof(*parsing.files.items)),
		.destinations = calloc(room, sizeof(*parsing.destinations)),
		.sources = calloc(room, sizeof(*parsing.sources)),
		.timeout_s = DEFAULT_TIMEOUT_S,
		.max_open = DEFAULT_OPEN_LIMIT,
		.threads = 1,
	};
	enum settings_result result = SETTINGS_NO_MEMORY;

	if (parsing.names.items && parsing.files.items && parsing.destinations && parsing.sources) {
		take_arguments(&parsing, argc, argv);
		result = conclude(&parsing);
		if (parsing.error.text[0])
			fprintf(stderr, PROGRAM ": %s; see --help\n", parsing.error.text);
	}
	free(parsing.names.items);
	free(parsing.files.items);
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
