// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/store/store_history.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acme/crypto/key.h"
#include "acme/store/store.h"
#include "acme/store/store_place.h"
#include "acme/store/store_staging.h"
#include "acme/util/failure.h"
#include "acme/util/file.h"
#include "acme/util/json.h"
#include "common/clock.h"

#define DAY_S 86400

/* Whether the list has the generation. */
static bool has_generation(const int64_t *list, size_t count, int64_t number)
{
	size_t i;

	for (i = 0; i < count && list[i] != number; i++)
		;
	return i < count;
}

/* The highest below `number` that was not refused; 0: none. */
static int64_t generation_before(const struct store_place *place, const int64_t *list, size_t count,
				 int64_t number)
{
	while (count--)
		if (list[count] < number && !store_place_is_refused(place, list[count]))
			return list[count];
	return 0;
}

static void mark_path(char ret_path[STORE_NUMBER_MAX + 16], int64_t number)
{
	snprintf(ret_path, STORE_NUMBER_MAX + 16, "%" PRId64 "/" STORE_REFUSED, number);
}

/* --- back and forward --------------------------------------------------------------------------- */

/* The mark comes first: a process that opens the certificate after a kill completes the switch. */
static int go_back(const struct store_place *place, int64_t generation)
{
	int64_t current = store_place_current(place), before;
	char mark[STORE_NUMBER_MAX + 16];
	int64_t *list;
	size_t count;
	int err;

	if (current != generation)
		return -EAGAIN;
	err = store_place_list(place, &list, &count);
	if (err)
		return err;
	before = generation_before(place, list, count, current);
	free(list);
	if (!current || !before)
		return -ENOENT;
	mark_path(mark, current);
	err = store_place_mark(place, mark);
	return err ? err : store_place_switch(place, before);
}

/* Fill in the failure of a step that was to change `place`, and close it. */
static int end_step(struct store_place *place, const struct paths *paths, int err,
		    struct failure *failure)
{
	bool is_answer = !err || err == -ENOENT || err == -EAGAIN;

	if (!is_answer)
		store_place_explain(place, paths, err, failure);
	store_place_close(place);
	return is_answer ? err : -1;
}

int store_go_back(const struct paths *paths, const char *name, int64_t generation,
		  struct failure *failure)
{
	struct store_place place;
	int err = store_place_open(&place, paths, name, false, failure);

	if (err)
		return err;
	return end_step(&place, paths, go_back(&place, generation), failure);
}

int store_go_forward(const struct paths *paths, const char *name, int64_t generation,
		     struct failure *failure)
{
	char mark[STORE_NUMBER_MAX + 16], number[STORE_NUMBER_MAX];
	struct store_place place;
	int err = store_place_open(&place, paths, name, false, failure);

	if (err)
		return err;
	store_place_number(number, generation);
	mark_path(mark, generation);
	if (faccessat(place.directory, number, F_OK, AT_SYMLINK_NOFOLLOW))
		err = -errno;
	if (!err)
		err = store_place_unmark(&place, mark);
	if (!err)
		err = store_place_switch(&place, generation);
	return end_step(&place, paths, err, failure);
}

int store_complete(const struct paths *paths, const char *name, int64_t *ret_generation,
		   struct failure *failure)
{
	struct store_place place;
	int err = store_place_open(&place, paths, name, false, failure);

	if (err)
		return err;
	*ret_generation = store_place_current(&place);
	store_place_close(&place);
	return 0;
}

/* --- an earlier one again ----------------------------------------------------------------------- */

/* -ENOENT: the generation has no such file. */
static int copy_file(struct store_staging *staging, int64_t number, const char *name)
{
	const size_t max = STORE_PEM_MAX + KEY_PEM_MAX;
	char path[STORE_NUMBER_MAX + 64], *data;
	size_t size;
	int err;

	snprintf(path, sizeof(path), "%" PRId64 "/%s", number, name);
	err = file_read(staging->place->directory, path, max, &data, &size);
	if (err)
		return err;
	err = store_staging_write(staging, name, data, size);
	explicit_bzero(data, size);
	free(data);
	return err;
}

/* The same origin, and the number of the generation that this is a copy of. */
static int copy_origin(struct store_staging *staging, int64_t number)
{
	char path[STORE_NUMBER_MAX + 64], *text;
	json_t *origin;
	size_t size;
	int err;

	snprintf(path, sizeof(path), "%" PRId64 "/" STORE_ORIGIN_FILE, number);
	err = file_read(staging->place->directory, path, STORE_PEM_MAX, &text, &size);
	if (err)
		return err == -ENOENT ? 0 : err;
	origin = json_read(text, size);
	free(text);
	if (!origin)
		origin = json_object();
	/* It did not come of this order again. */
	json_object_del(origin, "order");
	json_object_set_new(origin, "restored_from", json_integer((json_int_t)number));
	err = store_staging_write_origin(staging, origin);
	json_decref(origin);
	return err;
}

static int copy_generation(struct store_staging *staging, int64_t number)
{
	int file, err = 0;

	for (file = 0; !err && file < STORE_FILES; file++)
		err = copy_file(staging, number, store_file_names[file]);
	if (err)
		return err;
	err = copy_file(staging, number, STORE_BUNDLE_FILE);
	return err && err != -ENOENT ? err : copy_origin(staging, number);
}

static int restore(const struct store_place *place, int64_t number, int64_t *ret_generation)
{
	int64_t *list;
	struct store_staging staging;
	size_t count;
	int err;

	err = store_place_list(place, &list, &count);
	if (err)
		return err;
	if (!number)
		number = generation_before(place, list, count, store_place_current(place));
	else if (!has_generation(list, count, number))
		number = 0;
	free(list);
	if (!number)
		return -ENOENT;
	err = store_staging_make(&staging, place);
	if (err)
		return err;
	err = copy_generation(&staging, number);
	/* What is missing in the generation is no answer to which generation there is. */
	if (err == -ENOENT)
		err = -EBADMSG;
	if (!err)
		err = store_staging_finish(&staging, ret_generation);
	if (!err)
		err = store_place_switch(place, *ret_generation);
	store_staging_remove(&staging);
	return err;
}

int store_restore(const struct paths *paths, const char *name, int64_t generation,
		  int64_t *ret_generation, struct failure *failure)
{
	struct store_place place;
	int err = store_place_open(&place, paths, name, false, failure);

	if (err)
		return err;
	return end_step(&place, paths, restore(&place, generation, ret_generation), failure);
}

/* --- removing ----------------------------------------------------------------------------------- */

/* When the next generation came; INT64_MAX: that is not known. */
static int64_t replaced_at_s(const struct store_place *place, int64_t next)
{
	char number[STORE_NUMBER_MAX];
	struct stat status;

	store_place_number(number, next);
	if (fstatat(place->directory, number, &status, AT_SYMLINK_NOFOLLOW))
		return INT64_MAX;
	return status.st_mtime;
}

/*
 * From the newest to the oldest: those before the one in use are counted.  The highest number stays
 * whatever it is, so that no number comes twice.
 */
static int prune(const struct store_place *place, const struct store_retention *retention)
{
	const int64_t current = store_place_current(place);
	const int64_t oldest_s = clock_now_s() - (int64_t)retention->days * DAY_S;
	int64_t *list = NULL;
	char number[STORE_NUMBER_MAX];
	size_t count = 0, kept = 0, removed = 0, i;
	int err;

	err = store_place_list(place, &list, &count);
	for (i = count; !err && i-- > 0 && removed < STORE_PRUNE_MAX;) {
		if (i + 1 == count || list[i] >= current)
			continue;
		if (!store_place_is_refused(place, list[i]) && !kept++)
			continue;
		if (kept <= retention->count && replaced_at_s(place, list[i + 1]) > oldest_s)
			continue;
		store_place_number(number, list[i]);
		err = file_remove_directory(place->directory, number);
		removed++;
	}
	if (!err && removed)
		err = file_sync_directory(place->directory);
	free(list);
	return err;
}

int store_prune(const struct paths *paths, const char *name,
		const struct store_retention *retention, struct failure *failure)
{
	struct store_place place;
	int err = store_place_open(&place, paths, name, false, failure);

	if (err)
		return err;
	return end_step(&place, paths, prune(&place, retention), failure);
}

int store_delete(const struct paths *paths, const char *name,
		 int (*forget)(void *context, struct failure *failure), void *context,
		 struct failure *failure)
{
	struct store_place place;
	int err = store_place_open(&place, paths, name, false, failure), forgotten;

	if (err && err != -ENOENT)
		return err;
	forgotten = forget ? forget(context, failure) : 0;
	if (forgotten || err) {
		if (!err)
			store_place_close(&place);
		return forgotten ? forgotten : err;
	}
	/* With the mark, the next process completes it: nothing of it appears again. */
	err = store_place_mark(&place, STORE_DELETED);
	if (!err)
		err = store_place_remove(&place);
	return end_step(&place, paths, err, failure);
}
