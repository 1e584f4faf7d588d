// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/net/url.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "acme/util/json.h"

#define URL_LENGTH 2048

char *url_resolve(const char *target, size_t length, const char *base)
{
	char *relative = strndup(target, length), *absolute = NULL, *url = NULL;
	CURLU *handle = curl_url();

	if (relative && handle && length < URL_LENGTH &&
	    !curl_url_set(handle, CURLUPART_URL, base, 0) &&
	    !curl_url_set(handle, CURLUPART_URL, relative, 0) &&
	    !curl_url_get(handle, CURLUPART_URL, &absolute, 0) && url_is_usable(absolute))
		url = strdup(absolute);
	curl_free(absolute);
	curl_url_cleanup(handle);
	free(relative);
	return url;
}
