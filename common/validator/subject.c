// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/validator/subject.h"
#include "common/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#define BLANKS " \t\r\n"

struct entry {
	char *name; /* the identifier's value; owned */
	uint8_t digest[VERIFY_DIGEST_SIZE];
	bool has_digest;
};

struct subjects {
	struct entry *entries;
	size_t count, room;
};

int subjects_new(struct subjects **ret_subjects)
{
	struct subjects *subjects = calloc(1, sizeof(*subjects));

	if (!subjects)
		return -ENOMEM;
	*ret_subjects = subjects;
	return 0;
}

void subjects_free(struct subjects *subjects)
{
	if (!subjects)
		return;
	for (size_t i = 0; i < subjects->count; i++)
		free(subjects->entries[i].name);
	free(subjects->entries);
	free(subjects);
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_digest(uint8_t *ret_digest, const char *text)
{
	uint8_t digest[VERIFY_DIGEST_SIZE];

	if (strlen(text) != 2 * sizeof(digest))
		return false;
	for (size_t i = 0; i < sizeof(digest); i++) {
		int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		digest[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(ret_digest, digest, sizeof(digest));
	return true;
}

/* RFC 8555 section 8.1: TOKEN.THUMBPRINT, whose SHA-256 is the answer; or that itself. */
static int parse_answer(uint8_t *ret_digest, const char *text, struct subject_error *error)
{
	if (parse_digest(ret_digest, text))
		return 0;
	if (!strchr(text, '.')) {
		error->text = "this is neither a key authorization (TOKEN.THUMBPRINT) nor 64 "
			      "hexadecimal digits";
		return -EINVAL;
	}
	if (!EVP_Digest(text, strlen(text), ret_digest, NULL, EVP_sha256(), NULL))
		return -ENOMEM;
	return 0;
}

static int make_room(struct subjects *subjects)
{
	size_t room = subjects->room ? 2 * subjects->room : 16;
	struct entry *entries;

	if (subjects->count < subjects->room)
		return 0;
	entries = reallocarray(subjects->entries, room, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	subjects->entries = entries;
	subjects->room = room;
	return 0;
}

int subjects_add(struct subjects *subjects, const char *name, const char *answer,
		 struct subject_error *error)
{
	struct entry entry = {.has_digest = answer != NULL};
	enum identifier_error wrong;
	struct identifier identifier;
	int err;

	wrong = identifier_parse(&identifier, name);
	if (wrong != IDENTIFIER_OK && wrong != IDENTIFIER_SINGLE_LABEL) {
		error->text = identifier_error_text(wrong);
		return -EINVAL;
	}
	err = answer ? parse_answer(entry.digest, answer, error) : 0;
	if (!err)
		err = make_room(subjects);
	if (err)
		return err;
	entry.name = strdup(identifier.value);
	if (!entry.name)
		return -ENOMEM;
	subjects->entries[subjects->count++] = entry;
	return 0;
}

static int add_line(struct subjects *subjects, char *line, struct subject_error *error)
{
	char *rest, *name = strtok_r(line, BLANKS, &rest), *answer;

	if (!name || *name == '#')
		return 0;
	answer = strtok_r(NULL, BLANKS, &rest);
	if (strtok_r(NULL, BLANKS, &rest)) {
		error->text = "there are more than two words";
		return -EINVAL;
	}
	return subjects_add(subjects, name, answer, error);
}

int subjects_add_file(struct subjects *subjects, const char *path, struct subject_error *error)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	int err = 0;

	if (!file)
		return -errno;
	error->line = 0;
	while (!err && (errno = 0, getline(&line, &size, file)) >= 0) {
		error->line++;
		err = add_line(subjects, line, error);
	}
	if (!err && !feof(file))
		err = errno ? -errno : -EIO;
	free(line);
	fclose(file);
	return err;
}

int subjects_generate(struct subjects *subjects, size_t count, const char *suffix,
		      struct subject_error *error)
{
	char name[sizeof(((struct identifier *)0)->value) + 32];
	int err = 0;

	for (size_t i = 0; !err && i < count; i++) {
		snprintf(name, sizeof(name), "n%zu.%s", i, suffix);
		err = subjects_add(subjects, name, NULL, error);
	}
	return err;
}

int subjects_set_answer(struct subjects *subjects, const char *answer, struct subject_error *error)
{
	uint8_t digest[VERIFY_DIGEST_SIZE];
	int err = parse_answer(digest, answer, error);

	for (size_t i = 0; !err && i < subjects->count; i++) {
		if (subjects->entries[i].has_digest)
			continue;
		memcpy(subjects->entries[i].digest, digest, sizeof(digest));
		subjects->entries[i].has_digest = true;
	}
	return err;
}

size_t subjects_count(const struct subjects *subjects)
{
	return subjects->count;
}

void subjects_get(const struct subjects *subjects, size_t index, struct subject *ret_subject)
{
	const struct entry *entry = &subjects->entries[index];
	enum identifier_error wrong;

	assert(index < subjects->count);
	wrong = identifier_parse(&ret_subject->identifier, entry->name);
	assert(wrong == IDENTIFIER_OK || wrong == IDENTIFIER_SINGLE_LABEL);
	memcpy(ret_subject->digest, entry->digest, sizeof(entry->digest));
	ret_subject->has_digest = entry->has_digest;
}

struct verify_expected subject_expected(const struct subject *subject)
{
	const struct identifier *identifier = &subject->identifier;
	struct verify_expected expected = {
		.type = VERIFY_IP_ADDRESS,
		.name = identifier->address,
		.digest = subject->has_digest ? subject->digest : NULL,
		.now = clock_now_s(),
	};

	switch (identifier->type) {
	case IDENTIFIER_DNS:
		expected.type = VERIFY_DNS_NAME;
		expected.name = (const uint8_t *)identifier->value;
		expected.name_size = strlen(identifier->value);
		break;
	case IDENTIFIER_IPV4:
		expected.name_size = 4;
		break;
	case IDENTIFIER_IPV6:
		expected.name_size = 16;
		break;
	}
	return expected;
}
