/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The built-in BPF programs: which of them this kernel can run, and loading
 * them.  The only user of the BPF skeletons.
 */
#ifndef PROGRAMS_H
#define PROGRAMS_H

#include <stdio.h>

#include "responder/steer.h"

struct bpf_object;

/* What every user of libbpf here wants of it and of the limits.  Once, before all else. */
void programs_prepare(void);

/* The takeover that this kernel can go, where the user leaves it open. */
enum takeover programs_choose_takeover(enum takeover wanted);
const char *takeover_name(enum takeover takeover);

/* The programs of a takeover, not yet loaded; to be closed.  NULL: logged, with errno. */
struct bpf_object *programs_open(enum takeover takeover);

/* Load them.  0 or -errno, logged with what to do about it. */
int programs_load(struct bpf_object *object, enum takeover takeover);

/* Write which programs are loaded to paths->programs, for `sidestep status`.  0 or -errno, logged. */
int programs_write(const struct bpf_object *object, enum takeover takeover,
		   const struct paths *paths);

/* See steer_check(). */
int programs_check(FILE *out);

#endif
