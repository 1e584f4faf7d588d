/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One classifier as a filter of an interface's clsact qdisc (tc-bpf(8)): how to
 * attach on kernels without TCX, before 6.6.  Filters outlive whoever attached
 * them.
 */
#ifndef CLSACT_H
#define CLSACT_H

#include <stdbool.h>

/*
 * Attach the program, in one step in place of an earlier one of Sidestep's.
 * *ret_made_qdisc tells whether the interface had no clsact qdisc before.  0 or -errno.
 */
int clsact_attach(int ifindex, int program_fd, bool *ret_made_qdisc);

/* Is this very program attached?  1 or 0, or -errno. */
int clsact_has(int ifindex, int program_fd);

/* Detach, if it is this very program that is attached.  Nothing there is fine.  0 or -errno. */
int clsact_detach(int ifindex, int program_fd);

/* Remove the qdisc, unless it serves others' filters too, in either direction.  0 or -errno. */
int clsact_remove_qdisc(int ifindex);

#endif
