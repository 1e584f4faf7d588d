/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Waiting for a flock(2), and not for ever. */
#ifndef FILE_LOCK_H
#define FILE_LOCK_H

/*
 * Take the exclusive flock of an open file, which dies with its holder.  Waits up to `patience_ms`
 * for whoever has it.  0, -ETIMEDOUT or -errno.
 */
int file_lock(int fd, unsigned int patience_ms);

#endif
