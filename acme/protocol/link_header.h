/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The Link header: RFC 8288. */
#ifndef ACME_PROTOCOL_LINK_HEADER_H
#define ACME_PROTOCOL_LINK_HEADER_H

#include <stddef.h>

/*
 * Copy from a header's value the targets of the links of this relation, as absolute URLs; relative
 * ones are relative to `base`.  At most `max` new strings.  A syntax error or lack of memory ends
 * the reading.  Returns how many.
 */
size_t link_header_read(char **ret_urls, size_t max, const char *value, const char *relation,
			const char *base);

#endif
