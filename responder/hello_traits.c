// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/hello_traits.h"

#include <stdbool.h>

#include "common/evidence.h"

/* RFC 8446 sections 4.1.2 and 5.1: record header, handshake header, version, random. */
#define BEFORE_SESSION_ID (5 + 4 + 2 + 32)

/* RFC 8446 sections 4.2, 4.2.7; X25519MLKEM768 of draft-ietf-tls-ecdhe-mlkem. */
enum extension {
	EXTENSION_SERVER_NAME = 0,
	EXTENSION_SUPPORTED_GROUPS = 10,
	EXTENSION_KEY_SHARE = 51
};
#define NAME_TYPE_HOST 0 /* RFC 6066 section 3 */
enum group { GROUP_SECP256R1 = 0x0017, GROUP_X25519 = 0x001d, GROUP_X25519MLKEM768 = 0x11ec };

struct cursor {
	const uint8_t *at, *end;
};

/* A number of so many bytes; false at the end. */
static bool take(struct cursor *cursor, unsigned int size, uint32_t *ret_number)
{
	uint32_t number = 0;

	if ((size_t)(cursor->end - cursor->at) < size)
		return false;
	while (size--)
		number = number << 8 | *cursor->at++;
	*ret_number = number;
	return true;
}

/* RFC 8446 section 3.4: a vector behind its length, as far as there is one. */
static bool take_vector(struct cursor *cursor, unsigned int length_size, struct cursor *ret_vector)
{
	uint32_t length;

	if (!take(cursor, length_size, &length))
		return false;
	if (length > (size_t)(cursor->end - cursor->at))
		length = (uint32_t)(cursor->end - cursor->at);
	*ret_vector = (struct cursor){cursor->at, cursor->at + length};
	cursor->at += length;
	return true;
}

static uint16_t group_trait(uint32_t group, bool is_share)
{
	switch (group) {
	case GROUP_X25519MLKEM768:
		return is_share ? EVIDENCE_SHARE_X25519MLKEM768 : EVIDENCE_GROUP_X25519MLKEM768;
	case GROUP_X25519:
		return is_share ? EVIDENCE_SHARE_X25519 : EVIDENCE_GROUP_X25519;
	case GROUP_SECP256R1:
		return is_share ? EVIDENCE_SHARE_P256 : EVIDENCE_GROUP_P256;
	default:
		return 0;
	}
}

/* A list of groups, or of key shares: a group and its key each. */
static uint16_t groups_traits(struct cursor extension, bool are_shares)
{
	struct cursor list, key;
	uint16_t traits = 0;
	uint32_t group;

	if (!take_vector(&extension, 2, &list))
		return 0;
	while (take(&list, 2, &group)) {
		traits |= group_trait(group, are_shares);
		if (are_shares && !take_vector(&list, 2, &key))
			break;
	}
	return traits;
}

/* Session id, cipher suites and compression methods are passed over. */
static bool find_extensions(const uint8_t *bytes, size_t size, struct cursor *ret_extensions)
{
	struct cursor hello = {bytes + BEFORE_SESSION_ID, bytes + size}, other;

	return size >= BEFORE_SESSION_ID && take_vector(&hello, 1, &other) &&
	       take_vector(&hello, 2, &other) && take_vector(&hello, 1, &other) &&
	       take_vector(&hello, 2, ret_extensions);
}

uint16_t hello_traits(const uint8_t *bytes, size_t size)
{
	struct cursor extensions, extension;
	uint16_t traits = 0;
	uint32_t type;

	if (!find_extensions(bytes, size, &extensions))
		return 0;
	while (take(&extensions, 2, &type) && take_vector(&extensions, 2, &extension)) {
		if (type == EXTENSION_SUPPORTED_GROUPS)
			traits |= groups_traits(extension, false);
		else if (type == EXTENSION_KEY_SHARE)
			traits |= groups_traits(extension, true);
	}
	return traits;
}

/* RFC 6066 section 3: a list, in which only host names are defined. */
static size_t host_name_size(struct cursor extension)
{
	struct cursor list, name;
	uint32_t type;

	if (!take_vector(&extension, 2, &list))
		return 0;
	while (take(&list, 1, &type)) {
		uint32_t size;

		if (type == NAME_TYPE_HOST)
			return take(&list, 2, &size) ? size : 0;
		if (!take_vector(&list, 2, &name))
			break;
	}
	return 0;
}

size_t hello_server_name_size(const uint8_t *bytes, size_t size)
{
	struct cursor extensions, extension;
	uint32_t type;

	if (!find_extensions(bytes, size, &extensions))
		return 0;
	while (take(&extensions, 2, &type) && take_vector(&extensions, 2, &extension))
		if (type == EXTENSION_SERVER_NAME)
			return host_name_size(extension);
	return 0;
}
