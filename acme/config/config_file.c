// SPDX-License-Identifier: GPL-3.0-or-later
/* Reads one file of the configuration: which setting belongs where, and what its values look like. */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "acme/config/config_internal.h"
#include "acme/config/ini.h"
#include "acme/config/relative.h"
#include "acme/util/failure.h"

/* --- which setting belongs where -------------------------------------------------------------------- */

static const char *const words[CONFIG_KINDS] = {
	[CONFIG_SIDESTEP] = "sidestep",
	[CONFIG_CA] = "ca",
	[CONFIG_CERTIFICATE] = "certificate",
	[CONFIG_DOMAINS] = "domains",
};

const char *config_kind_word(enum config_kind kind)
{
	return words[kind];
}

#define IN(kind)     (1u << (kind))
#define EVERY        (IN(CONFIG_SIDESTEP) | IN(CONFIG_CERTIFICATE) | IN(CONFIG_DOMAINS))
#define FIELD(field) offsetof(struct config_section, field)

enum setting_form {
	FORM_TEXT, /* const char * */
	FORM_PATH, /* the same: of a file */
	FORM_COMMAND, /* the same: for the shell */
	FORM_WORDS, /* struct string_list, with blanks between */
	FORM_NAMES, /* the same, with blanks or commas between */
	FORM_FLAG, /* enum setting_flag: yes or no */
};

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
	{"file", IN(CONFIG_DOMAINS), FORM_PATH, FIELD(file)},
	{"tenant", IN(CONFIG_CERTIFICATE) | IN(CONFIG_DOMAINS), FORM_TEXT, FIELD(tenant)},
	{"resolver", IN(CONFIG_SIDESTEP), FORM_TEXT, FIELD(resolver)},
	{"notify", IN(CONFIG_SIDESTEP), FORM_COMMAND, FIELD(notify)},
	{"preflight", IN(CONFIG_SIDESTEP), FORM_FLAG, FIELD(preflight)},
	{"hook-timeout", IN(CONFIG_SIDESTEP), FORM_TEXT, FIELD(hook_timeout)},
	{"keep-generations", IN(CONFIG_SIDESTEP), FORM_TEXT, FIELD(keep_generations)},
	{"keep-days", IN(CONFIG_SIDESTEP), FORM_TEXT, FIELD(keep_days)},
	/* clang-format off */
	CA_SETTINGS(CA_ROW)
	CERTIFICATE_SETTINGS(CERTIFICATE_ROW)
	/* clang-format on */
};

#define SETTING_COUNT (sizeof(settings) / sizeof(*settings))

static size_t find_setting(const char *name)
{
	size_t setting;

	for (setting = 0; setting < SETTING_COUNT; setting++)
		if (strcmp(settings[setting].name, name) == 0)
			break;
	return setting;
}

static enum setting_form form_of(size_t setting)
{
	return settings[setting].field == FIELD(certificate.deploy_hook) ? FORM_COMMAND
									 : settings[setting].form;
}

static bool is_list(size_t setting)
{
	return settings[setting].form == FORM_WORDS || settings[setting].form == FORM_NAMES;
}

const char *config_place(const struct config_section *section, const char *setting)
{
	size_t index = find_setting(setting);

	return section->places && index < SETTING_COUNT && section->places[index]
		       ? section->places[index]
		       : section->place;
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

/* FILE:LINE of the setting under way, the configuration's; NULL: the failure says why. */
static const char *place_of(struct reading *reading)
{
	const char *place = NULL;
	char *text;

	if (asprintf(&text, "%s:%u", reading->path, reading->setting->line) >= 0)
		place = config_keep(reading->config, text);
	if (!place)
		fail_for_memory(reading);
	return place;
}

/* Find or add the section that the setting is in.  NULL: the failure says why. */
static struct config_section *enter(struct reading *reading)
{
	const char *name = reading->setting->section;
	size_t length = strcspn(name, " \t");
	const char *label = name + length + strspn(name + length, " \t");
	struct config_section *section;
	enum config_kind kind;

	for (kind = 0; kind < CONFIG_KINDS; kind++)
		if (strlen(words[kind]) == length && memcmp(words[kind], name, length) == 0 &&
		    (kind != CONFIG_SIDESTEP) == (*label != '\0'))
			break;
	if (kind == CONFIG_KINDS) {
		fail(reading,
		     "sections are [sidestep], [ca NAME], [certificate NAME] and [domains NAME]",
		     *name ? "there is no section like [%s]"
			   : "a section is missing before this setting%s",
		     name);
		return NULL;
	}
	section = config_enter(reading->config, kind, label);
	if (section && !section->places)
		section->places = calloc(SETTING_COUNT, sizeof(*section->places));
	if (section && section->places)
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

static void set_text(struct reading *reading, size_t setting, const char **field, const char *value)
{
	const char *slash = strrchr(reading->path, '/');
	char *directory = slash ? strndup(reading->path, (size_t)(slash - reading->path)) : NULL;
	char *text = NULL;

	if (directory && form_of(setting) == FORM_PATH)
		text = relative_path(directory, value);
	else if (directory && form_of(setting) == FORM_COMMAND)
		text = relative_command(directory, value);
	else if (directory)
		text = strdup(value);
	*field = config_keep(reading->config, text);
	free(directory);
	if (!*field)
		fail_for_memory(reading);
}

/* Where the value has what looks like a comment.  A command may well have a ';'. */
static const char *find_comment(size_t setting, const char *value)
{
	const char *signs = is_list(setting) ? ";#" : ";";
	const char *at;

	if (form_of(setting) == FORM_COMMAND)
		return NULL;
	for (at = value; *at; at++)
		if (strchr(signs, *at) && (at == value || at[-1] == ' ' || at[-1] == '\t'))
			return at;
	return NULL;
}

static void set(struct reading *reading, struct config_section *section, size_t setting)
{
	void *field = (char *)section + settings[setting].field;
	const char *value = reading->setting->value;
	const char *comment = find_comment(setting, value);
	enum setting_form form = form_of(setting);

	if (section->places[setting] && !(is_list(setting) && reading->setting->is_continued))
		fail(reading, "remove one of them; an indented line continues the setting above it",
		     "the section has this setting already: %s", settings[setting].name);
	else if (comment)
		fail(reading, "put the comment on a line of its own",
		     "a value goes to the end of its line, and '%s' is no part of one", comment);
	else if (!*value && form != FORM_FLAG)
		fail(reading, "give it a value, or remove the line", "the setting %s has no value",
		     settings[setting].name);
	else if (form == FORM_FLAG)
		set_answer(reading, field, value);
	else if (!is_list(setting))
		set_text(reading, setting, field, value);
	else if (string_list_split(field, value, form == FORM_NAMES ? " \t," : " \t"))
		fail_for_memory(reading);
	if (!section->places[setting])
		section->places[setting] = place_of(reading);
	if (!section->place)
		section->place = section->places[setting];
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
	setting = find_setting(ini_setting->name);
	if (setting == SETTING_COUNT)
		fail(reading, "`man sidestep.conf` lists all settings", "there is no setting '%s'",
		     ini_setting->name);
	else if (!(settings[setting].kinds & IN(section->kind)))
		fail(reading, "`man sidestep.conf` says where it belongs",
		     "the setting %s does not belong in a [%s] section", ini_setting->name,
		     words[section->kind]);
	else
		set(reading, section, setting);
	return failure_is_set(reading->failure) ? -1 : 0;
}

/* NULL: `errno` says why. */
static FILE *open_file(struct config *config, const char *path)
{
	FILE *file = fopen(path, "re");
	struct stat status;

	if (!file)
		return NULL;
	errno = 0;
	if (fstat(fileno(file), &status) == 0 && S_ISDIR(status.st_mode))
		errno = EISDIR;
	if (!errno && config_stamp(config, path, &status))
		errno = ENOMEM;
	if (!errno)
		return file;
	fclose(file);
	return NULL;
}

int config_read_file(struct config *config, const char *path, struct failure *failure)
{
	struct reading reading = {.config = config, .path = path, .failure = failure};
	struct ini_error wrong;
	FILE *file = open_file(config, path);
	int err;

	if (!file) {
		failure_set_errno(failure, errno, "cannot read the configuration %s", path);
		return -1;
	}
	err = ini_read(file, on_setting, &reading, &wrong);
	if (err == -EBADMSG)
		failure_set(failure, "write a setting as name = value, a section as [name]",
			    "%s:%u: %s", path, wrong.line, wrong.cause);
	else if (err)
		failure_set_errno(failure, -err, "cannot read the configuration %s", path);
	fclose(file);
	return failure_is_set(failure) ? -1 : 0;
}
