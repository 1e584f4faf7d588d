// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acme/util/file.h"
#include "acme/util/json.h"
#include "acme/crypto/key.h"

const char *const store_file_names[STORE_FILES] = {
	[STORE_PRIVKEY] = "privkey.pem",
	[STORE_CERT] = "cert.pem",
	[STORE_CHAIN] = "chain.pem",
	[STORE_FULLCHAIN] = "fullchain.pem",
};

void store_live_path(char ret_path[STORE_PATH_MAX + 1], const struct paths *paths, const char *name)
{
	snprintf(ret_path, STORE_PATH_MAX + 1, "%s/live/%s", paths->state, name);
}

/* A URL of the present generation's origin, a new string.  What is not known is not needed to use it. */
static char *read_origin(const struct paths *paths, const char *name, const char *member)
{
	char path[STORE_PATH_MAX + 64], *text, *copy = NULL;
	const char *url;
	json_t *origin;
	size_t size;

	snprintf(path, sizeof(path), "%s/archive/%s/" STORE_CURRENT "/" STORE_ORIGIN_FILE,
		 paths->state, name);
	if (file_read(AT_FDCWD, path, STORE_PEM_MAX, &text, &size))
		return NULL;
	origin = json_read(text, size);
	url = json_read_url(origin, member);
	if (url)
		copy = strdup(url);
	json_decref(origin);
	free(text);
	return copy;
}

bool store_is_of_order(const struct paths *paths, const char *name, const char *order_url)
{
	char *url = certificate_name_is_valid(name) ? read_origin(paths, name, "order") : NULL;
	bool is = url && strcmp(url, order_url) == 0;

	free(url);
	return is;
}

int64_t store_generation(const struct paths *paths, const char *name)
{
	char path[STORE_PATH_MAX + 32], target[32] = "";

	snprintf(path, sizeof(path), "%s/archive/%s/" STORE_CURRENT, paths->state, name);
	return readlink(path, target, sizeof(target) - 1) < 0 ? 0 : strtoll(target, NULL, 10);
}

int store_read(struct stored *ret_stored, const struct paths *paths, const char *name)
{
	char file[STORE_PATH_MAX + 32], *pem;
	struct stored stored = {0};
	size_t size;
	int err;

	if (!certificate_name_is_valid(name))
		return -ENOENT;
	strcpy(stored.name, name);
	store_live_path(stored.path, paths, name);
	snprintf(file, sizeof(file), "%s/%s", stored.path, store_file_names[STORE_CERT]);
	err = file_read(AT_FDCWD, file, STORE_PEM_MAX, &pem, &size);
	if (err)
		return err;
	err = certificate_read(&stored.certificate, pem, size);
	free(pem);
	if (err)
		return err;
	stored.server = read_origin(paths, name, "server");
	stored.generation = store_generation(paths, name);
	*ret_stored = stored;
	return 0;
}

void stored_done(struct stored *stored)
{
	certificate_done(&stored->certificate);
	free(stored->server);
	*stored = (struct stored){0};
}

int store_read_key(struct key **ret_key, const struct paths *paths, const char *name)
{
	char file[STORE_PATH_MAX + 32];
	int err;

	if (!certificate_name_is_valid(name))
		return -ENOENT;
	snprintf(file, sizeof(file), "%s/live/%s/%s", paths->state, name,
		 store_file_names[STORE_PRIVKEY]);
	err = key_read(ret_key, AT_FDCWD, file);
	return err == -EFBIG ? -EBADMSG : err;
}

static int select_name(const struct dirent *entry)
{
	return certificate_name_is_valid(entry->d_name);
}

int store_names(char ***ret_names, size_t *ret_count, const struct paths *paths)
{
	char path[STORE_PATH_MAX + 1];

	store_live_path(path, paths, "");
	return file_list(path, select_name, ret_names, ret_count);
}

int store_find(struct stored *ret_stored, const struct paths *paths,
	       const struct identifier *identifiers, size_t count)
{
	struct stored stored;
	size_t name_count, i;
	char **names;
	int err;

	err = store_names(&names, &name_count, paths);
	if (err)
		return err;
	err = -ENOENT;
	for (i = 0; i < name_count; i++) {
		/* One that cannot be read is none of those that are looked for. */
		if (store_read(&stored, paths, names[i]))
			continue;
		if (certificate_has_only_names(&stored.certificate, identifiers, count)) {
			*ret_stored = stored;
			err = 0;
			break;
		}
		stored_done(&stored);
	}
	file_list_free(names, name_count);
	return err;
}
