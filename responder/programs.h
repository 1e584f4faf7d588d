/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The built-in BPF programs: which of them this kernel can run, and loading them. Only this file
 * uses the BPF skeletons.
 */
#ifndef RESPONDER_PROGRAMS_H
#define RESPONDER_PROGRAMS_H

#include <stdio.h>

#include "responder/steer.h"

struct bpf_object;

/* Set up libbpf and the memory limit.  Call once, before other functions here. */
void programs_prepare(void);

/* Choose a takeover that this kernel supports, if the user does not name one. */
enum takeover programs_choose_takeover(enum takeover wanted);
const char *takeover_name(enum takeover takeover);

/* Open the programs of a takeover, not yet loaded; the caller closes them.  NULL: logged, with errno. */
struct bpf_object *programs_open(enum takeover takeover);

/* Load them.  0 or -errno, logged with the next step. */
int programs_load(struct bpf_object *object, enum takeover takeover);

/* Write which programs are loaded to paths->programs, for `sidestep status`.  0 or -errno, logged. */
int programs_write(const struct bpf_object *object, enum takeover takeover,
		   const struct paths *paths);

/* See steer_check(). */
int programs_check(FILE *out);

#endif
