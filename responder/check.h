/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the machine must offer before a responder can work there. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>

struct options;

/*
 * Print facts, a line each, and at last what would be used or what is missing
 * (--check).  0 when a responder with these options would work, else -ENOTSUP.
 */
int check_print(const struct options *options, FILE *out);

#endif
