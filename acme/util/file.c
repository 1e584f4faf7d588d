// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/util/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/random.h"

#define DIRECTORY_FLAGS  (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#define TEMPORARY_DIGITS 16
#define REMNANT_AGE_S    7200 /* no writer, and no hook, takes that long */

struct file_access file_access_own(mode_t mode)
{
	return (struct file_access){.uid = geteuid(), .gid = getegid(), .mode = mode};
}

static int write_all(int fd, const char *data, size_t size)
{
	ssize_t written;

	while (size) {
		written = write(fd, data, size);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		data += written;
		size -= (size_t)written;
	}
	return 0;
}

/* Correct the group too: a set-group-id directory gives its own group to a new file. */
static int set_access(int fd, const struct file_access *access)
{
	struct stat status;

	if (fstat(fd, &status))
		return -errno;
	if ((status.st_uid != access->uid || status.st_gid != access->gid) &&
	    fchown(fd, access->uid, access->gid))
		return -errno;
	if ((status.st_mode & 07777) == access->mode)
		return 0;
	return fchmod(fd, access->mode) ? -errno : 0;
}

/* Give an empty file its owner, mode and data, and wait until they are on the disk. */
static int fill(int fd, const struct file_access *access, const void *data, size_t size)
{
	int err = set_access(fd, access);

	if (!err)
		err = write_all(fd, data, size);
	return !err && fsync(fd) ? -errno : err;
}

int file_create(int directory, const char *name, const struct file_access *access, const void *data,
		size_t size)
{
	int fd, err;

	/* Let nobody else read the file before its owner and mode are set. */
	fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = fill(fd, access, data, size);
	if (close(fd) && !err)
		err = -errno;
	if (err)
		unlinkat(directory, name, 0);
	return err;
}

/* --- in one step ------------------------------------------------------------------------------- */

/* A name that no other writer uses: process ids repeat, above all in containers. */
static int temporary_name(char ret_name[FILE_TEMPORARY_MAX], const char *name)
{
	uint8_t bytes[TEMPORARY_DIGITS / 2];
	int length, err;
	size_t i;

	err = random_bytes(bytes, sizeof(bytes));
	if (err)
		return err;
	length = snprintf(ret_name, FILE_TEMPORARY_MAX, ".%s.", name);
	if (length + TEMPORARY_DIGITS >= FILE_TEMPORARY_MAX)
		return -ENAMETOOLONG;
	for (i = 0; i < sizeof(bytes); i++)
		length += sprintf(ret_name + length, "%02x", bytes[i]);
	return 0;
}

/* Whether temporary_name() made `found` for `name`, perhaps as an older version did. */
static bool is_temporary(const char *found, const char *name)
{
	size_t length = strlen(name), digits;

	if (found[0] != '.' || strncmp(found + 1, name, length) != 0 || found[1 + length] != '.')
		return false;
	digits = strspn(found + length + 2, "0123456789abcdef");
	return digits && digits <= TEMPORARY_DIGITS && !found[length + 2 + digits];
}

/*
 * Remove what writers of `name` that were killed have left, which may hold a key.  `temporary` was
 * made just now: it shows the time of the file system's own clock.
 */
static void remove_remnants(int directory, const char *name, const char *temporary)
{
	int fd = openat(directory, ".", DIRECTORY_FLAGS);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct stat present, status;
	struct dirent *entry;

	if (!stream && fd >= 0)
		close(fd);
	if (!stream || fstatat(directory, temporary, &present, AT_SYMLINK_NOFOLLOW)) {
		if (stream)
			closedir(stream);
		return;
	}
	while ((entry = readdir(stream)))
		if (is_temporary(entry->d_name, name) &&
		    fstatat(directory, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
		    present.st_mtime - status.st_mtime > REMNANT_AGE_S)
			(void)unlinkat(directory, entry->d_name, 0);
	closedir(stream);
}

int file_create_temporary(int directory, const char *name, const struct file_access *access,
			  const void *data, size_t size, char ret_temporary[FILE_TEMPORARY_MAX])
{
	int err = temporary_name(ret_temporary, name);

	if (!err)
		err = file_create(directory, ret_temporary, access, data, size);
	if (!err)
		remove_remnants(directory, name, ret_temporary);
	return err;
}

/*
 * Rename, unless `name` exists: -EEXIST.  Some file systems (CIFS, FUSE) have no hard links, some
 * kernels' no RENAME_NOREPLACE; the last way leaves a gap between looking and renaming.
 */
static int rename_to_new(int directory, const char *temporary, const char *name)
{
	if (linkat(directory, temporary, directory, name, 0) == 0)
		return unlinkat(directory, temporary, 0) ? -errno : 0;
	if (errno == EEXIST)
		return -EEXIST;
	if (renameat2(directory, temporary, directory, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
		return -errno;
	if (faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	return renameat(directory, temporary, directory, name) ? -errno : 0;
}

/*
 * A file has no name before it is whole, so a killed process leaves nothing of it, above all no key.
 * -EOPNOTSUPP: not on this file system, or there is no /proc.
 */
static int create_without_name(int directory, const char *name, const struct file_access *access,
			       const void *data, size_t size)
{
	char path[sizeof("/proc/self/fd/-2147483648")];
	int fd, err;

	fd = openat(directory, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EISDIR || errno == EINVAL || errno == ENOENT ? -EOPNOTSUPP : -errno;
	err = fill(fd, access, data, size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!err && linkat(AT_FDCWD, path, directory, name, AT_SYMLINK_FOLLOW))
		err = errno == EPERM || errno == ENOENT ? -EOPNOTSUPP : -errno;
	if (close(fd) && !err)
		err = -errno;
	return err;
}

int file_create_atomically(int directory, const char *name, const struct file_access *access,
			   const void *data, size_t size)
{
	char temporary[FILE_TEMPORARY_MAX];
	int err;

	err = create_without_name(directory, name, access, data, size);
	if (err != -EOPNOTSUPP)
		return err ? err : file_sync_directory(directory);
	err = file_create_temporary(directory, name, access, data, size, temporary);
	if (err)
		return err;
	err = rename_to_new(directory, temporary, name);
	if (err) {
		unlinkat(directory, temporary, 0);
		return err;
	}
	return file_sync_directory(directory);
}

int file_replace(int directory, const char *name, const struct file_access *access,
		 const void *data, size_t size)
{
	char temporary[FILE_TEMPORARY_MAX];
	int err;

	err = file_create_temporary(directory, name, access, data, size, temporary);
	if (err)
		return err;
	if (renameat(directory, temporary, directory, name)) {
		err = -errno;
		unlinkat(directory, temporary, 0);
		return err;
	}
	return file_sync_directory(directory);
}

/* --- reading ----------------------------------------------------------------------------------- */

static int read_all(int fd, char *buffer, size_t size, size_t *ret_size)
{
	size_t used = 0;
	ssize_t got;

	while (used < size) {
		got = read(fd, buffer + used, size - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		used += (size_t)got;
	}
	*ret_size = used;
	return 0;
}

int file_read(int directory, const char *name, size_t max, char **ret_data, size_t *ret_size)
{
	size_t size = 0;
	char *data;
	int fd, err;

	fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	data = malloc(max + 1);
	err = data ? read_all(fd, data, max + 1, &size) : -ENOMEM;
	if (!err && size > max)
		err = -EFBIG;
	close(fd);
	if (err) {
		free(data);
		return err;
	}
	data[size] = '\0';
	*ret_data = data;
	*ret_size = size;
	return 0;
}

int file_open_directory(int directory, const char *name, mode_t mode, int *ret_fd)
{
	bool is_new = mkdirat(directory, name, mode) == 0;
	int fd, err;

	if (!is_new && errno != EEXIST)
		return -errno;
	fd = openat(directory, name, DIRECTORY_FLAGS);
	if (fd < 0)
		return -errno;
	err = is_new ? file_sync_directory(directory) : 0;
	if (err) {
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

int file_open_path(const char *path, mode_t mode, int *ret_fd)
{
	char *copy = strdup(path), *rest = copy, *name;
	int fd, next = -1, err = 0;

	if (!copy)
		return -ENOMEM;
	fd = open(path[0] == '/' ? "/" : ".", DIRECTORY_FLAGS);
	if (fd < 0)
		err = -errno;
	while (!err && (name = strsep(&rest, "/"))) {
		if (!*name)
			continue;
		err = file_open_directory(fd, name, mode, &next);
		if (!err) {
			close(fd);
			fd = next;
		}
	}
	free(copy);
	if (err) {
		if (fd >= 0)
			close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

int file_sync_directory(int directory)
{
	if (fsync(directory) == 0)
		return 0;
	/* A file system that cannot does it with the file, or later: nothing better is to be had. */
	return errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -errno;
}

static int remove_entries(int fd)
{
	DIR *stream = fdopendir(fd);
	struct dirent *entry;
	int err = 0;

	if (!stream) {
		err = -errno;
		close(fd);
		return err;
	}
	while (!err && (entry = readdir(stream))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(stream), entry->d_name, 0))
			err = -errno;
	}
	closedir(stream);
	return err;
}

int file_remove_directory(int directory, const char *name)
{
	int fd, err;

	fd = openat(directory, name, DIRECTORY_FLAGS | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	err = remove_entries(fd);
	if (err)
		return err;
	return unlinkat(directory, name, AT_REMOVEDIR) ? -errno : 0;
}

int file_list(const char *path, int (*select)(const struct dirent *entry), char ***ret_names,
	      size_t *ret_count)
{
	struct dirent **entries = NULL;
	int count, i, err = 0;
	char **names;

	count = scandir(path, &entries, select, alphasort);
	if (count < 0 && errno != ENOENT)
		return -errno;
	if (count < 0)
		count = 0;
	names = calloc(count ? (size_t)count : 1, sizeof(*names));
	for (i = 0; i < count; i++) {
		if (names)
			names[i] = strdup(entries[i]->d_name);
		if (!names || !names[i])
			err = -ENOMEM;
		free(entries[i]);
	}
	free(entries);
	if (!names || err) {
		file_list_free(names, (size_t)count);
		return -ENOMEM;
	}
	*ret_names = names;
	*ret_count = (size_t)count;
	return 0;
}

void file_list_free(char **names, size_t count)
{
	size_t i;

	for (i = 0; names && i < count; i++)
		free(names[i]);
	free(names);
}
