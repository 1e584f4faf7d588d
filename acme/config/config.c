// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/config/config.h"

#include <errno.h>
#include <glob.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acme/config/ini.h"
#include "acme/util/name.h"
#include "acme/util/token_bucket.h"
#include "acme/util/failure.h"
#include "acme/crypto/key.h"
#include "common/paths.h"

#define FILES_MAX    1000
#define DOMAINS_FILE "domains.txt" /* beside sidestep.conf */

struct config {
	struct config_section defaults;
	struct config_section *sections;
	size_t count;
	char **files; /* that were read */
	size_t file_count;
	char **texts; /* what the sections point to */
	size_t text_count;
};

/* --- which setting belongs where -------------------------------------------------------------------- */

static const struct {
	const char *word; /* what a section's name begins with */
	bool has_label;
} kinds[CONFIG_KINDS] = {
	[CONFIG_SIDESTEP] = {"sidestep", false},
	[CONFIG_CA] = {"ca", true},
	[CONFIG_CERTIFICATE] = {"certificate", true},
	[CONFIG_DOMAINS] = {"domains", true},
};

#define IN(kind)     (1u << (kind))
#define EVERY        (IN(CONFIG_SIDESTEP) | IN(CONFIG_CERTIFICATE) | IN(CONFIG_DOMAINS))
#define FIELD(field) offsetof(struct config_section, field)

enum setting_form {
	FORM_TEXT, /* const char * */
	FORM_WORDS, /* struct string_list, with blanks between */
	FORM_NAMES, /* the same, with blanks or commas between */
	FORM_FLAG, /* enum setting_flag: yes or no */
};

static bool is_list(enum setting_form form)
{
	return form == FORM_WORDS || form == FORM_NAMES;
}

#define ONLY_CA                              IN(CONFIG_CA)
#define ALSO_DEFAULT                         (IN(CONFIG_CA) | IN(CONFIG_SIDESTEP))
#define ALSO_ANYWHERE                        (IN(CONFIG_CA) | EVERY)
#define CA_ROW(kind, member, name, sections) {name, sections, FORM_##kind, FIELD(ca.member)},
#define CERTIFICATE_ROW(kind, member, name, ...) \
	{name, EVERY, FORM_##kind, FIELD(certificate.member)},

static const struct {
	const char *name;
	unsigned int kinds; /* of sections that take it */
	enum setting_form form;
	size_t field; /* offset in struct config_section */
} settings[] = {
	{"server", IN(CONFIG_CA), FORM_TEXT, FIELD(server)},
	{"orders-limit", IN(CONFIG_CA), FORM_TEXT, FIELD(orders_limit)},
	{"domain-limit", IN(CONFIG_CA), FORM_TEXT, FIELD(domain_limit)},
	{"set-limit", IN(CONFIG_CA), FORM_TEXT, FIELD(set_limit)},
	{"ca", EVERY, FORM_WORDS, FIELD(cas)},
	{"names", IN(CONFIG_CERTIFICATE), FORM_NAMES, FIELD(names)},
	{"cert-name", IN(CONFIG_CERTIFICATE), FORM_TEXT, FIELD(cert_name)},
	{"file", IN(CONFIG_DOMAINS), FORM_TEXT, FIELD(file)},
	{"tenant", IN(CONFIG_CERTIFICATE) | IN(CONFIG_DOMAINS), FORM_TEXT, FIELD(tenant)},
	{"resolver", IN(CONFIG_SIDESTEP), FORM_TEXT, FIELD(resolver)},
	/* clang-format off */
	CA_SETTINGS(CA_ROW)
	CERTIFICATE_SETTINGS(CERTIFICATE_ROW)
	/* clang-format on */
};

#define SETTING_COUNT (sizeof(settings) / sizeof(*settings))

/* --- texts and sections ------------------------------------------------------------------------- */

/* Let the configuration own a string.  Returns it; NULL: `text` is NULL, or out of memory. */
static const char *keep(struct config *config, char *text)
{
	char **texts;

	if (!text)
		return NULL;
	texts = reallocarray(config->texts, config->text_count + 1, sizeof(*texts));
	if (!texts) {
		free(text);
		return NULL;
	}
	config->texts = texts;
	texts[config->text_count++] = text;
	return text;
}

static int add_file(struct config *config, const char *path)
{
	char **files = reallocarray(config->files, config->file_count + 1, sizeof(*files));

	if (!files)
		return -ENOMEM;
	config->files = files;
	files[config->file_count] = strdup(path);
	return files[config->file_count++] ? 0 : -ENOMEM;
}

static struct config_section *find_section(struct config *config, enum config_kind kind,
					   const char *label)
{
	size_t i;

	if (kind == CONFIG_SIDESTEP)
		return &config->defaults;
	for (i = 0; i < config->count; i++)
		if (config->sections[i].kind == kind &&
		    strcmp(config->sections[i].label, label) == 0)
			return &config->sections[i];
	return NULL;
}

static struct config_section *add_section(struct config *config, enum config_kind kind,
					  const char *label)
{
	struct config_section *sections =
		reallocarray(config->sections, config->count + 1, sizeof(*sections));
	struct config_section *section;

	if (!sections)
		return NULL;
	config->sections = sections;
	section = &sections[config->count];
	*section = (struct config_section){.kind = kind, .label = keep(config, strdup(label))};
	if (!section->label)
		return NULL;
	config->count++;
	return section;
}

static void section_done(struct config_section *section)
{
	string_list_done(&section->cas);
	string_list_done(&section->names);
}

/* --- one file ----------------------------------------------------------------------------------- */

struct reading {
	struct config *config;
	const char *path;
	const struct ini_setting *setting; /* the one to take */
	struct failure *failure;
};

static void __attribute__((format(printf, 3, 4)))
fail(struct reading *reading, const char *next_step, const char *format, ...)
{
	char cause[512];
	va_list list;

	va_start(list, format);
	vsnprintf(cause, sizeof(cause), format, list);
	va_end(list);
	failure_set(reading->failure, next_step, "%s:%u: %s", reading->path, reading->setting->line,
		    cause);
}

static void fail_for_memory(struct reading *reading)
{
	failure_set_errno(reading->failure, ENOMEM, "reading %s", reading->path);
}

/* Find or add the section that the setting is in.  NULL: the failure says why. */
static struct config_section *enter(struct reading *reading)
{
	const char *name = reading->setting->section;
	size_t length = strcspn(name, " \t");
	const char *label = name + length + strspn(name + length, " \t");
	struct config_section *section;
	enum config_kind kind;
	char *place;

	for (kind = 0; kind < CONFIG_KINDS; kind++)
		if (strlen(kinds[kind].word) == length &&
		    memcmp(kinds[kind].word, name, length) == 0 &&
		    kinds[kind].has_label == (*label != '\0'))
			break;
	if (kind == CONFIG_KINDS) {
		fail(reading,
		     "sections are [sidestep], [ca NAME], [certificate NAME] and [domains NAME]",
		     *name ? "there is no section like [%s]"
			   : "a section is missing before this setting%s",
		     name);
		return NULL;
	}
	section = find_section(reading->config, kind, label);
	if (!section)
		section = add_section(reading->config, kind, label);
	if (section && !section->place &&
	    asprintf(&place, "%s:%u", reading->path, reading->setting->line) >= 0)
		section->place = keep(reading->config, place);
	if (section && section->place)
		return section;
	fail_for_memory(reading);
	return NULL;
}

static void set_answer(struct reading *reading, enum setting_flag *answer, const char *value)
{
	static const char *const yes[] = {"yes", "true", "on", "1"};
	static const char *const no[] = {"no", "false", "off", "0"};
	size_t i;

	for (i = 0; i < sizeof(yes) / sizeof(*yes); i++) {
		if (strcmp(value, yes[i]) == 0)
			*answer = SETTING_YES;
		else if (strcmp(value, no[i]) == 0)
			*answer = SETTING_NO;
		else
			continue;
		return;
	}
	fail(reading, NULL, "%s takes yes or no, not '%s'", reading->setting->name, value);
}

/* Whether the section has it already. */
static bool is_said(const struct config_section *section, size_t setting)
{
	const void *field = (const char *)section + settings[setting].field;

	switch (settings[setting].form) {
	case FORM_FLAG:
		return *(const enum setting_flag *)field != SETTING_NOT_GIVEN;
	case FORM_WORDS:
	case FORM_NAMES:
		return ((const struct string_list *)field)->count > 0;
	default:
		return *(const char *const *)field != NULL;
	}
}

static void set(struct reading *reading, struct config_section *section, size_t setting)
{
	void *field = (char *)section + settings[setting].field;
	const char *value = reading->setting->value;
	enum setting_form form = settings[setting].form;

	if (is_said(section, setting) && !(is_list(form) && reading->setting->is_continued)) {
		fail(reading, "remove one of them; an indented line continues the setting above it",
		     "the section has this setting already: %s", settings[setting].name);
	} else if (form == FORM_FLAG) {
		set_answer(reading, field, value);
	} else if (!*value) {
		fail(reading, "give it a value, or remove the line", "the setting %s has no value",
		     settings[setting].name);
	} else if (is_list(form)) {
		if (string_list_split(field, value, form == FORM_NAMES ? " \t," : " \t"))
			fail_for_memory(reading);
	} else {
		*(const char **)field = keep(reading->config, strdup(value));
		if (!*(const char **)field)
			fail_for_memory(reading);
	}
}

/* A setting, or one more line of it.  0, or -1: the failure says why. */
static int on_setting(void *context, const struct ini_setting *ini_setting)
{
	struct reading *reading = context;
	struct config_section *section;
	size_t setting;

	reading->setting = ini_setting;
	section = enter(reading);
	if (!section)
		return -1;
	for (setting = 0; setting < SETTING_COUNT; setting++)
		if (strcmp(settings[setting].name, ini_setting->name) == 0)
			break;
	if (setting == SETTING_COUNT)
		fail(reading, "`man sidestep.conf` lists all settings", "there is no setting '%s'",
		     ini_setting->name);
	else if (!(settings[setting].kinds & IN(section->kind)))
		fail(reading, "`man sidestep.conf` says where it belongs",
		     "the setting %s does not belong in a [%s] section", ini_setting->name,
		     kinds[section->kind].word);
	else
		set(reading, section, setting);
	return failure_is_set(reading->failure) ? -1 : 0;
}

/* -1: the failure says why. */
static int read_file(struct config *config, const char *path, struct failure *failure)
{
	struct reading reading = {.config = config, .path = path, .failure = failure};
	struct ini_error wrong;
	FILE *file;
	int err;

	if (add_file(config, path)) {
		failure_set_errno(failure, ENOMEM, "reading %s", path);
		return -1;
	}
	file = fopen(path, "re");
	if (!file) {
		failure_set_errno(failure, errno, "cannot read the configuration %s", path);
		return -1;
	}
	err = ini_read(file, on_setting, &reading, &wrong);
	if (err == -EBADMSG)
		failure_set(failure, "write a setting as name = value, a section as [name]",
			    "%s:%u: %s", path, wrong.line, wrong.cause);
	else if (err)
		failure_set_errno(failure, -err, "reading %s", path);
	fclose(file);
	return failure_is_set(failure) ? -1 : 0;
}

/* --- all files ---------------------------------------------------------------------------------- */

static void read_directory(struct config *config, const char *pattern, struct failure *failure)
{
	glob_t found = {0};
	size_t i;

	/* Sorted by bytes: the program sets no locale. */
	if (glob(pattern, 0, NULL, &found) == GLOB_NOSPACE)
		failure_set_errno(failure, ENOMEM, "looking for %s", pattern);
	if (found.gl_pathc > FILES_MAX)
		failure_set(
			failure,
			"put long lists of names into a file, and name it in a [domains] section",
			"%s: more than %d files", pattern, FILES_MAX);
	for (i = 0; i < found.gl_pathc && !failure_is_set(failure); i++)
		read_file(config, found.gl_pathv[i], failure);
	globfree(&found);
}

/* --- checks ----------------------------------------------------------------------------------------- */

static void check_limit(const struct config_section *section, const char *text,
			struct failure *failure)
{
	struct token_bucket bucket;

	if (text && !token_bucket_parse(&bucket, text))
		failure_set(failure, "write a limit as 300/3h (s, m, h, d or w), or none",
			    "%s: '%s' is not a limit", section->place, text);
}

/* What a section needs, and what can be checked without the other sections. */
static void check_section(const struct config_section *section, struct failure *failure)
{
	const char *missing = NULL;
	enum key_type type;

	if (section->kind == CONFIG_CA && !section->server)
		missing = "server";
	else if (section->kind == CONFIG_CERTIFICATE && !section->names.count)
		missing = "names";
	else if (section->kind == CONFIG_DOMAINS && !section->file)
		missing = "file";
	if (missing)
		failure_set(failure, NULL, "%s: the section [%s %s] needs the setting '%s'",
			    section->place, kinds[section->kind].word, section->label, missing);
	if (section->certificate.key_type && key_type_parse(&type, section->certificate.key_type))
		failure_set(failure, KEY_TYPE_NAMES, "%s: there is no key type '%s'",
			    section->place, section->certificate.key_type);
	if (section->ca.account && !account_name_is_valid(section->ca.account))
		failure_set(failure, "use letters, digits, hyphens and underscores",
			    "%s: an account cannot be called '%s'", section->place,
			    section->ca.account);
	check_limit(section, section->orders_limit, failure);
	check_limit(section, section->domain_limit, failure);
	check_limit(section, section->set_limit, failure);
	if (!section->ca.eab_kid != !section->ca.eab_hmac_key_file)
		failure_set(failure, NULL,
			    "%s: eab-kid and eab-hmac-key-file go together in [%s %s]",
			    section->place, kinds[section->kind].word, section->label);
}

/* --- the whole configuration ------------------------------------------------------------------------ */

/* The list that needs no section. */
static void add_default_list(struct config *config, const char *path, struct failure *failure)
{
	struct config_section *section;

	if (access(path, F_OK))
		return;
	section = add_section(config, CONFIG_DOMAINS, "");
	if (section)
		section->place = section->file = keep(config, strdup(path));
	if (!section || !section->file)
		failure_set_errno(failure, ENOMEM, "reading the configuration");
}

int config_read(struct config **ret_config, const struct paths *paths, struct failure *failure)
{
	struct config *config = calloc(1, sizeof(*config));
	char path[PATHS_MAX + sizeof("/sidestep.conf")];
	size_t i;

	if (!config) {
		failure_set_errno(failure, ENOMEM, "reading the configuration");
		return -1;
	}
	config->defaults.label = "";
	/* As a pattern, because it is optional. */
	snprintf(path, sizeof(path), "%s/sidestep.conf", paths->conf);
	read_directory(config, path, failure);
	snprintf(path, sizeof(path), "%s/conf.d/*.conf", paths->conf);
	read_directory(config, path, failure);
	snprintf(path, sizeof(path), "%s/" DOMAINS_FILE, paths->conf);
	add_default_list(config, path, failure);
	check_section(&config->defaults, failure);
	for (i = 0; i < config->count; i++)
		check_section(&config->sections[i], failure);
	if (failure_is_set(failure)) {
		config_free(config);
		return -1;
	}
	*ret_config = config;
	return 0;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	while (config->text_count)
		free(config->texts[--config->text_count]);
	while (config->file_count)
		free(config->files[--config->file_count]);
	section_done(&config->defaults);
	while (config->count)
		section_done(&config->sections[--config->count]);
	free(config->texts);
	free(config->files);
	free(config->sections);
	free(config);
}

const struct config_section *config_defaults(const struct config *config)
{
	return &config->defaults;
}

const struct config_section *config_section(const struct config *config, size_t index)
{
	return index < config->count ? &config->sections[index] : NULL;
}

const struct config_section *config_ca(const struct config *config, const char *name)
{
	const struct config_section *section;
	size_t i;

	for (i = 0; (section = config_section(config, i)); i++)
		if (section->kind == CONFIG_CA &&
		    (strcmp(section->label, name) == 0 || strcmp(section->server, name) == 0))
			return section;
	return NULL;
}

static void print_stamp(FILE *out, const char *path)
{
	struct stat status = {0};

	/* A file that is missing has a stamp, too. */
	if (stat(path, &status))
		status.st_size = -1;
	fprintf(out, "%s %lld %llu %lld.%09ld\n", path, (long long)status.st_size,
		(unsigned long long)status.st_ino, (long long)status.st_mtim.tv_sec,
		status.st_mtim.tv_nsec);
}

char *config_fingerprint(const struct config *config)
{
	char *text = NULL;
	size_t size, i;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (i = 0; i < config->file_count; i++)
		print_stamp(out, config->files[i]);
	for (i = 0; i < config->count; i++)
		if (config->sections[i].file)
			print_stamp(out, config->sections[i].file);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}
