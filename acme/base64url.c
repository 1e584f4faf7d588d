/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/base64url.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64url_encode(char *ret_text, const void *bytes, size_t size)
{
	const uint8_t *in = bytes;
	uint32_t group;
	size_t left;
	int i;

	while (size) {
		left = size < 3 ? size : 3;
		group = (uint32_t)in[0] << 16 | (left > 1 ? in[1] << 8 : 0) |
			(left > 2 ? in[2] : 0);
		for (i = 0; i <= (int)left; i++)
			*ret_text++ = alphabet[group >> (18 - 6 * i) & 0x3f];
		in += left;
		size -= left;
	}
	*ret_text = '\0';
}

char *base64url_new(const void *bytes, size_t size)
{
	char *text = malloc(BASE64URL_LENGTH(size) + 1);

	if (text)
		base64url_encode(text, bytes, size);
	return text;
}

bool base64url_is_valid(const char *text)
{
	return *text && text[strspn(text, alphabet)] == '\0';
}
