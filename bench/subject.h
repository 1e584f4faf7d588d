/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The programs under measurement, of one takeover, loaded as the responder does but
 * attached to nothing, with names that are pending.  Runs the classifier by
 * BPF_PROG_TEST_RUN.
 */
#ifndef SUBJECT_H
#define SUBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/steer_abi.h"

struct bpf_object;
struct bpf_prog_info;
struct ring_buffer;
struct frames_tap;
struct frame;

#define SUBJECT_PASS     (-1) /* TCX_NEXT */
#define SUBJECT_DROP     2 /* TC_ACT_SHOT */
#define SUBJECT_REDIRECT 7 /* TC_ACT_REDIRECT */

enum subject_takeover { SUBJECT_ASSIGN, SUBJECT_REPAIR, SUBJECT_TAKEOVERS };

struct subject {
	enum subject_takeover takeover;
	struct bpf_object *object;
	struct ring_buffer *adoptions; /* repair takeover only */
	int classifier_fd; /* steer_ethernet */
	int empty_fd; /* a program that only passes */
	int production_fd, responder_fd; /* listeners */
};

/*
 * Load the programs of `takeover`, with `names` armed names beside `server_name`, and open the
 * listeners of a production server and a responder on the tap, which must be open.
 * 0 or -errno; the libraries print what they have to say.
 */
int subject_open(enum subject_takeover takeover, const char *server_name, unsigned int names,
		 struct subject *ret_subject);
void subject_close(struct subject *subject);

/* Arm, or let nothing be pending (rule 0).  0 or -errno. */
int subject_arm(const struct subject *subject, bool armed);

/* Forget all SYN marks.  0 or -errno. */
int subject_forget(const struct subject *subject);

/*
 * Run the classifier, or the empty program, `repeat` times over the frame as it would arrive
 * on the tap.  *ret_ns is the mean of a run's time, *ret_action what the last returned.  0 or
 * -errno.
 */
int subject_run(int program_fd, const struct frames_tap *tap, const struct frame *frame,
		uint32_t repeat, uint32_t *ret_ns, int *ret_action);

/* Take what the programs left for user space (repair takeover). */
void subject_drain(const struct subject *subject);

/* Sum up the counters.  0 or -errno. */
int subject_counters(const struct subject *subject, uint64_t ret_values[STEER_COUNTERS]);

/* Let `visit` see what the kernel tells of each program.  0 or -errno. */
int subject_describe(const struct subject *subject,
		     void (*visit)(void *context, const struct bpf_prog_info *info), void *context);

#endif
