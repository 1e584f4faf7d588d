/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files that a responder makes and a group shares: at their names, they are whole. */
#ifndef SHARED_FILE_H
#define SHARED_FILE_H

#include <sys/types.h>

/*
 * Make a file anew, filled by `fill` (0 or -errno), with `mode` and group `group`, in place of one of
 * before, which whoever has it open keeps.  Its descriptor, the caller's, or -errno.
 */
int shared_file_make(const char *path, gid_t group, mode_t mode, int (*fill)(int fd, void *context),
		     void *context);

/* Give one that is there to the group.  0 or -errno. */
int shared_file_give(int fd, gid_t group, mode_t mode);

#endif
