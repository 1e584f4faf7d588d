/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files that a responder makes and a group shares: at their names, they are whole. */
#ifndef SHARED_FILE_H
#define SHARED_FILE_H

#include <sys/types.h>

/*
 * Create a file, filled by `fill` (0 or -errno), with `mode` and group `group`.  It replaces an
 * earlier file; a process that has that one open keeps it.  Returns its descriptor, which the
 * caller closes, or -errno.
 */
int shared_file_make(const char *path, gid_t group, mode_t mode, int (*fill)(int fd, void *context),
		     void *context);

/* Give one that is there to the group.  0 or -errno. */
int shared_file_give(int fd, gid_t group, mode_t mode);

#endif
