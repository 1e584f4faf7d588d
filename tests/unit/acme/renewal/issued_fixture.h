/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Certificates that a CA has just issued, for the tests of what comes after. */
#ifndef TESTS_UNIT_ACME_RENEWAL_ISSUED_FIXTURE_H
#define TESTS_UNIT_ACME_RENEWAL_ISSUED_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "acme/util/certificate_spec.h"

struct paths;
struct state;

#define ISSUED_SERVER "https://ca.example/"

/* cmocka's group setup: /tmp is memory instead of a disk, which other programs may keep busy. */
int issued_enter_namespace(void **context);

/*
 * Everything that an order leaves, up to the moment when its hooks are due: the lineage of `spec`, of
 * which name and settings are taken, and a certificate for these names.  The lineage's id.
 */
int64_t issued_new(struct state *state, const struct paths *paths,
		   const struct certificate_spec *spec, const char *const *names, size_t count);

#endif
