/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the command line gives for a certificate that has settings already. */
#ifndef ACME_CONFIG_GIVEN_H
#define ACME_CONFIG_GIVEN_H

#include <stdbool.h>
#include <stddef.h>

#include "acme/util/certificate_spec.h"

/* Whether anything is given. */
bool given_any(const struct certificate_settings_given *given);

/* Set what is given, and leave the others as they are.  The texts are `given`'s; "" is no value. */
void given_apply(struct certificate_settings *settings,
		 const struct certificate_settings_given *given);

/* Write the options that are given and say something else than `settings`: "--bundle, --key-type". */
void given_differences(char *text, size_t size, const struct certificate_settings_given *given,
		       const struct certificate_settings *settings);

#endif
