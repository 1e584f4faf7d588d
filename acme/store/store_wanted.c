// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/store/store_wanted.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acme/store/store.h"
#include "acme/store/store_place.h"
#include "acme/util/failure.h"
#include "acme/util/file.h"
#include "acme/util/json.h"

#define WANTED "wanted"

/* --- JSON --------------------------------------------------------------------------------------- */

static json_t *list_to_json(const struct string_list *list)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; array && i < list->count; i++)
		json_array_append_new(array, json_new_text(list->items[i]));
	return array;
}

static void put_text(json_t *object, const char *name, const char *text)
{
	if (text)
		json_object_set_new(object, name, json_new_text(text));
}

static void put_flag(json_t *object, const char *name, bool flag)
{
	if (flag)
		json_object_set_new(object, name, json_true());
}

#define PUT_TEXT(member, name)               put_text(object, name, spec->settings.member);
#define PUT_FLAG(member, name)               put_flag(object, name, spec->settings.member);
#define PUT_SETTING(kind, member, name, ...) PUT_##kind(member, name)

json_t *store_wanted_to_json(const struct certificate_spec *spec)
{
	json_t *object = json_object();

	if (!object)
		return NULL;
	json_object_set_new(object, "names", list_to_json(&spec->identifiers));
	json_object_set_new(object, "cas", list_to_json(&spec->cas));
	put_text(object, "account", spec->account);
	put_text(object, "tenant", spec->tenant);
	put_text(object, "source", spec->source);
	CERTIFICATE_SETTINGS(PUT_SETTING)
	return object;
}

static int list_from_json(struct string_list *list, const json_t *object, const char *member)
{
	const json_t *array = json_object_get(object, member);
	const char *text;
	size_t i;
	int err = 0;

	for (i = 0; !err && i < json_array_size(array); i++) {
		text = json_string_value(json_array_get(array, i));
		if (text)
			err = string_list_add(list, text);
	}
	return err;
}

#define GET_TEXT(member, name)               spec->settings.member = json_read_string(object, name);
#define GET_FLAG(member, name)               spec->settings.member = json_read_true(object, name);
#define GET_SETTING(kind, member, name, ...) GET_##kind(member, name)

/* 0, -ENOENT: it lacks what every specification has, or -ENOMEM. */
static int spec_from_json(struct certificate_spec *spec, const json_t *object)
{
	int err = list_from_json(&spec->identifiers, object, "names");

	if (!err)
		err = list_from_json(&spec->cas, object, "cas");
	if (err)
		return err;
	spec->account = json_read_string(object, "account");
	spec->tenant = json_read_string(object, "tenant");
	spec->source = json_read_string(object, "source");
	CERTIFICATE_SETTINGS(GET_SETTING)
	return spec->identifiers.count && spec->cas.count && spec->source ? 0 : -ENOENT;
}

/* --- files -------------------------------------------------------------------------------------- */

static int read_origin(int directory, const char *path, json_t **ret_origin)
{
	char *text;
	size_t size;
	int err = file_read(directory, path, STORE_PEM_MAX, &text, &size);

	if (err)
		return err;
	*ret_origin = json_read(text, size);
	free(text);
	return *ret_origin ? 0 : -ENOENT;
}

int store_wanted_read(struct store_wanted *ret_wanted, const struct paths *paths, const char *name)
{
	struct store_wanted wanted = {0};
	char path[STORE_PATH_MAX + 64];
	int err;

	if (!certificate_name_is_valid(name))
		return -ENOENT;
	snprintf(path, sizeof(path), "%s/archive/%s/" STORE_CURRENT "/" STORE_ORIGIN_FILE,
		 paths->state, name);
	err = read_origin(AT_FDCWD, path, &wanted.origin);
	if (err)
		return err;
	wanted.name = strdup(name);
	err = wanted.name ? spec_from_json(&wanted.spec, json_object_get(wanted.origin, WANTED))
			  : -ENOMEM;
	if (err) {
		store_wanted_done(&wanted);
		return err;
	}
	wanted.spec.name = wanted.name;
	*ret_wanted = wanted;
	return 0;
}

void store_wanted_done(struct store_wanted *wanted)
{
	string_list_done(&wanted->spec.identifiers);
	string_list_done(&wanted->spec.cas);
	free(wanted->name);
	json_decref(wanted->origin);
	*wanted = (struct store_wanted){0};
}

/* Owner and mode stay as they are. */
static int replace_origin(int directory, const json_t *origin)
{
	struct file_access access = file_access_own(0644);
	char *text = json_dumps(origin, JSON_INDENT(2));
	int err = text ? file_replace(directory, STORE_ORIGIN_FILE, &access, text, strlen(text))
		       : -ENOMEM;

	free(text);
	return err;
}

static int note_wanted(int directory, const struct certificate_spec *spec)
{
	json_t *origin = NULL, *wanted = store_wanted_to_json(spec);
	int err = wanted ? 0 : -ENOMEM;

	/* What cannot be read is written again: only the CA's URL is lost with it. */
	if (!err && read_origin(directory, STORE_ORIGIN_FILE, &origin))
		origin = json_object();
	if (!err && !json_equal(json_object_get(origin, WANTED), wanted)) {
		json_object_set(origin, WANTED, wanted);
		err = replace_origin(directory, origin);
	}
	json_decref(wanted);
	json_decref(origin);
	return err;
}

/* Without the lock: whether there is anything to write. */
static bool is_noted(const struct paths *paths, const struct certificate_spec *spec)
{
	char path[STORE_PATH_MAX + 64];
	json_t *origin = NULL, *wanted;
	bool is;

	snprintf(path, sizeof(path), "%s/archive/%s/" STORE_CURRENT "/" STORE_ORIGIN_FILE,
		 paths->state, spec->name);
	if (read_origin(AT_FDCWD, path, &origin))
		return false;
	wanted = store_wanted_to_json(spec);
	is = json_equal(json_object_get(origin, WANTED), wanted);
	json_decref(wanted);
	json_decref(origin);
	return is;
}

int store_wanted_note(const struct paths *paths, const struct certificate_spec *spec)
{
	struct failure failure = {0};
	struct store_place place;
	int directory, err;

	if (is_noted(paths, spec))
		return 0;
	err = store_place_open(&place, paths, spec->name, false, &failure);
	failure_done(&failure);
	if (err)
		return err == STORE_BUSY ? -EBUSY : err == -ENOENT ? -ENOENT : -EIO;
	directory = openat(place.directory, STORE_CURRENT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err = directory < 0 ? -errno : note_wanted(directory, spec);
	if (directory >= 0)
		close(directory);
	store_place_close(&place);
	return err;
}
