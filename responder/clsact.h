/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A classifier as a filter of an interface's clsact qdisc (tc-bpf(8)), for kernels before 6.6,
 * which have no TCX. Filters outlive the process that attached them.
 */
#ifndef RESPONDER_CLSACT_H
#define RESPONDER_CLSACT_H

#include <stdbool.h>

/*
 * Attach the program; replaces an earlier Sidestep filter in one step. *ret_made_qdisc: the
 * interface had no clsact qdisc before. 0 or -errno.
 */
int clsact_attach(int ifindex, int program_fd, bool *ret_made_qdisc);

/* Is this very program attached?  1 or 0, or -errno. */
int clsact_has(int ifindex, int program_fd);

/* Detach this program.  0, also when another program or none is attached, or -errno. */
int clsact_detach(int ifindex, int program_fd);

/* Remove the qdisc, unless it has other filters in either direction.  0 or -errno. */
int clsact_remove_qdisc(int ifindex);

#endif
