/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checks whether a responder can work on this machine (--check). */
#ifndef RESPONDER_CHECK_H
#define RESPONDER_CHECK_H

#include <stdio.h>

struct options;

/*
 * Print one fact on each line, then what the responder would use or what is missing. 0 when a
 * responder with these options would work, else -ENOTSUP.
 */
int check_print(const struct options *options, FILE *out);

#endif
