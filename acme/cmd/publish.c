// SPDX-License-Identifier: GPL-3.0-or-later
/* `sidestep publish` and `sidestep withdraw`: arm and disarm a name for another ACME client. */
#include <jansson.h>
#include <stddef.h>
#include <string.h>

#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/util/failure.h"
#include "acme/challenge/responder.h"
#include "acme/crypto/digest.h"
#include "acme/config/identifiers.h"
#include "acme/util/output.h"
#include "acme/cmd/verbs.h"
#include "common/challenge_table.h"

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool parse_digest(uint8_t ret_digest[CHALLENGE_DIGEST_SIZE], const char *hex)
{
	int high, low, i;

	if (strlen(hex) != 2 * CHALLENGE_DIGEST_SIZE)
		return false;
	for (i = 0; i < CHALLENGE_DIGEST_SIZE; i++) {
		high = hex_value(hex[2 * i]);
		low = hex_value(hex[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		ret_digest[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* Compute the digest from the one option that is given. */
static void find_digest(uint8_t ret_digest[CHALLENGE_DIGEST_SIZE],
			const struct arguments *arguments, struct failure *failure)
{
	_Static_assert(CHALLENGE_DIGEST_SIZE == DIGEST_SIZE, "both are SHA-256");
	if (!arguments->digest == !arguments->key_authorization)
		failure_set(failure, NULL, "give one of --digest and --key-authorization");
	else if (arguments->digest && !parse_digest(ret_digest, arguments->digest))
		failure_set(failure, NULL,
			    "--digest takes 64 hexadecimal digits, a SHA-256, not '%s'",
			    arguments->digest);
	/* RFC 8555 section 8.1: token and thumbprint, with a dot between. */
	else if (arguments->key_authorization && !strchr(arguments->key_authorization, '.'))
		failure_set(failure, NULL, "--key-authorization takes TOKEN.THUMBPRINT, not '%s'",
			    arguments->key_authorization);
	else if (arguments->key_authorization &&
		 digest_sha256(ret_digest, arguments->key_authorization,
			       strlen(arguments->key_authorization)))
		failure_set(failure, NULL, "wolfCrypt cannot compute the digest");
}

/* Print `failure` and return `status`, which tells a user's mistake from other errors. */
static int publish_finish(struct failure *failure, int status)
{
	output_fatal(failure);
	failure_done(failure);
	return status;
}

int verb_publish(const struct arguments *arguments, const struct settings *settings)
{
	uint8_t digest[CHALLENGE_DIGEST_SIZE];
	struct challenge_table *table;
	struct failure failure = {0};
	struct identifier name;
	int err;

	if (identifiers_parse_one(&name, arguments->name, &failure))
		return publish_finish(&failure, EXIT_USAGE);
	find_digest(digest, arguments, &failure);
	if (failure_is_set(&failure))
		return publish_finish(&failure, EXIT_USAGE);
	if (responder_open(&table, settings->paths, &failure))
		return publish_finish(&failure, EXIT_FAILED);
	err = challenge_table_publish(table, &name, digest, arguments->ttl_s);
	challenge_table_free(table);
	if (err) {
		responder_explain_publish(&failure, err, name.value);
		return publish_finish(&failure, EXIT_FAILED);
	}
	output_line("%s is armed for %u s.", name.value, arguments->ttl_s);
	output_document(json_pack("{s:b, s:s, s:s, s:i}", "ok", 1, "name", name.value,
				  "server_name", name.sni, "ttl_s", (int)arguments->ttl_s));
	return EXIT_DONE;
}

int verb_withdraw(const struct arguments *arguments, const struct settings *settings)
{
	struct challenge_table *table;
	struct failure failure = {0};
	struct identifier name;
	int err;

	if (identifiers_parse_one(&name, arguments->name, &failure))
		return publish_finish(&failure, EXIT_USAGE);
	/* Withdraw without a running responder too: the next one would find the name armed. */
	err = challenge_table_open(&table, settings->paths, CHALLENGE_TABLE_WRITE);
	if (err) {
		responder_explain_open(&failure, err, settings->paths);
		return publish_finish(&failure, EXIT_FAILED);
	}
	err = challenge_table_withdraw(table, &name, NULL, 0);
	challenge_table_free(table);
	if (err) {
		responder_explain_publish(&failure, err, name.value);
		return publish_finish(&failure, EXIT_FAILED);
	}
	output_line("%s is disarmed.", name.value);
	output_document(json_pack("{s:b, s:s}", "ok", 1, "name", name.value));
	return EXIT_DONE;
}
