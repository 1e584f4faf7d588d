// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/store/store_place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "acme/util/failure.h"
#include "acme/util/file.h"

#define NEW_CURRENT "current.new"
#define NEW_LIVE    ".new" /* no certificate's name begins with a dot */
#define LINK_MAX    (CERTIFICATE_NAME_MAX + 64)
#define TOP_MODE    0700 /* of live/ and archive/, as with Certbot */
#define FLAGS       (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

/* --- generations ------------------------------------------------------------------------------ */

void store_place_number(char ret_text[STORE_NUMBER_MAX], int64_t number)
{
	snprintf(ret_text, STORE_NUMBER_MAX, "%" PRId64, number);
}

int64_t store_place_current(const struct store_place *place)
{
	char target[STORE_NUMBER_MAX] = "";

	if (readlinkat(place->directory, STORE_CURRENT, target, sizeof(target) - 1) < 0)
		return 0;
	return strtoll(target, NULL, 10);
}

bool store_place_is_refused(const struct store_place *place, int64_t number)
{
	char path[STORE_NUMBER_MAX + sizeof("/" STORE_REFUSED)];

	snprintf(path, sizeof(path), "%" PRId64 "/" STORE_REFUSED, number);
	return faccessat(place->directory, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int by_number(const void *a, const void *b)
{
	const int64_t *first = a, *second = b;

	return *first < *second ? -1 : *first > *second;
}

/* 0: it is none. */
static int64_t generation_of(const struct dirent *entry)
{
	int64_t number;
	char *end;

	if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
		return 0;
	number = strtoll(entry->d_name, &end, 10);
	return *end ? 0 : number;
}

static int read_generations(DIR *stream, int64_t **list, size_t *count)
{
	int64_t *longer, number;
	const struct dirent *entry;

	while ((entry = readdir(stream))) {
		number = generation_of(entry);
		if (!number)
			continue;
		longer = realloc(*list, (*count + 1) * sizeof(*longer));
		if (!longer)
			return -ENOMEM;
		*list = longer;
		longer[(*count)++] = number;
	}
	return 0;
}

int store_place_list(const struct store_place *place, int64_t **ret_list, size_t *ret_count)
{
	int fd = openat(place->directory, ".", FLAGS), err;
	int64_t *list = NULL;
	size_t count = 0;
	DIR *stream;

	if (fd < 0)
		return -errno;
	stream = fdopendir(fd);
	if (!stream) {
		close(fd);
		return -ENOMEM;
	}
	err = read_generations(stream, &list, &count);
	closedir(stream);
	if (err) {
		free(list);
		return err;
	}
	if (count)
		qsort(list, count, sizeof(*list), by_number);
	*ret_list = list;
	*ret_count = count;
	return 0;
}

int store_place_next(const struct store_place *place, int64_t *ret_number)
{
	int64_t *list;
	size_t count;
	int err;

	err = store_place_list(place, &list, &count);
	if (err)
		return err;
	*ret_number = count ? list[count - 1] + 1 : 1;
	free(list);
	return 0;
}

/* The highest that is not refused; the one in use when all are.  0: there is none. */
static int best_generation(const struct store_place *place, int64_t *ret_number)
{
	int64_t *list;
	size_t count;
	int err;

	err = store_place_list(place, &list, &count);
	if (err)
		return err;
	*ret_number = store_place_current(place);
	while (count--) {
		if (store_place_is_refused(place, list[count]))
			continue;
		*ret_number = list[count];
		break;
	}
	free(list);
	return 0;
}

/* --- links below live/ ------------------------------------------------------------------------ */

static void link_target(char ret_target[LINK_MAX], const struct store_place *place,
			const char *file)
{
	snprintf(ret_target, LINK_MAX, "../../archive/%s/" STORE_CURRENT "/%s", place->name, file);
}

enum link { LINK_MISSING, LINK_OURS, LINK_FOREIGN };

static enum link look_at_link(const struct store_place *place, int directory, const char *file)
{
	char target[LINK_MAX], found[LINK_MAX];
	ssize_t length;

	link_target(target, place, file);
	length = readlinkat(directory, file, found, sizeof(found));
	if (length < 0)
		return errno == ENOENT ? LINK_MISSING : LINK_FOREIGN;
	return (size_t)length == strlen(target) && memcmp(found, target, (size_t)length) == 0
		       ? LINK_OURS
		       : LINK_FOREIGN;
}

/* Whether live/<name> is Sidestep's or missing: never overwrite another program's. */
static int check_live(const struct store_place *place)
{
	int directory = openat(place->live, place->name, FLAGS | O_NOFOLLOW), file;
	size_t ours = 0, foreign = 0;
	enum link link;

	if (directory < 0)
		return errno == ENOENT ? 0 : errno == ELOOP || errno == ENOTDIR ? -EEXIST : -errno;
	for (file = 0; file < STORE_FILES; file++) {
		link = look_at_link(place, directory, store_file_names[file]);
		ours += link == LINK_OURS;
		foreign += link == LINK_FOREIGN;
	}
	close(directory);
	/* A link that an administrator removed is made again. */
	return foreign || (!ours && !store_place_current(place)) ? -EEXIST : 0;
}

static int make_link(const struct store_place *place, int directory, const char *file)
{
	char target[LINK_MAX];

	link_target(target, place, file);
	if (symlinkat(target, directory, file) == 0)
		return 0;
	return errno == EPERM || errno == ENOSYS ? -EOPNOTSUPP : -errno;
}

/* The link to the bundle comes and goes with it; the others are always there. */
static int follow_bundle(const struct store_place *place, int directory, bool *changed)
{
	enum link link = look_at_link(place, directory, STORE_BUNDLE_FILE);
	bool is_there = faccessat(place->directory, STORE_CURRENT "/" STORE_BUNDLE_FILE, F_OK,
				  AT_SYMLINK_NOFOLLOW) == 0;

	if (link == LINK_FOREIGN || is_there == (link == LINK_OURS))
		return 0;
	*changed = true;
	if (is_there)
		return make_link(place, directory, STORE_BUNDLE_FILE);
	return unlinkat(directory, STORE_BUNDLE_FILE, 0) ? -errno : 0;
}

/* Make the links that are missing. */
static int complete_links(const struct store_place *place, int directory)
{
	bool changed = false;
	int file, err = 0;

	for (file = 0; !err && file < STORE_FILES; file++) {
		if (look_at_link(place, directory, store_file_names[file]) != LINK_MISSING)
			continue;
		err = make_link(place, directory, store_file_names[file]);
		changed = true;
	}
	if (!err)
		err = follow_bundle(place, directory, &changed);
	return err || !changed ? err : file_sync_directory(directory);
}

/* The directory appears with all of its links. */
static int make_live(const struct store_place *place)
{
	int directory, err;

	/* A name may be too long to get a suffix, so all are made in one place, in turn. */
	if (flock(place->live, LOCK_EX))
		return -errno;
	err = file_remove_directory(place->live, NEW_LIVE);
	if (!err)
		err = file_open_directory(place->live, NEW_LIVE, STORE_DIRECTORY_MODE, &directory);
	if (!err) {
		err = complete_links(place, directory);
		close(directory);
	}
	if (!err && renameat(place->live, NEW_LIVE, place->live, place->name))
		err = -errno;
	flock(place->live, LOCK_UN);
	return err ? err : file_sync_directory(place->live);
}

static int publish_live(const struct store_place *place)
{
	int directory = openat(place->live, place->name, FLAGS | O_NOFOLLOW), err;

	if (directory < 0)
		return errno == ENOENT ? make_live(place) : -errno;
	err = complete_links(place, directory);
	close(directory);
	return err;
}

/* The one step that switches all files. */
static int switch_current(const struct store_place *place, int64_t number)
{
	char text[STORE_NUMBER_MAX];

	store_place_number(text, number);
	if (unlinkat(place->directory, NEW_CURRENT, 0) && errno != ENOENT)
		return -errno;
	if (symlinkat(text, place->directory, NEW_CURRENT))
		return errno == EPERM || errno == ENOSYS ? -EOPNOTSUPP : -errno;
	if (renameat(place->directory, NEW_CURRENT, place->directory, STORE_CURRENT))
		return -errno;
	return file_sync_directory(place->directory);
}

int store_place_switch(const struct store_place *place, int64_t number)
{
	int err = switch_current(place, number);

	return err ? err : publish_live(place);
}

/* --- marks, removing -------------------------------------------------------------------------- */

/* Sync the directory that holds it: an empty file has nothing else. */
static int sync_mark(const struct store_place *place, const char *path)
{
	const char *slash = strrchr(path, '/');
	char parent[STORE_NUMBER_MAX];
	int directory, err;

	if (!slash)
		return file_sync_directory(place->directory);
	snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
	directory = openat(place->directory, parent, FLAGS);
	if (directory < 0)
		return -errno;
	err = file_sync_directory(directory);
	close(directory);
	return err;
}

int store_place_mark(const struct store_place *place, const char *path)
{
	int fd = openat(place->directory, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	return sync_mark(place, path);
}

int store_place_unmark(const struct store_place *place, const char *path)
{
	if (unlinkat(place->directory, path, 0))
		return errno == ENOENT ? 0 : -errno;
	return sync_mark(place, path);
}

/* live/<name> goes first: a server that starts meanwhile finds all files or none. */
int store_place_remove(const struct store_place *place)
{
	int64_t *list = NULL;
	char number[STORE_NUMBER_MAX];
	size_t count = 0, i;
	int err;

	/* What another program has put there meanwhile stays. */
	err = check_live(place) ? 0 : file_remove_directory(place->live, place->name);
	if (!err)
		err = file_sync_directory(place->live);
	if (!err)
		err = store_place_list(place, &list, &count);
	if (!err && unlinkat(place->directory, STORE_CURRENT, 0) && errno != ENOENT)
		err = -errno;
	for (i = 0; !err && i < count; i++) {
		store_place_number(number, list[i]);
		err = file_remove_directory(place->directory, number);
	}
	free(list);
	if (!err)
		err = file_remove_directory(place->directory, STORE_STAGING);
	if (!err)
		err = store_place_unmark(place, STORE_DELETED);
	if (!err && unlinkat(place->archive, place->name, AT_REMOVEDIR))
		err = -errno;
	return err ? err : file_sync_directory(place->archive);
}

/* --- opening ---------------------------------------------------------------------------------- */

static int open_part(int directory, const char *name, mode_t mode, bool make, int *ret_fd)
{
	if (make)
		return file_open_directory(directory, name, mode, ret_fd);
	*ret_fd = openat(directory, name, FLAGS);
	return *ret_fd < 0 ? -errno : 0;
}

static int lock_place(const struct store_place *place)
{
	if (flock(place->directory, LOCK_EX | LOCK_NB) == 0)
		return 0;
	return errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP ? -ENOLCK : -errno;
}

static int open_archive(struct store_place *place, bool make)
{
	int err = open_part(place->archive, place->name, STORE_DIRECTORY_MODE, make,
			    &place->directory);

	return err ? err : lock_place(place);
}

static int open_directories(struct store_place *place, const struct paths *paths, bool make)
{
	int state = -1, err = 0;

	if (make)
		err = file_open_path(paths->state, STORE_DIRECTORY_MODE, &state);
	else if ((state = open(paths->state, FLAGS)) < 0)
		err = -errno;
	if (err)
		return err;
	/* What was archived can be used without live/, which is then made again. */
	err = open_part(state, "archive", TOP_MODE, make, &place->archive);
	if (!err)
		err = open_archive(place, make);
	if (!err)
		err = open_part(state, "live", TOP_MODE, true, &place->live);
	close(state);
	return err;
}

/* A process that was killed while it removed the certificate. */
static int finish_removing(struct store_place *place, bool make)
{
	int err;

	if (faccessat(place->directory, STORE_DELETED, F_OK, AT_SYMLINK_NOFOLLOW))
		return 0;
	err = store_place_remove(place);
	close(place->directory);
	place->directory = -1;
	return err ? err : open_archive(place, make);
}

/* What a killed process left undone: lock it first. */
static int complete_place(struct store_place *place)
{
	int64_t current = store_place_current(place), best = 0;
	int err;

	err = check_live(place);
	if (!err)
		err = best_generation(place, &best);
	if (err || !best)
		return err;
	if (best == current)
		return publish_live(place);
	place->has_advanced = best > current;
	return store_place_switch(place, best);
}

void store_place_explain(const struct store_place *place, const struct paths *paths, int err,
			 struct failure *failure)
{
	switch (err) {
	case -EWOULDBLOCK:
		failure_set(failure, "wait until it has finished, then run this again",
			    "another sidestep process works on the certificate %s", place->name);
		break;
	case -EEXIST:
		failure_set(failure, "choose another name with --cert-name, or move it away",
			    "%s exists and was not made by sidestep", place->path);
		break;
	case -EOPNOTSUPP:
		failure_set(failure,
			    "put this directory on a file system that has them (ext4, xfs, btrfs; "
			    "CIFS with the mount option mfsymlinks)",
			    "the file system of %s has no symbolic links, of which live/ consists",
			    paths->state);
		break;
	case -ENOLCK:
		failure_set(
			failure,
			"put this directory on a file system that has locks, such as a local one",
			"the file system of %s cannot lock a directory: two sidestep processes "
			"could change one certificate at once",
			paths->state);
		break;
	default:
		failure_set_errno(failure, -err, "cannot change the certificate %s in %s",
				  place->name, paths->state);
	}
}

int store_place_open(struct store_place *ret_place, const struct paths *paths, const char *name,
		     bool make, struct failure *failure)
{
	struct store_place place = {.live = -1, .archive = -1, .directory = -1};
	int err;

	if (!certificate_name_is_valid(name))
		return -ENOENT;
	snprintf(place.name, sizeof(place.name), "%s", name);
	store_live_path(place.path, paths, name);
	err = open_directories(&place, paths, make);
	if (!err)
		err = finish_removing(&place, make);
	if (!err)
		err = complete_place(&place);
	if (!err) {
		*ret_place = place;
		return 0;
	}
	if (err != -ENOENT || make)
		store_place_explain(&place, paths, err, failure);
	/* Fails, as it should, when there are generations. */
	if (make && place.directory >= 0 && err != -EWOULDBLOCK)
		(void)unlinkat(place.archive, place.name, AT_REMOVEDIR);
	store_place_close(&place);
	if (err == -ENOENT && !make)
		return -ENOENT;
	return err == -EWOULDBLOCK ? STORE_BUSY : -1;
}

void store_place_close(struct store_place *place)
{
	if (place->directory >= 0)
		close(place->directory);
	if (place->archive >= 0)
		close(place->archive);
	if (place->live >= 0)
		close(place->live);
	place->directory = place->archive = place->live = -1;
}
