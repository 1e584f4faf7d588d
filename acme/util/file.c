// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/util/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

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
	return fchmod(fd, access->mode) ? -errno : 0;
}

int file_create(int directory, const char *name, const struct file_access *access, const void *data,
		size_t size)
{
	int fd, err;

	/* Let nobody else read the file before its owner and mode are set. */
	fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = set_access(fd, access);
	if (!err)
		err = write_all(fd, data, size);
	if (!err && fsync(fd))
		err = -errno;
	if (close(fd) && !err)
		err = -errno;
	if (err)
		unlinkat(directory, name, 0);
	return err;
}

/* A name with our process id, so that no two processes use the same file. */
static int temporary_name(char ret_name[NAME_MAX + 1], const char *name)
{
	int length = snprintf(ret_name, NAME_MAX + 1, ".%s.%ld", name, (long)getpid());

	return length <= NAME_MAX ? 0 : -ENAMETOOLONG;
}

int file_create_atomically(int directory, const char *name, const struct file_access *access,
			   const void *data, size_t size)
{
	char temporary[NAME_MAX + 1];
	int err;

	err = temporary_name(temporary, name);
	if (!err)
		err = file_create(directory, temporary, access, data, size);
	if (err)
		return err;
	/* Unlike rename(2), link(2) fails when the name exists. */
	if (linkat(directory, temporary, directory, name, 0))
		err = -errno;
	if (unlinkat(directory, temporary, 0) && !err)
		err = -errno;
	return err ? err : file_sync_directory(directory);
}

int file_replace(int directory, const char *name, const struct file_access *access,
		 const void *data, size_t size)
{
	char temporary[NAME_MAX + 1];
	int err;

	err = temporary_name(temporary, name);
	if (!err)
		err = file_create(directory, temporary, access, data, size);
	if (err)
		return err;
	if (renameat(directory, temporary, directory, name)) {
		err = -errno;
		unlinkat(directory, temporary, 0);
		return err;
	}
	return file_sync_directory(directory);
}

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
	int fd;

	if (!is_new && errno != EEXIST)
		return -errno;
	fd = openat(directory, name, DIRECTORY_FLAGS);
	if (fd < 0)
		return -errno;
	if (is_new && fsync(directory)) {
		close(fd);
		return -errno;
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
	return fsync(directory) ? -errno : 0;
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
