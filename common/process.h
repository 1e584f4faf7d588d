/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What programs of ours do first: with their descriptors, and with their user. */
#ifndef PROCESS_H
#define PROCESS_H

/*
 * Open the descriptors 0, 1 and 2 on /dev/null where they are closed: else the next file that
 * the program opens becomes its standard output, and messages are written into it.
 * To be called before anything is opened.  0 or -errno.
 */
int process_open_standard_descriptors(void);

/*
 * As root, and where the directory `path` belongs to another user of this system: become that user,
 * in his groups, for good, so that no file of root's comes among his.  0 also where there is nothing
 * to do, or -errno.
 */
int process_become_owner(const char *path);

#endif
