/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files that the responder creates and a group shares.  A path never shows a partial file. */
#ifndef SHARED_FILE_H
#define SHARED_FILE_H

#include <sys/types.h>

/*
 * Create a file with `mode` and group `group`, filled by `fill` (0 or -errno), in place of an
 * existing one. A process that has the old file open keeps it. Returns the descriptor, which the
 * caller owns, or -errno.
 */
int shared_file_make(const char *path, gid_t group, mode_t mode, int (*fill)(int fd, void *context),
		     void *context);

/* Set the group and mode of an existing file.  0 or -errno. */
int shared_file_give(int fd, gid_t group, mode_t mode);

#endif
