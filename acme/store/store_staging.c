// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/store/store_staging.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acme/crypto/key.h"
#include "acme/store/store_place.h"
#include "acme/util/file.h"
#include "acme/util/output.h"
#include "common/clock.h"

#define RESERVE "reserve"

/* The chain twice, as chain.pem and fullchain.pem, and the rest. */
#define RESERVE_SIZE (2 * STORE_PEM_MAX + 65536)

#define GROUP_AND_OTHERS 0077
#define READ_BY_OTHERS   0004

/* --- owners and modes -------------------------------------------------------------------------- */

/* Owner and mode as they are in the generation in use: an administrator may have set them. */
static struct file_access kept_access(const struct store_staging *staging, const char *name,
				      mode_t mode)
{
	char path[64];
	struct stat status;

	snprintf(path, sizeof(path), STORE_CURRENT "/%s", name);
	if (fstatat(staging->place->directory, path, &status, 0))
		return file_access_own(mode);
	return (struct file_access){
		.uid = status.st_uid, .gid = status.st_gid, .mode = status.st_mode & 07777};
}

static struct file_access access_of(const struct store_staging *staging, const char *name)
{
	struct file_access access;

	if (strcmp(name, store_file_names[STORE_PRIVKEY]) == 0)
		return kept_access(staging, name, 0600);
	if (strcmp(name, STORE_BUNDLE_FILE) != 0)
		return kept_access(staging, name, 0644);
	/* Who may read the key may read the bundle. */
	access = kept_access(staging, store_file_names[STORE_PRIVKEY], 0600);
	return kept_access(staging, name, access.mode);
}

/*
 * This process may not give a file away: then it keeps it.  A group that was to read it and cannot be
 * given is replaced by none.
 */
static struct file_access reduce_access(struct store_staging *staging, const char *name,
					struct file_access access)
{
	struct file_access own = file_access_own(access.mode);

	if (!(own.mode & READ_BY_OTHERS))
		own.mode &= ~(mode_t)GROUP_AND_OTHERS;
	if (!staging->has_warned)
		output_warning(
			"%s/%s: owner and group (%u:%u) cannot be kept, as this process may not give "
			"files away: a server that reads it by them cannot read the new one.  Make "
			"this user a member of the group (under systemd: `systemctl edit sidestep`, "
			"[Service], SupplementaryGroups=%u), then chgrp the file again",
			staging->place->path, name, access.uid, access.gid, access.gid);
	staging->has_warned = true;
	return own;
}

int store_staging_write(struct store_staging *staging, const char *name, const void *data,
			size_t size)
{
	struct file_access access = access_of(staging, name);
	int err = file_create(staging->fd, name, &access, data, size);

	if (err != -EPERM)
		return err;
	/* A member of the group may give the file to it, but not to another owner. */
	if (access.uid != geteuid()) {
		access.uid = geteuid();
		err = file_create(staging->fd, name, &access, data, size);
	}
	if (err != -EPERM)
		return err;
	access = reduce_access(staging, name, access);
	return file_create(staging->fd, name, &access, data, size);
}

/* --- the directory ------------------------------------------------------------------------------ */

int store_staging_make(struct store_staging *ret_staging, const struct store_place *place)
{
	struct store_staging staging = {.place = place, .fd = -1};
	struct file_access access;
	int err;

	err = file_remove_directory(place->directory, STORE_STAGING);
	if (!err)
		err = file_open_directory(place->directory, STORE_STAGING, 0700, &staging.fd);
	if (err)
		return err;
	access = kept_access(&staging, ".", STORE_DIRECTORY_MODE);
	/* Whose the directory is matters to nobody as long as all may enter it. */
	if ((fchown(staging.fd, access.uid, access.gid) && errno != EPERM) ||
	    fchmod(staging.fd, access.mode)) {
		err = -errno;
		store_staging_remove(&staging);
		return err;
	}
	*ret_staging = staging;
	return 0;
}

int store_staging_open(struct store_staging *ret_staging, const struct store_place *place)
{
	int fd = openat(place->directory, STORE_STAGING,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret_staging = (struct store_staging){.place = place, .fd = fd};
	return 0;
}

int store_staging_reserve(const struct store_staging *staging)
{
	int fd, err;

	fd = openat(staging->fd, RESERVE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = -posix_fallocate(fd, 0, RESERVE_SIZE);
	close(fd);
	return err;
}

int store_staging_release(const struct store_staging *staging)
{
	return unlinkat(staging->fd, RESERVE, 0) ? -errno : 0;
}

int store_staging_clear(const struct store_staging *staging)
{
	const char *const names[] = {RESERVE,
				     store_file_names[STORE_CERT],
				     store_file_names[STORE_CHAIN],
				     store_file_names[STORE_FULLCHAIN],
				     STORE_BUNDLE_FILE,
				     STORE_ORIGIN_FILE};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (unlinkat(staging->fd, names[i], 0) && errno != ENOENT)
			return -errno;
	return store_staging_reserve(staging);
}

int store_staging_finish(struct store_staging *staging, int64_t *ret_number)
{
	const int directory = staging->place->directory;
	/* So old it is: what is removed after some days goes by this. */
	const struct timespec now = {.tv_sec = clock_now_s()}, times[] = {now, now};
	char text[STORE_NUMBER_MAX];
	int64_t number = 0;
	int err;

	/* Not all file systems keep times; then it counts as old as they say. */
	(void)futimens(staging->fd, times);
	err = file_sync_directory(staging->fd);
	if (!err)
		err = store_place_next(staging->place, &number);
	if (err)
		return err;
	store_place_number(text, number);
	if (renameat(directory, STORE_STAGING, directory, text))
		return -errno;
	store_staging_close(staging);
	*ret_number = number;
	return file_sync_directory(directory);
}

void store_staging_close(struct store_staging *staging)
{
	if (staging->fd >= 0)
		close(staging->fd);
	staging->fd = -1;
}

void store_staging_remove(struct store_staging *staging)
{
	if (staging->fd < 0)
		return;
	store_staging_close(staging);
	/* What cannot be removed now is removed when the next generation begins. */
	(void)file_remove_directory(staging->place->directory, STORE_STAGING);
}

/* --- files made of others ----------------------------------------------------------------------- */

int store_staging_write_bundle(struct store_staging *staging)
{
	const char *const parts[] = {store_file_names[STORE_FULLCHAIN],
				     store_file_names[STORE_PRIVKEY]};
	const size_t max = STORE_PEM_MAX + KEY_PEM_MAX;
	char *text = malloc(max), *part;
	size_t used = 0, size, i;
	int err = text ? 0 : -ENOMEM;

	for (i = 0; !err && i < sizeof(parts) / sizeof(*parts); i++) {
		err = file_read(staging->fd, parts[i], max - used, &part, &size);
		if (err)
			break;
		memcpy(text + used, part, size);
		used += size;
		explicit_bzero(part, size);
		free(part);
	}
	if (!err)
		err = store_staging_write(staging, STORE_BUNDLE_FILE, text, used);
	if (text)
		explicit_bzero(text, used);
	free(text);
	return err;
}

int store_staging_write_origin(struct store_staging *staging, const json_t *origin)
{
	char *text = json_dumps(origin, JSON_INDENT(2));
	int err;

	if (!text)
		return -ENOMEM;
	err = store_staging_write(staging, STORE_ORIGIN_FILE, text, strlen(text));
	free(text);
	return err;
}
