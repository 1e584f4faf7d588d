/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The first steps of a program: its standard descriptors, and its user. */
#ifndef PROCESS_H
#define PROCESS_H

/*
 * Open the descriptors 0, 1 and 2 on /dev/null where they are closed. Otherwise the next file that
 * the program opens becomes its standard output and receives its messages. Call this before opening
 * any file. 0 or -errno.
 */
int process_open_standard_descriptors(void);

/*
 * If the caller is root and the directory `path` belongs to another user of this system, become
 * that user, with his groups, for good. So no file of root appears among his. 0, also when there is
 * nothing to do, or -errno.
 */
int process_become_owner(const char *path);

#endif
