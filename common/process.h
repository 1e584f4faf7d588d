/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every program of ours does first. */
#ifndef PROCESS_H
#define PROCESS_H

/*
 * Open the descriptors 0, 1 and 2 on /dev/null where they are closed: else the next file that
 * the program opens becomes its standard output, and messages are written into it.
 * To be called before anything is opened.  0 or -errno.
 */
int process_open_standard_descriptors(void);

#endif
