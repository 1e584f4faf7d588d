// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/util/base64url.h"

#include <errno.h>
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

/* The six bits of a character (RFC 4648 section 5); -1: not in the alphabet. */
static int base64url_sextet(char c)
{
	const char *found = c ? strchr(alphabet, c) : NULL;

	return found ? (int)(found - alphabet) : -1;
}

int base64url_decode(void *ret_bytes, size_t max, size_t *ret_size, const char *text)
{
	size_t length = strlen(text), size = 0, i;
	uint8_t *bytes = ret_bytes;
	uint32_t group = 0;
	int bits;

	if (length % 4 == 1)
		return -EBADMSG;
	if (length / 4 * 3 + (length % 4 ? length % 4 - 1 : 0) > max)
		return -EFBIG;
	for (i = 0; i < length; i++) {
		bits = base64url_sextet(text[i]);
		if (bits < 0)
			return -EBADMSG;
		group = group << 6 | (uint32_t)bits;
		/* Each character but the first of four completes a byte. */
		if (i % 4)
			bytes[size++] = (uint8_t)(group >> (6 - 2 * (i % 4)));
	}
	*ret_size = size;
	return 0;
}

bool base64url_is_valid(const char *text)
{
	return *text && text[strspn(text, alphabet)] == '\0';
}
