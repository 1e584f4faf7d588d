// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Replaces common/challenge_table.c, challenge_slots.c and instance.c: the responder's table in
 * memory, which processes share and outlive, as they do the real one.
 */
#include "common/challenge_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/clock.h"
#include "common/instance.h"
#include "tests/sim/internal.h"

struct entry {
	TAILQ_ENTRY(entry) link;
	struct challenge challenge;
};

struct challenge_table {
	unsigned int edition; /* of the responder's table */
};

static struct {
	TAILQ_HEAD(entries, entry) entries;
	unsigned int edition;
	uint32_t published;
	bool runs;
} responder;

static void entry_free(struct entry *entry)
{
	TAILQ_REMOVE(&responder.entries, entry, link);
	free(entry);
}

static void sweep(void)
{
	struct entry *entry, *next;

	for (entry = TAILQ_FIRST(&responder.entries); entry; entry = next) {
		next = TAILQ_NEXT(entry, link);
		if (entry->challenge.expires_ns <= clock_boottime_ns())
			entry_free(entry);
	}
}

static struct entry *find(const char *name, size_t length)
{
	struct entry *entry;

	sweep();
	for (entry = TAILQ_FIRST(&responder.entries); entry; entry = TAILQ_NEXT(entry, link))
		if (strlen(entry->challenge.cert.identifier.value) == length &&
		    strncasecmp(entry->challenge.cert.identifier.value, name, length) == 0)
			return entry;
	return NULL;
}

/* --- what agents call ------------------------------------------------------------------------------ */

int challenge_table_open(struct challenge_table **ret_table, const struct paths *paths,
			 enum challenge_table_mode mode)
{
	struct challenge_table *table;

	(void)paths;
	(void)mode;
	if (!responder.runs)
		return -ENOENT;
	table = calloc(1, sizeof(*table));
	if (!table)
		return -ENOMEM;
	table->edition = responder.edition;
	*ret_table = table;
	return 0;
}

void challenge_table_free(struct challenge_table *table)
{
	free(table);
}

int challenge_table_publish(struct challenge_table *table, const struct identifier *identifier,
			    const uint8_t digest[CHALLENGE_DIGEST_SIZE], uint32_t ttl_s)
{
	struct entry *entry;
	int err = -seam(SIM_TABLE, identifier->value);

	if (err)
		return err;
	if (ttl_s == 0 || ttl_s > CHALLENGE_TTL_MAX_S)
		return -EINVAL;
	if (table->edition != responder.edition)
		return -ESTALE;
	entry = find(identifier->value, strlen(identifier->value));
	if (entry)
		entry_free(entry);
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	entry->challenge.cert.identifier = *identifier;
	entry->challenge.cert.issued_at = (uint32_t)clock_now_s();
	memcpy(entry->challenge.cert.digest, digest, CHALLENGE_DIGEST_SIZE);
	entry->challenge.published_ns = clock_boottime_ns();
	entry->challenge.expires_ns = clock_boottime_ns() + ttl_s * CLOCK_NS_PER_S;
	entry->challenge.generation = ++responder.published;
	TAILQ_INSERT_TAIL(&responder.entries, entry, link);
	sim_log("%s is armed for %u s", identifier->value, ttl_s);
	return 0;
}

int challenge_table_withdraw(struct challenge_table *table, const struct identifier *identifier,
			     const uint8_t *digest, uint32_t grace_s)
{
	uint64_t end_ns = clock_boottime_ns() + grace_s * CLOCK_NS_PER_S;
	struct entry *entry;
	int err = -seam(SIM_TABLE, identifier->value);

	if (err)
		return err;
	if (table->edition != responder.edition)
		return -ESTALE;
	entry = find(identifier->value, strlen(identifier->value));
	if (!entry || entry->challenge.withdrawn ||
	    (digest && memcmp(entry->challenge.cert.digest, digest, CHALLENGE_DIGEST_SIZE) != 0))
		return -ENOENT;
	if (digest && memcmp(entry->challenge.cert.digest, digest, CHALLENGE_DIGEST_SIZE) != 0)
		return -ENOENT;
	entry->challenge.withdrawn = true;
	if (entry->challenge.expires_ns > end_ns)
		entry->challenge.expires_ns = end_ns;
	sim_log("%s is withdrawn", identifier->value);
	return 0;
}

int challenge_table_find(struct challenge_table *table, const char *server_name, size_t length,
			 struct challenge *ret_challenge)
{
	const struct entry *entry = find(server_name, length);

	(void)table;
	if (!entry)
		return -ENOENT;
	*ret_challenge = entry->challenge;
	return 0;
}

int challenge_table_next(struct challenge_table *table, uint32_t *cursor,
			 struct challenge *ret_challenge)
{
	const struct entry *entry;

	(void)table;
	for (entry = TAILQ_FIRST(&responder.entries); entry; entry = TAILQ_NEXT(entry, link)) {
		if (entry->challenge.generation <= *cursor)
			continue;
		*cursor = entry->challenge.generation;
		*ret_challenge = entry->challenge;
		return 0;
	}
	return -ENOENT;
}

int instance_is_running(const struct paths *paths)
{
	(void)paths;
	return responder.runs;
}

/* --- what scenarios call --------------------------------------------------------------------------- */

size_t sim_table_find(const char *name, uint8_t (*ret_digests)[CHALLENGE_DIGEST_SIZE], size_t max)
{
	const struct entry *entry = responder.runs ? find(name, strlen(name)) : NULL;

	if (!entry)
		return 0;
	if (max)
		memcpy(ret_digests[0], entry->challenge.cert.digest, CHALLENGE_DIGEST_SIZE);
	return 1;
}

size_t sim_table_count(void)
{
	const struct entry *entry;
	size_t count = 0;

	sweep();
	for (entry = TAILQ_FIRST(&responder.entries); entry; entry = TAILQ_NEXT(entry, link))
		count++;
	return count;
}

void sim_responder_set(bool is_running)
{
	responder.runs = is_running;
	sim_log("the responder %s", is_running ? "runs" : "is down");
}

void sim_table_renew(void)
{
	while (!TAILQ_EMPTY(&responder.entries))
		entry_free(TAILQ_FIRST(&responder.entries));
	responder.edition++;
	sim_log("the responder creates a new table");
}

void table_begin(void)
{
	TAILQ_INIT(&responder.entries);
	responder.edition = 1;
	responder.runs = true;
}

void table_end(void)
{
	sim_table_renew();
}
