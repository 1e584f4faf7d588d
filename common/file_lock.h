/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Taking a flock(2) with a timeout. */
#ifndef FILE_LOCK_H
#define FILE_LOCK_H

/*
 * Take the exclusive flock of an open file. It ends with its holder. Waits up to `patience_ms` for
 * the current holder. 0, -ETIMEDOUT or -errno.
 */
int file_lock(int fd, unsigned int patience_ms);

#endif
