/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Relative URLs: RFC 3986 section 5.  By libcurl. */
#ifndef ACME_NET_URL_H
#define ACME_NET_URL_H

#include <stddef.h>

/*
 * The absolute URL of the `length` characters at `target`, which may be relative to `base`; a new
 * string.  NULL: the result is not a URL that url_is_usable() takes, or out of memory.
 */
char *url_resolve(const char *target, size_t length, const char *base);

#endif
