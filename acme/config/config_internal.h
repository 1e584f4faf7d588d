/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What config.c, which keeps the sections, and config_file.c, which reads a file, share. */
#ifndef ACME_CONFIG_CONFIG_INTERNAL_H
#define ACME_CONFIG_CONFIG_INTERNAL_H

#include <stddef.h>

#include "acme/config/config.h"

struct stat;

/* What the name of a section begins with: "certificate". */
const char *config_kind_word(enum config_kind kind);

/* Let the configuration own a string.  Returns it; NULL: `text` is NULL, or out of memory. */
const char *config_keep(struct config *config, char *text);

/* The section, a new one if there is none.  NULL: out of memory. */
struct config_section *config_enter(struct config *config, enum config_kind kind,
				    const char *label);

/* Note how a file is; `status` is NULL where there is none.  0 or -ENOMEM. */
int config_stamp(struct config *config, const char *path, const struct stat *status);

/* Add what one file says.  0, or -1 with `failure` filled in. */
int config_read_file(struct config *config, const char *path, struct failure *failure);

#endif
