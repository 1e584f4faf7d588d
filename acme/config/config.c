// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/config/config.h"
#include "acme/config/known_cas.h"

#include <dirent.h>
#include <errno.h>
#include <search.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acme/config/config_internal.h"
#include "acme/util/duration.h"
#include "acme/util/file.h"
#include "acme/util/name.h"
#include "acme/util/token_bucket.h"
#include "acme/util/failure.h"
#include "acme/crypto/key.h"
#include "common/paths.h"

#define FILES_MAX    1000
#define ENDING       ".conf"
#define DOMAINS_FILE "domains.txt" /* beside sidestep.conf */

/* Pointers in an array that grows. */
struct pointers {
	void **items;
	size_t count, room;
};

struct config {
	struct config_section defaults;
	struct pointers sections; /* in the order of the files */
	struct pointers cas; /* those of them that are a [ca] */
	struct pointers texts; /* what the sections point to */
	void *by_label; /* the sections, for tsearch(3) */
	FILE *stamps; /* writes the fingerprint; NULL: it is complete */
	char *fingerprint;
	size_t fingerprint_size;
};

/* --- texts and sections ------------------------------------------------------------------------- */

static int pointers_add(struct pointers *pointers, void *item)
{
	size_t room = pointers->room ? 2 * pointers->room : 64;
	void **items;

	if (pointers->count == pointers->room) {
		items = reallocarray(pointers->items, room, sizeof(*items));
		if (!items)
			return -ENOMEM;
		pointers->items = items;
		pointers->room = room;
	}
	pointers->items[pointers->count++] = item;
	return 0;
}

static void pointers_done(struct pointers *pointers, void (*free_item)(void *item))
{
	while (free_item && pointers->count)
		free_item(pointers->items[--pointers->count]);
	free(pointers->items);
}

const char *config_keep(struct config *config, char *text)
{
	if (!text || !pointers_add(&config->texts, text))
		return text;
	free(text);
	return NULL;
}

static int compare_sections(const void *a, const void *b)
{
	const struct config_section *one = a, *other = b;

	if (one->kind != other->kind)
		return one->kind < other->kind ? -1 : 1;
	return strcmp(one->label, other->label);
}

static void section_free(void *item)
{
	struct config_section *section = item;

	string_list_done(&section->cas);
	string_list_done(&section->names);
	free(section->places);
	free(section);
}

static struct config_section *add_section(struct config *config, enum config_kind kind,
					  const char *label)
{
	struct config_section *section = calloc(1, sizeof(*section));

	if (!section)
		return NULL;
	section->kind = kind;
	section->label = config_keep(config, strdup(label));
	if (!section->label || pointers_add(&config->sections, section)) {
		free(section);
		return NULL;
	}
	if ((kind == CONFIG_CA && pointers_add(&config->cas, section)) ||
	    !tsearch(section, &config->by_label, compare_sections))
		return NULL;
	return section;
}

struct config_section *config_enter(struct config *config, enum config_kind kind, const char *label)
{
	const struct config_section wanted = {.kind = kind, .label = label};
	void *found;

	if (kind == CONFIG_SIDESTEP)
		return &config->defaults;
	found = tfind(&wanted, &config->by_label, compare_sections);
	return found ? *(struct config_section **)found : add_section(config, kind, label);
}

/* --- how the files are -------------------------------------------------------------------------- */

int config_stamp(struct config *config, const char *path, const struct stat *status)
{
	int written;

	if (!status)
		written = fprintf(config->stamps, "%s -\n", path);
	else
		written = fprintf(config->stamps, "%s %lld %llu %lld.%09ld %lld.%09ld\n", path,
				  (long long)status->st_size, (unsigned long long)status->st_ino,
				  (long long)status->st_mtim.tv_sec, status->st_mtim.tv_nsec,
				  (long long)status->st_ctim.tv_sec, status->st_ctim.tv_nsec);
	return written < 0 ? -ENOMEM : 0;
}

/* Also those of the lists, before they are read: one that changes afterwards is read again. */
static void finish_stamps(struct config *config, struct failure *failure)
{
	const struct config_section *section;
	struct stat status;
	int err = 0;
	size_t i;

	for (i = 0; !err && (section = config_section(config, i)); i++)
		if (section->file)
			err = config_stamp(config, section->file,
					   stat(section->file, &status) ? NULL : &status);
	if (fclose(config->stamps) || err)
		failure_set_errno(failure, ENOMEM, "reading the configuration");
	config->stamps = NULL;
}

const char *config_fingerprint(const struct config *config)
{
	return config->fingerprint;
}

/* --- all files ---------------------------------------------------------------------------------- */

/*
 * Whether something has this name, be it a link that leads nowhere.  Only "there is none" means that
 * there is none: what cannot be looked at may be there.
 */
static bool exists(const char *path, struct failure *failure)
{
	struct stat status;

	if (lstat(path, &status) == 0)
		return true;
	if (errno != ENOENT)
		failure_set_errno(failure, errno, "cannot read the configuration %s", path);
	return false;
}

static int select_conf(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name), ending = strlen(ENDING);

	return entry->d_name[0] != '.' && length > ending &&
	       strcmp(entry->d_name + length - ending, ENDING) == 0;
}

static void read_directory(struct config *config, const char *directory, struct failure *failure)
{
	char path[2 * PATHS_MAX];
	size_t count, i;
	char **names;
	int err;

	if (!exists(directory, failure))
		return;
	/* file_list() takes a link that leads nowhere for an empty directory. */
	err = access(directory, F_OK) ? -errno : file_list(directory, select_conf, &names, &count);
	if (err) {
		failure_set_errno(failure, -err, "cannot read the configuration in %s", directory);
		return;
	}
	if (count > FILES_MAX)
		failure_set(
			failure,
			"put long lists of names into a file, and name it in a [domains] section",
			"%s: more than %d files", directory, FILES_MAX);
	for (i = 0; i < count && !failure_is_set(failure); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		config_read_file(config, path, failure);
	}
	file_list_free(names, count);
}

/* The list that needs no section. */
static void add_default_list(struct config *config, const char *path, struct failure *failure)
{
	struct config_section *section;

	if (!exists(path, failure))
		return;
	section = add_section(config, CONFIG_DOMAINS, "");
	if (section)
		section->place = section->file = config_keep(config, strdup(path));
	if (!section || !section->file)
		failure_set_errno(failure, ENOMEM, "reading the configuration");
}

/* --- checks ----------------------------------------------------------------------------------------- */

static void check_limit(const struct config_section *section, const char *setting, const char *text,
			struct failure *failure)
{
	struct token_bucket bucket;

	if (text && !token_bucket_parse(&bucket, text))
		failure_set(failure, "write a limit as 300/3h (s, m, h, d or w), or none",
			    "%s: '%s' is not a limit", config_place(section, setting), text);
}

/* What a section needs, and what can be checked without the other sections. */
static void check_section(const struct config_section *section, struct failure *failure)
{
	const char *word = config_kind_word(section->kind), *missing = NULL;
	const char *key_type = section->certificate.key_type, *account = section->ca.account;
	const char *before = section->certificate.renew_before;
	enum key_type type;
	int64_t before_s;

	if (section->kind == CONFIG_CA && !section->server)
		missing = "server";
	else if (section->kind == CONFIG_CERTIFICATE && !section->names.count)
		missing = "names";
	else if (section->kind == CONFIG_DOMAINS && !section->file)
		missing = "file";
	if (missing)
		failure_set(failure, NULL, "%s: the section [%s %s] needs the setting '%s'",
			    section->place, word, section->label, missing);
	if (key_type && key_type_parse(&type, key_type))
		failure_set(failure, KEY_TYPE_NAMES, "%s: there is no key type '%s'",
			    config_place(section, "key-type"), key_type);
	if (before && !duration_parse(&before_s, before))
		failure_set(failure, DURATION_EXAMPLES, "%s: '%s' is not a time",
			    config_place(section, "renew-before"), before);
	if (account && !account_name_is_valid(account))
		failure_set(failure, "use letters, digits, hyphens and underscores",
			    "%s: an account cannot be called '%s'",
			    config_place(section, "account"), account);
	check_limit(section, "orders-limit", section->orders_limit, failure);
	check_limit(section, "domain-limit", section->domain_limit, failure);
	check_limit(section, "set-limit", section->set_limit, failure);
	if (!section->ca.eab_kid != !section->ca.eab_hmac_key_file)
		failure_set(failure, NULL,
			    "%s: eab-kid and eab-hmac-key-file go together in [%s %s]",
			    config_place(section,
					 section->ca.eab_kid ? "eab-kid" : "eab-hmac-key-file"),
			    word, section->label);
}

/* `server` may be the name of a known CA, and is left out where the section has such a name. */
static void find_server(struct config_section *section)
{
	const char *url = known_ca_url(section->server ? section->server : section->label);

	if (section->kind == CONFIG_CA && url)
		section->server = url;
}

/* --- the whole configuration ------------------------------------------------------------------------ */

static void read_all(struct config *config, const struct paths *paths, struct failure *failure)
{
	char path[PATHS_MAX + sizeof("/sidestep.conf")];
	const struct config_section *section;
	size_t i;

	snprintf(path, sizeof(path), "%s/sidestep" ENDING, paths->conf);
	if (exists(path, failure))
		config_read_file(config, path, failure);
	snprintf(path, sizeof(path), "%s/conf.d", paths->conf);
	if (!failure_is_set(failure))
		read_directory(config, path, failure);
	snprintf(path, sizeof(path), "%s/" DOMAINS_FILE, paths->conf);
	if (!failure_is_set(failure))
		add_default_list(config, path, failure);
	finish_stamps(config, failure);
	check_section(&config->defaults, failure);
	for (i = 0; i < config->sections.count; i++)
		find_server(config->sections.items[i]);
	for (i = 0; !failure_is_set(failure) && (section = config_section(config, i)); i++)
		check_section(section, failure);
}

int config_read(struct config **ret_config, const struct paths *paths, struct failure *failure)
{
	struct config *config = calloc(1, sizeof(*config));

	if (config)
		config->stamps = open_memstream(&config->fingerprint, &config->fingerprint_size);
	if (!config || !config->stamps) {
		free(config);
		failure_set_errno(failure, ENOMEM, "reading the configuration");
		return -1;
	}
	config->defaults.label = "";
	read_all(config, paths, failure);
	if (failure_is_set(failure)) {
		config_free(config);
		return -1;
	}
	*ret_config = config;
	return 0;
}

static void keep_section(void *item)
{
	(void)item;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	tdestroy(config->by_label, keep_section);
	pointers_done(&config->texts, free);
	pointers_done(&config->sections, section_free);
	pointers_done(&config->cas, NULL);
	string_list_done(&config->defaults.cas);
	string_list_done(&config->defaults.names);
	free(config->defaults.places);
	free(config->fingerprint);
	free(config);
}

const struct config_section *config_defaults(const struct config *config)
{
	return &config->defaults;
}

const struct config_section *config_section(const struct config *config, size_t index)
{
	return index < config->sections.count ? config->sections.items[index] : NULL;
}

const struct config_section *config_ca(const struct config *config, const char *name)
{
	const struct config_section *section;
	size_t i;

	for (i = 0; i < config->cas.count; i++) {
		section = config->cas.items[i];
		if (strcmp(section->label, name) == 0 ||
		    (section->server && strcmp(section->server, name) == 0))
			return section;
	}
	return NULL;
}
