/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files that are whole or not there: after a crash or a power cut a reader
 * finds the old content or the new, never a part.  All names are relative to a
 * directory's descriptor, and symbolic links are not followed.
 */
#ifndef ACME_UTIL_FILE_H
#define ACME_UTIL_FILE_H

#include <stddef.h>
#include <sys/types.h>

/* Owner, group and permissions that a file is to have. */
struct file_access {
	uid_t uid;
	gid_t gid;
	mode_t mode;
};

/* What a new file of ours gets. */
struct file_access file_access_own(mode_t mode);

/*
 * Make the file, which must not exist, write `data` and wait for the disk.  The
 * caller syncs the directory.  0 or -errno (-EEXIST); on an error nothing is left.
 */
int file_create(int directory, const char *name, const struct file_access *access, const void *data,
		size_t size);

/* The same, made under another name and given its own in one step; syncs the directory. */
int file_create_atomically(int directory, const char *name, const struct file_access *access,
			   const void *data, size_t size);

/* The same, in place of what may be there. */
int file_replace(int directory, const char *name, const struct file_access *access,
		 const void *data, size_t size);

/*
 * Read a whole file of at most `max` bytes into a new buffer with a zero behind
 * the last byte; follows links.  0, -EFBIG, -ENOMEM or -errno.
 */
int file_read(int directory, const char *name, size_t max, char **ret_data, size_t *ret_size);

/*
 * The names in a directory that `select` takes (as scandir(3)'s filter), sorted by bytes, as a new
 * array of new strings; a directory that is not there has none.  0 or -errno.
 */
struct dirent;
int file_list(const char *path, int (*select)(const struct dirent *entry), char ***ret_names,
	      size_t *ret_count);
void file_list_free(char **names, size_t count);

/* Make a directory, or take the one that is there; *ret_fd is the caller's.  0 or -errno. */
int file_open_directory(int directory, const char *name, mode_t mode, int *ret_fd);

/* The same for a path with all of its parents. */
int file_open_path(const char *path, mode_t mode, int *ret_fd);

/* Wait until the disk has the directory's entries.  0 or -errno. */
int file_sync_directory(int directory);

/* Remove a directory and the files in it.  0, also when it is not there, or -errno. */
int file_remove_directory(int directory, const char *name);

#endif
