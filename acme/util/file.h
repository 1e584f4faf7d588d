/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing files completely or not at all: after a crash or a power cut a reader finds the old
 * content or the new content, never a part.  All names are relative to a directory's descriptor.
 * Symbolic links are not followed.
 */
#ifndef ACME_UTIL_FILE_H
#define ACME_UTIL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Owner, group and permissions of a new file. */
struct file_access {
	uid_t uid;
	gid_t gid;
	mode_t mode;
};

/* Owned by this process's user and group, with this mode. */
struct file_access file_access_own(mode_t mode);

/*
 * Create the file, which must not exist, write `data` and wait for the disk.  The caller syncs the
 * directory.  0 or -errno (-EEXIST); on an error the file is removed.
 */
int file_create(int directory, const char *name, const struct file_access *access, const void *data,
		size_t size);

/*
 * The same under a name of its own that begins with a dot and `name`.  Whoever calls it removes the
 * file; within hours, for old ones that killed processes have left are removed here.
 */
#define FILE_TEMPORARY_MAX 256
int file_create_temporary(int directory, const char *name, const struct file_access *access,
			  const void *data, size_t size, char ret_temporary[FILE_TEMPORARY_MAX]);

/*
 * The same in one step: write under a temporary name, then rename.  Syncs the directory.  Removes old
 * temporary files as file_create_temporary() does.
 */
int file_create_atomically(int directory, const char *name, const struct file_access *access,
			   const void *data, size_t size);

/* The same, but replaces a file of this name. */
int file_replace(int directory, const char *name, const struct file_access *access,
		 const void *data, size_t size);

/*
 * Read a whole file of at most `max` bytes into a new buffer with a zero after the last byte.
 * Follows symbolic links.  0, -EFBIG, -ENOMEM or -errno.
 */
int file_read(int directory, const char *name, size_t max, char **ret_data, size_t *ret_size);

/*
 * The names in a directory that `select` (scandir(3)'s filter) accepts, sorted by bytes, as a new
 * array of new strings.  A directory that does not exist has none.  0 or -errno.
 */
struct dirent;
int file_list(const char *path, int (*select)(const struct dirent *entry), char ***ret_names,
	      size_t *ret_count);
void file_list_free(char **names, size_t count);

/* Open a directory and create it if necessary; the caller closes *ret_fd.  0 or -errno. */
int file_open_directory(int directory, const char *name, mode_t mode, int *ret_fd);

/* Create a path with all of its parents. */
int file_open_path(const char *path, mode_t mode, int *ret_fd);

/*
 * Wait until the directory's entries are on the disk.  0, also where the file system cannot do that, or
 * -errno.
 */
int file_sync_directory(int directory);

/* Remove a directory and the files in it.  0, also when it does not exist, or -errno. */
int file_remove_directory(int directory, const char *name);

#endif
