/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Times as users write them: 90s, 15m, 12h, 30d, 2w. */
#ifndef ACME_UTIL_DURATION_H
#define ACME_UTIL_DURATION_H

#include <stdbool.h>
#include <stdint.h>

#define DURATION_EXAMPLES "write it as 30d or 12h (s, m, h, d or w)"

/* From 1 s to ten years.  False: the text is none. */
bool duration_parse(int64_t *ret_s, const char *text);

#endif
