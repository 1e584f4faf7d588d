// SPDX-License-Identifier: GPL-3.0-or-later
/* Configuration files and lists of names: what they mean, what is refused, what the state makes of them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/config/config.h"
#include "acme/config/domains_file.h"
#include "acme/util/failure.h"
#include "acme/renewal/dry_run.h"
#include "acme/store/state.h"
#include "acme/renewal/reconcile.h"
#include "common/identifier.h"
#include "tests/unit/fixture.h"

#define CA_PRODUCTION "https://acme-v02.api.letsencrypt.org/directory"
#define EXAMPLE       "https://ca.example/directory"

static char root[32];
static struct paths paths;

static int setup(void **state)
{
	(void)state;
	strcpy(root, "/tmp/sidestep-XXXXXX");
	if (!mkdtemp(root) || paths_init(&paths, root))
		return -1;
	free(fixture_run(NULL, "mkdir -p %s/conf.d %s", paths.conf, paths.state));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(fixture_run(NULL, "rm -rf %s", root));
	return 0;
}

static void put(const char *name, const char *text)
{
	char path[PATHS_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", paths.conf, name);
	fixture_write_file(path, text, strlen(text));
}

static struct config *read_config(void)
{
	struct failure failure = {0};
	struct config *config = NULL;

	if (config_read(&config, &paths, &failure))
		fail_msg("%s", failure.cause);
	return config;
}

static void assert_list(const struct string_list *list, const char *text)
{
	char *joined = string_list_join(list, ' ');

	assert_string_equal(joined, text);
	free(joined);
}

/* --- configuration files ---------------------------------------------------------------------- */

static void test_nothing(void **state)
{
	struct config *config = read_config();

	(void)state;
	assert_null(config_section(config, 0));
	assert_null(config_defaults(config)->ca.email);
	config_free(config);
}

static void test_everything(void **state)
{
	const struct config_section *section;
	struct config *config;

	(void)state;
	put("sidestep.conf", "# a comment\n[sidestep]\nemail = a@b.example\nagree-tos = yes\n"
			     "ca = private\n[ca private]\nserver = " EXAMPLE "\n"
			     "cacert = /etc/ssl/private-ca.pem\nagree-tos = no\n");
	put("conf.d/20.conf", "[certificate shop]\nnames = a.example,b.example\n"
			      "  ; the third\n  c.example\nreuse-key = on\nbundle = true\n");
	put("conf.d/10.conf", "[domains many]\nfile = /etc/many.txt\ntenant = many\n");
	put("conf.d/not-one.txt", "nonsense");
	config = read_config();
	assert_string_equal(config_defaults(config)->ca.email, "a@b.example");
	assert_int_equal(config_defaults(config)->ca.agree_tos, SETTING_YES);
	section = config_ca(config, "private");
	assert_ptr_equal(section, config_ca(config, EXAMPLE));
	assert_int_equal(section->ca.agree_tos, SETTING_NO);
	assert_ptr_equal(section, config_section(config, 0));
	/* In byte order of the files. */
	section = config_section(config, 1);
	assert_string_equal(section->file, "/etc/many.txt");
	assert_string_equal(section->tenant, "many");
	section = config_section(config, 2);
	assert_string_equal(section->label, "shop");
	assert_list(&section->names, "a.example b.example c.example");
	assert_int_equal(section->certificate.bundle, SETTING_YES);
	assert_non_null(strstr(section->place, "conf.d/20.conf:2"));
	assert_null(config_section(config, 3));
	assert_null(config_ca(config, "shop"));
	config_free(config);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *text, *cause;
	} cases[] = {
		{"[sidestep]\nemial = a\n", "sidestep.conf:2: there is no setting 'emial'"},
		{"email = a\n", "sidestep.conf:1: a section is missing"},
		{"[sidesteps]\nemail = a\n", "sidestep.conf:2: there is no section like"},
		{"[ca]\nserver = a\n", "there is no section like"},
		{"[sidestep x]\nemail = a\n", "there is no section like"},
		{"[sidestep]\nserver = " EXAMPLE "\n",
		 "the setting server does not belong in a [sidestep] section"},
		{"[sidestep]\nemail\n", "sidestep.conf:2: this is neither"},
		{"[sidestep]\nemail = a\nemail = b\n", "sidestep.conf:3: the section has this"},
		{"[sidestep]\nemail = a\n  b\n", "sidestep.conf:3: the section has this"},
		{"[sidestep]\nemail =\n", "sidestep.conf:2: the setting email has no value"},
		{"[sidestep]\nagree-tos = maybe\n", "takes yes or no, not 'maybe'"},
		{"[sidestep]\nkey-type = rsa1024\n", "no key type 'rsa1024'"},
		{"[sidestep]\naccount = ../x\n", "cannot be called '../x'"},
		{"[ca a]\nemail = b\n", "needs the setting 'server'"},
		{"[ca a]\nserver = " EXAMPLE "\neab-kid = k\n", "go together"},
		{"[ca a]\nserver = " EXAMPLE "\norders-limit = many\n", "'many' is not a limit"},
		{"[certificate a]\nreuse-key = yes\n", "needs the setting 'names'"},
		{"[domains a]\ntenant = b\n", "needs the setting 'file'"},
		{"[certificate a\nnames = a.example\n", "sidestep.conf:1: the section's name has"},
		{"[certificate a] names = a.example\n", "sidestep.conf:1: there is text behind"},
		{"[sidestep]\n = a\n", "sidestep.conf:2: the setting has no name"},
		{"[sidestep]\nemail = a\nrenew-before = 30 days\n",
		 "sidestep.conf:3: '30 days' is"},
		/* A comment behind a value is neither dropped nor taken for a part of it. */
		{"[sidestep]\nemail = a@b.example ; mine\n", "'; mine' is no part of one"},
		{"[sidestep]\nca = one\n  two # three\n", "sidestep.conf:3: a value goes to"},
		{"[sidestep]\nbundle = yes ; now\n", "'; now' is no part of one"},
		/* What is wrong with a setting names its own line. */
		{"[sidestep]\nemail = a\nkey-type = p1\n", "sidestep.conf:3: there is no key"},
		{"[sidestep]\nemail = a\naccount = /\n", "sidestep.conf:3: an account"},
		{"[ca a]\nserver = " EXAMPLE "\n\nset-limit = x\n", "sidestep.conf:4: 'x' is"},
		{"[ca a]\nserver = " EXAMPLE "\neab-kid = k\n", "sidestep.conf:3: eab-kid and"},
	};
	struct failure failure = {0};
	struct config *config;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		put("sidestep.conf", cases[i].text);
		assert_int_equal(config_read(&config, &paths, &failure), -1);
		if (!strstr(failure.cause, cases[i].cause))
			fail_msg("%s\n-- not: %s", failure.cause, cases[i].cause);
		failure_done(&failure);
	}
}

/* Neither lines nor names of sections are cut off, and lines are counted whatever their length. */
static void test_long_lines(void **state)
{
	static const size_t lengths[] = {197, 198, 199, 200, 255, 256, 4096, 100000};
	char name[254], *text = malloc(300000);
	const struct config_section *section;
	struct failure failure = {0};
	struct config *config;
	size_t i;

	(void)state;
	assert_non_null(text);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		sprintf(text, "# %0*d\n[certificate %s]\nnames = a.example\n  b%0*d.example\n",
			(int)lengths[i], 1, name, (int)lengths[i], 2);
		put("sidestep.conf", text);
		config = read_config();
		section = config_section(config, 0);
		assert_string_equal(section->label, name);
		assert_int_equal(section->names.count, 2);
		assert_int_equal(strlen(section->names.items[1]), lengths[i] + strlen("b.example"));
		assert_non_null(strstr(section->place, "sidestep.conf:3"));
		config_free(config);
		strcat(text, "key-tpye = p256\n");
		put("sidestep.conf", text);
		assert_int_equal(config_read(&config, &paths, &failure), -1);
		assert_non_null(strstr(failure.cause, "sidestep.conf:5: there is no setting"));
		failure_done(&failure);
	}
	free(text);
}

static void test_zero_byte(void **state)
{
	static const char text[] = "[sidestep]\nemail = a\0b@c.example\n";
	struct failure failure = {0};
	struct config *config;
	char path[PATHS_MAX + 64];

	(void)state;
	snprintf(path, sizeof(path), "%s/sidestep.conf", paths.conf);
	fixture_write_file(path, text, sizeof(text) - 1);
	assert_int_equal(config_read(&config, &paths, &failure), -1);
	assert_non_null(strstr(failure.cause, "sidestep.conf:2: there is a zero byte"));
	failure_done(&failure);
}

/* Blanks, comments and signs, as they may stand. */
static void test_spellings(void **state)
{
	struct config *config;

	(void)state;
	put("sidestep.conf", "\xef\xbb\xbf; with a byte order mark\r\n[sidestep] # all\r\n"
			     "  email:a@b.example \r\n\t; a comment\r\n"
			     "cacert = /etc/a;b.pem\r\nca=one\r\n\r\n  # not two\r\n  three\r\n"
			     "key-type =p384\t");
	config = read_config();
	assert_string_equal(config_defaults(config)->ca.email, "a@b.example");
	assert_string_equal(config_defaults(config)->ca.cacert, "/etc/a;b.pem");
	assert_list(&config_defaults(config)->cas, "one three");
	assert_string_equal(config_defaults(config)->certificate.key_type, "p384");
	config_free(config);
}

/*
 * Row B8.  Paths and programs begin at the file that names them.
 * Row A35.  A command is all of its line.
 */
static void test_relative(void **state)
{
	static const struct {
		const char *command, *expected; /* %s is the file's directory */
	} commands[] = {
		{"./reload.sh now ; sleep 1 # so", "%s/reload.sh now ; sleep 1 # so"},
		{"hooks/nginx", "%s/hooks/nginx"},
		{"../x", "%s/../x"},
		{"/usr/bin/true", "/usr/bin/true"},
		{"systemctl reload nginx", "systemctl reload nginx"},
		{"A=b/c true", "A=b/c true"},
		{"$HOME/x", "$HOME/x"},
		{"~/x", "~/x"},
	};
	char text[1024], expected[1024];
	struct config *config;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		snprintf(text, sizeof(text), "[sidestep]\ndeploy-hook = %s\n", commands[i].command);
		put("sidestep.conf", text);
		config = read_config();
		/* Not every expectation has the place in it. */
		strcpy(expected, commands[i].expected);
		if (strncmp(expected, "%s", 2) == 0)
			snprintf(expected, sizeof(expected), "%s%s", paths.conf,
				 commands[i].expected + 2);
		assert_string_equal(config_defaults(config)->certificate.deploy_hook, expected);
		config_free(config);
	}
	put("sidestep.conf", "[ca a]\nserver = " EXAMPLE "\ncacert = ./ca.pem\neab-kid = k\n"
			     "eab-hmac-key-file = key\n");
	put("conf.d/lists.conf", "[domains more]\nfile = ../more.txt\n");
	config = read_config();
	snprintf(expected, sizeof(expected), "%s/ca.pem", paths.conf);
	assert_string_equal(config_ca(config, "a")->ca.cacert, expected);
	snprintf(expected, sizeof(expected), "%s/key", paths.conf);
	assert_string_equal(config_ca(config, "a")->ca.eab_hmac_key_file, expected);
	snprintf(expected, sizeof(expected), "%s/conf.d/../more.txt", paths.conf);
	assert_string_equal(config_section(config, 1)->file, expected);
	config_free(config);
}

/* Row A22.  What is there and cannot be read is an error; it is not the same as nothing. */
static void test_unreadable(void **state)
{
	static const struct {
		const char *before, *after, *cause;
	} cases[] = {
		{"ln -s nowhere sidestep.conf", "rm sidestep.conf", "/sidestep.conf: No such file"},
		{"mkdir sidestep.conf", "rmdir sidestep.conf", "/sidestep.conf: Is a directory"},
		{"ln -s nowhere conf.d/a.conf", "rm conf.d/a.conf", "/conf.d/a.conf: No such file"},
		{"mv conf.d c && ln -s nowhere conf.d", "rm conf.d && mv c conf.d",
		 "/conf.d: No such file"},
		{"mv conf.d c && touch conf.d", "rm conf.d && mv c conf.d",
		 "/conf.d: Not a directory"},
	};
	struct failure failure = {0};
	struct config *config;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		free(fixture_run(NULL, "cd %s && %s", paths.conf, cases[i].before));
		assert_int_equal(config_read(&config, &paths, &failure), -1);
		if (!strstr(failure.cause, cases[i].cause))
			fail_msg("%s\n-- not: %s", failure.cause, cases[i].cause);
		failure_done(&failure);
		free(fixture_run(NULL, "cd %s && %s", paths.conf, cases[i].after));
	}
	config_free(read_config());
}

/* --- with the command line -------------------------------------------------------------------- */

static struct settings *load(const struct arguments *arguments)
{
	struct settings *settings = NULL;
	struct failure failure = {0};

	if (settings_load(&settings, arguments, &failure))
		fail_msg("%s", failure.cause);
	return settings;
}

static void test_settings(void **state)
{
	struct arguments arguments = {
		.paths = paths, .verb = VERB_CERTONLY, .ca.email = "cli@a.example"};
	struct settings *settings;
	struct ca_settings ca;

	(void)state;
	put("sidestep.conf",
	    "[sidestep]\nemail = a@b.example\nagree-tos = yes\nca = private letsencrypt\n"
	    "key-type = p384\ncacert = all.pem\n[ca private]\nserver = " EXAMPLE
	    "\nemail = c@d.example\naccount = shop\n");
	settings = load(&arguments);
	assert_string_equal(settings->server, EXAMPLE);
	assert_list(&settings->cas, EXAMPLE " https://acme-v02.api.letsencrypt.org/directory");
	assert_string_equal(settings->certificate.key_type, "p384");
	settings_of_ca(&ca, settings, EXAMPLE);
	assert_string_equal(ca.email, "cli@a.example");
	assert_string_equal(ca.account, "shop");
	assert_int_equal(strncmp(ca.cacert, paths.conf, strlen(paths.conf)), 0);
	assert_string_equal(ca.cacert + strlen(paths.conf), "/all.pem");
	assert_true(ca.agree_tos);
	settings_free(settings);
	arguments.ca.email = NULL;
	settings = load(&arguments);
	settings_of_ca(&ca, settings, EXAMPLE);
	assert_string_equal(ca.email, "c@d.example");
	settings_of_ca(&ca, settings, "https://other.example/directory");
	assert_string_equal(ca.email, "a@b.example");
	assert_null(ca.account);
	settings_free(settings);
}

/* The error for an unknown CA in [sidestep] names the file and the line. */
static void test_place_of_a_wrong_ca(void **state)
{
	const struct arguments arguments = {.paths = paths, .verb = VERB_RUN};
	struct failure failure = {0};
	struct settings *settings;

	(void)state;
	put("sidestep.conf", "# a comment\n[sidestep]\nemail = a@b.example\nca = tset\n");
	assert_int_equal(settings_load(&settings, &arguments, &failure), -1);
	assert_non_null(strstr(failure.cause, "sidestep.conf:4: no CA is called 'tset'"));
	failure_done(&failure);
}

/* The strongest place that gives a setting wins, also where it says no. */
static void test_precedence(void **state)
{
	struct arguments arguments = {.paths = paths,
				      .verb = VERB_CERTONLY,
				      .certificate.preferred_chain = "Root C",
				      .certificate.bundle = SETTING_YES};
	struct failure failure = {0};
	struct certificate_spec spec;
	struct settings *settings;

	(void)state;
	put("sidestep.conf", "[sidestep]\npreferred-chain = Root A\nbundle = no\nreuse-key = yes\n"
			     "deploy-hook = all\n"
			     "[certificate shop]\nnames = a.example\npreferred-chain = Root B\n"
			     "reuse-key = no\nca = letsencrypt-staging\n");
	settings = load(&arguments);
	assert_string_equal(settings->certificate.preferred_chain, "Root C");
	assert_true(settings->certificate.bundle && settings->certificate.reuse_key);
	assert_string_equal(settings->certificate.deploy_hook, "all");
	assert_null(settings->certificate.key_type);
	/* What certonly's command line says is not for other certificates. */
	assert_int_equal(
		settings_of_section(&spec, settings, config_section(settings->config, 0), &failure),
		0);
	assert_string_equal(spec.settings.preferred_chain, "Root B");
	assert_false(spec.settings.bundle || spec.settings.reuse_key);
	assert_string_equal(spec.settings.deploy_hook, "all");
	assert_list(&spec.cas, "https://acme-staging-v02.api.letsencrypt.org/directory");
	string_list_done(&spec.cas);
	settings_free(settings);
}

/* --dry-run: at the staging environment, unless another CA is named, and in a place of its own. */
static void test_dry_run(void **state)
{
	struct arguments arguments = {.paths = paths, .verb = VERB_CERTONLY, .dry_run = true};
	struct failure failure = {0};
	struct settings *settings;

	(void)state;
	settings = load(&arguments);
	assert_int_equal(dry_run_begin(settings, &failure), 0);
	assert_string_equal(settings->server, settings_staging(CA_PRODUCTION));
	assert_list(&settings->cas, settings->server);
	assert_string_not_equal(settings->server, CA_PRODUCTION);
	assert_non_null(strstr(settings->paths->state, "/var/lib/sidestep/dry-run"));
	assert_true(settings->force_renewal);
	settings_free(settings);
	arguments = (struct arguments){
		.paths = paths, .verb = VERB_CERTONLY, .dry_run = true, .server = EXAMPLE};
	settings = load(&arguments);
	assert_string_equal(settings->server, EXAMPLE);
	settings_free(settings);
}

static void test_servers(void **state)
{
	static const struct {
		const char *cas, *servers, *cause;
	} cases[] = {
		{NULL, "https://acme-v02.api.letsencrypt.org/directory", NULL},
		{"letsencrypt-staging", "https://acme-staging-v02.api.letsencrypt.org/directory",
		 NULL},
		{EXAMPLE " " EXAMPLE "2", EXAMPLE " " EXAMPLE "2", NULL},
		{"ca.example", NULL, "no CA is called 'ca.example'"},
		{"http://ca.example/", NULL, "HTTPS only"},
		{"ftp://ca.example/", NULL, "not the https:// URL"},
	};
	struct arguments arguments = {.paths = paths, .verb = VERB_CERTONLY};
	struct failure failure = {0};
	struct settings *settings;
	size_t i;
	int err;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		arguments.server = cases[i].cas;
		err = settings_load(&settings, &arguments, &failure);
		assert_int_equal(err, cases[i].servers ? 0 : -1);
		if (cases[i].servers)
			assert_list(&settings->cas, cases[i].servers);
		else
			assert_non_null(strstr(failure.cause, cases[i].cause));
		if (!err)
			settings_free(settings);
		failure_done(&failure);
	}
}

/* Known CAs need no section, or one without a URL, for the binding of the account, say. */
static void test_known_cas(void **state)
{
	struct arguments arguments = {
		.paths = paths, .verb = VERB_CERTONLY, .server = "google ssl.com actalis mine"};
	struct settings *settings;
	struct ca_settings ca;

	(void)state;
	put("key", "c2VjcmV0c2VjcmV0\n");
	put("sidestep.conf", "[ca google]\neab-kid = kid-1\neab-hmac-key-file = key\n"
			     "[ca mine]\nserver = zerossl\n");
	settings = load(&arguments);
	assert_list(&settings->cas,
		    "https://dv.acme-v02.api.pki.goog/directory https://acme.ssl.com/sslcom-dv-ecc "
		    "https://acme-api.actalis.com/acme/directory https://acme.zerossl.com/v2/DV90");
	settings_of_ca(&ca, settings, "https://dv.acme-v02.api.pki.goog/directory");
	assert_string_equal(ca.eab_kid, "kid-1");
	assert_string_equal(settings_staging(settings->server),
			    "https://dv.acme-v02.test-api.pki.goog/directory");
	assert_true(settings_is_staging("https://dv.acme-v02.test-api.pki.goog/directory"));
	assert_false(settings_is_staging(settings->server));
	settings_free(settings);
}

/* --- lists ------------------------------------------------------------------------------------ */

static char told[1024]; /* lines and complaints, as they came */

static void tell(const char *format, ...)
{
	size_t used = strlen(told);
	va_list list;

	va_start(list, format);
	vsnprintf(told + used, sizeof(told) - used, format, list);
	va_end(list);
}

static void tell_line(unsigned int number, const struct domains_file_line *line)
{
	size_t i;

	tell("%u:", number);
	for (i = 0; i < line->name_count; i++)
		tell(" %s", line->names[i].value);
	tell(" > %s\n", line->cert_name);
}

static int read_domains(const char *text, size_t size)
{
	struct domains_file *file = domains_file_new(fmemopen((void *)text, size, "r"));
	struct domains_file_text line_text;
	struct domains_file_line line;
	struct failure failure = {0};
	int result;

	assert_non_null(file);
	told[0] = '\0';
	while ((result = domains_file_next(file, &line_text)) > 0) {
		if (domains_file_parse(file, &line, &failure))
			tell("%u! %.40s\n", line_text.number, failure.cause);
		else
			tell_line(line_text.number, &line);
		failure_done(&failure);
	}
	domains_file_free(file);
	return result;
}

static void test_domains(void **state)
{
	static const char text[] =
		"# mine\n\n  a.example WWW.a.example a.example\n\t# indented\n"
		"b.example>shop\nc.example d.example > two words\n*.e.example\n> f\n"
		"g.example > ../g\n192.0.2.1 2001:db8::1\nb\xc3\xbc"
		"cher.example\n"
		"xn--bcher-kva.example\nxn--i-7iq.ws\nh.example\r\ni.example";

	(void)state;
	assert_int_equal(read_domains(text, sizeof(text) - 1), 0);
	assert_string_equal(told, "3: a.example www.a.example > a.example\n"
				  "5: b.example > shop\n"
				  "6! one word must follow '>': the certificat\n"
				  "7! '*.e.example': TLS-ALPN-01 cannot valida\n"
				  "8! there is no name before '>'\n"
				  "9! one word must follow '>': the certificat\n"
				  "10: 192.0.2.1 2001:db8::1 > 192.0.2.1\n"
				  "11: xn--bcher-kva.example > xn--bcher-kva.example\n"
				  "12: xn--bcher-kva.example > xn--bcher-kva.example\n"
				  "13: xn--i-7iq.ws > xn--i-7iq.ws\n"
				  "14: h.example > h.example\n"
				  "15: i.example > i.example\n");
	assert_int_equal(read_domains("a.example\0b.example\nc.example\n", 30), 0);
	assert_string_equal(told,
			    "1! there is a zero byte in the line\n2: c.example > c.example\n");
}

/* --- what the state makes of it --------------------------------------------------------------- */

static int list_lineage(void *context, const struct state_lineage *lineage)
{
	char *identifiers = string_list_join(&lineage->spec.identifiers, ' ');

	(void)context;
	tell("%s=%s%s%s%s\n", lineage->spec.name, identifiers,
	     lineage->spec.tenant && *lineage->spec.tenant ? " of " : "",
	     lineage->spec.tenant ? lineage->spec.tenant : "",
	     lineage->status == STATE_RETIRED ? " retired" : "");
	free(identifiers);
	return 0;
}

static int count_wanted(void *context, const struct state_lineage *lineage)
{
	*(int *)context += lineage->status != STATE_RETIRED;
	return 0;
}

static int wanted_count(struct state *state)
{
	int count = 0;

	assert_int_equal(state_lineages(state, count_wanted, &count), 0);
	return count;
}

/* Take the configuration, and say what the state knows then. */
static int take(struct state *state, struct failure *failure)
{
	const struct arguments arguments = {.paths = paths, .verb = VERB_RUN};
	struct settings *settings = load(&arguments);
	int result = reconcile(state, settings, failure);

	settings_free(settings);
	told[0] = '\0';
	assert_int_equal(state_lineages(state, list_lineage, NULL), 0);
	return result;
}

static void test_wanted(void **unused)
{
	struct failure failure = {0};
	struct state *state;
	char conf[PATHS_MAX + 128];

	(void)unused;
	assert_int_equal(state_open(&state, &paths, &failure), 0);
	snprintf(
		conf, sizeof(conf),
		"[certificate one]\nnames = a.example\n[domains more]\nfile = %s/more.txt\ntenant = t\n",
		paths.conf);
	put("sidestep.conf", conf);
	put("more.txt", "b.example c.example\nd.example > dee\n");
	put("domains.txt", "e.example\n");
	assert_int_equal(take(state, &failure), 0);
	assert_string_equal(told, "b.example=b.example c.example of t\ndee=d.example of t\n"
				  "e.example=e.example\none=a.example\n");
	/* Unchanged files are not read again: this one is not there any more for who would. */
	assert_int_equal(take(state, &failure), 0);

	/* All or nothing. */
	put("more.txt", "b.example\n*.example\nnew.example\n");
	assert_int_equal(take(state, &failure), -1);
	assert_non_null(strstr(failure.cause, "1 line of"));
	assert_string_equal(told, "b.example=b.example c.example of t\ndee=d.example of t\n"
				  "e.example=e.example\none=a.example\n");
	failure_done(&failure);
	put("more.txt", "b.example\nx.example > one\n");
	assert_int_equal(take(state, &failure), -1);
	failure_done(&failure);

	/* What is wanted no more is retired, and comes back. */
	put("more.txt", "b.example\n");
	assert_int_equal(take(state, &failure), 0);
	assert_string_equal(told, "b.example=b.example of t\ndee=d.example of t retired\n"
				  "e.example=e.example\none=a.example\n");
	put("more.txt", "d.example > dee\n");
	assert_int_equal(take(state, &failure), 0);
	assert_string_equal(told, "b.example=b.example of t retired\ndee=d.example of t\n"
				  "e.example=e.example\none=a.example\n");
	state_free(state);
}

/* Row A22.  A list that is cut short, or empty for a moment, retires no more than a few. */
static void test_many_are_gone(void **unused)
{
	struct arguments arguments = {.paths = paths, .verb = VERB_RUN};
	struct failure failure = {0};
	struct settings *settings;
	struct state *state;
	int64_t count;

	(void)unused;
	assert_int_equal(state_open(&state, &paths, &failure), 0);
	free(fixture_run(NULL, "seq -f 'n%%02g.example' 80 >%s/domains.txt", paths.conf));
	settings = load(&arguments);
	assert_int_equal(reconcile(state, settings, &failure), 0);
	settings_free(settings);
	/* A tenth. */
	free(fixture_run(NULL, "sed -i 1,8d %s/domains.txt", paths.conf));
	settings = load(&arguments);
	assert_int_equal(reconcile(state, settings, &failure), 0);
	settings_free(settings);
	free(fixture_run(NULL, "sed -i 1,8d %s/domains.txt", paths.conf));
	settings = load(&arguments);
	assert_int_equal(reconcile(state, settings, &failure), -1);
	assert_non_null(strstr(failure.cause, "8 of 72 certificates are no longer in"));
	assert_non_null(strstr(failure.cause, "(n09.example, n10.example, n11.example, ...)"));
	assert_non_null(strstr(failure.next_step, "--retire-many"));
	failure_done(&failure);
	settings_free(settings);
	assert_int_equal(wanted_count(state), 72);
	/* Away for a moment. */
	free(fixture_run(NULL, "mv %s/domains.txt %s/d", paths.conf, paths.conf));
	settings = load(&arguments);
	assert_int_equal(reconcile(state, settings, &failure), -1);
	failure_done(&failure);
	settings_free(settings);
	assert_int_equal(wanted_count(state), 72);
	arguments.retire_many = true;
	settings = load(&arguments);
	assert_int_equal(reconcile(state, settings, &failure), 0);
	settings_free(settings);
	assert_int_equal(wanted_count(state), 0);
	assert_int_equal(state_lineage_count(state, &count), 0);
	assert_int_equal(count, 80);
	state_free(state);
}

/* Names that are there twice, in each of the ways in which one or both may be known already. */
static void test_twice(void **unused)
{
	static const struct {
		const char *before, *after, *told;
	} cases[] = {
		{"a.example\n", "a.example\na.example\n", "known and the same"},
		{"a.example\n", "a.example\nb.example > a.example\n", "known, then other names"},
		{"a.example\n", "b.example > a.example\na.example\n", "other names, then known"},
		{"c.example\n", "c.example\na.example\nb.example > a.example\n", "both new"},
	};
	struct failure failure = {0};
	struct state *state;
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(state_open(&state, &paths, &failure), 0);
		put("domains.txt", cases[i].before);
		assert_int_equal(take(state, &failure), 0);
		put("domains.txt", cases[i].after);
		if (take(state, &failure) != -1 || !strstr(failure.cause, "1 line of"))
			fail_msg("%s: %s", cases[i].told, failure.cause);
		failure_done(&failure);
		state_free(state);
		free(fixture_run(NULL, "rm -f %s/state.db*", paths.state));
	}
}

/*
 * Thousands in any order, in steps of no time at all: what is written does not depend on where a step
 * ends, nor on a process that is killed between two, and a second reading changes one row.
 */
static void test_steps(void **unused)
{
	const struct arguments arguments = {.paths = paths, .verb = VERB_RUN};
	struct reconcile_report report;
	struct failure failure = {0};
	struct reconcile *steps;
	struct settings *settings;
	struct state *state;
	int result, written;

	(void)unused;
	assert_int_equal(state_open(&state, &paths, &failure), 0);
	free(fixture_run(NULL,
			 "seq -f 'n%%05g.example' 9000 | shuf --random-source=/dev/zero "
			 ">%s/domains.txt",
			 paths.conf));
	settings = load(&arguments);
	assert_int_equal(reconcile_new(&steps, state, settings, &failure), 0);
	for (written = 0; !written; written = wanted_count(state))
		assert_int_equal(reconcile_step(steps, 0, &failure), 1);
	assert_in_range(written, 1, 1000);
	reconcile_free(steps);
	assert_int_equal(reconcile_new(&steps, state, settings, &failure), 0);
	assert_non_null(steps);
	while ((result = reconcile_step(steps, 0, &failure)) > 0)
		;
	assert_int_equal(result, 0);
	reconcile_free(steps);
	assert_int_equal(wanted_count(state), 9000);
	settings_free(settings);

	free(fixture_run(NULL, "sed -i s/n00500.example/x.example/ %s/domains.txt", paths.conf));
	settings = load(&arguments);
	assert_int_equal(reconcile_new(&steps, state, settings, &failure), 0);
	while ((result = reconcile_step(steps, 1, &failure)) > 0)
		;
	assert_int_equal(result, 0);
	reconcile_report(steps, &report);
	assert_int_equal(report.certificates, 9000);
	assert_int_equal(report.changed, 1);
	assert_int_equal(report.retired, 1);
	reconcile_free(steps);
	assert_int_equal(reconcile_new(&steps, state, settings, &failure), 0);
	assert_null(steps);
	settings_free(settings);
	assert_int_equal(wanted_count(state), 9000);
	state_free(state);
}

static void test_list_missing(void **unused)
{
	struct failure failure = {0};
	struct state *state;

	(void)unused;
	assert_int_equal(state_open(&state, &paths, &failure), 0);
	put("sidestep.conf", "[domains gone]\nfile = /nowhere/at.all\n");
	assert_int_equal(take(state, &failure), -1);
	assert_non_null(strstr(failure.cause, "cannot read /nowhere/at.all"));
	failure_done(&failure);
	put("sidestep.conf", "[certificate a]\nbundle = no\nnames = a.example *.b.example\n");
	assert_int_equal(take(state, &failure), -1);
	assert_non_null(strstr(failure.cause, "sidestep.conf:3: '*.b.example': TLS-ALPN-01"));
	failure_done(&failure);
	state_free(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_everything, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_zero_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(test_spellings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_relative, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_settings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_precedence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_place_of_a_wrong_ca, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dry_run, setup, teardown),
		cmocka_unit_test_setup_teardown(test_servers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_known_cas, setup, teardown),
		cmocka_unit_test_setup_teardown(test_domains, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wanted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_are_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_steps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list_missing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
