/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is asked for: identifiers, and the key authorization that each certificate must
 * have the digest of, where it is known.  From --name, a file, or generated.
 */
#ifndef BENCH_SUBJECT_H
#define BENCH_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/validator/verify.h"
#include "common/identifier.h"

struct subject {
	struct identifier identifier;
	uint8_t digest[VERIFY_DIGEST_SIZE];
	bool has_digest; /* else only the form is verified */
};

struct subjects; /* a list of them; read by many threads at once */

int subjects_new(struct subjects **ret_subjects);
void subjects_free(struct subjects *subjects);

/*
 * What is wrong with something of the user's; `line` of the file, counted from 1, or 0.
 * The text has static storage.
 */
struct subject_error {
	size_t line;
	const char *text;
};

/*
 * One more: an identifier, and NULL or a key authorization or its digest, in 64
 * hexadecimal digits.  0, -EINVAL with `err` set, or -ENOMEM.
 */
int subjects_add(struct subjects *subjects, const char *name, const char *answer,
		 struct subject_error *error);
/*
 * All of a file: a line is a name, and perhaps behind blanks its key authorization or
 * digest.  Empty lines and those that begin with # do not count.  As subjects_add(), or
 * another -errno when the file cannot be read.
 */
int subjects_add_file(struct subjects *subjects, const char *path, struct subject_error *error);
/* nN.SUFFIX for N from 0 to count - 1.  As subjects_add(). */
int subjects_generate(struct subjects *subjects, size_t count, const char *suffix,
		      struct subject_error *error);
/* The key authorization or digest of all that have none of their own. */
int subjects_set_answer(struct subjects *subjects, const char *answer, struct subject_error *error);

size_t subjects_count(const struct subjects *subjects);
void subjects_get(const struct subjects *subjects, size_t index, struct subject *ret_subject);

/* What a certificate must satisfy now; points into `subject`. */
struct verify_expected subject_expected(const struct subject *subject);

#endif
