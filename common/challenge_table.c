// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What the slots mean. A name is pending when the map has an entry for it that has not expired, and
 * the sequence of its slot is the entry's generation.
 *
 * Publishing fills a free slot and then lets the entry point to it; only then does it free the slot
 * of the name's earlier challenge. So an entry never points to a slot during a write, and a writer
 * may die at any point.
 */
#include "common/challenge_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "bpf/name_hash.h"
#include "bpf/steer_abi.h"
#include "common/challenge_index.h"
#include "common/challenge_slots.h"
#include "common/clock.h"
#include "common/paths.h"

#define NS_PER_S UINT64_C(1000000000)

/* Every writer checks this many slots for expired ones: more than it takes. */
#define SWEEP_SLOTS 4

/* A reader's attempts.  One fails when a writer finishes meanwhile, or when the slot is damaged. */
#define FIND_ATTEMPTS 16

_Static_assert(SLOT_NAME_SIZE == NAME_LENGTH_MAX, "any name fits into a slot");

struct challenge_table {
	struct slots slots;
	struct challenge_index index;
	struct challenge_signer *signer; /* NULL for readers */
};

/* --- open and close -------------------------------------------------------------- */

int challenge_table_create(const char *path, gid_t group, uint32_t slots, uint64_t ret_hash_key[2])
{
	return slots_create(path, group, slots, ret_hash_key);
}

int challenge_table_check(const char *path, uint32_t slots, uint64_t ret_hash_key[2])
{
	return slots_check(path, slots, ret_hash_key);
}

int challenge_table_open(struct challenge_table **ret_table, const struct paths *paths,
			 enum challenge_table_mode mode)
{
	bool writable = mode == CHALLENGE_TABLE_WRITE;
	struct challenge_table *table = calloc(1, sizeof(*table));
	int err;

	if (!table)
		return -ENOMEM;
	err = slots_open(&table->slots, paths->table, writable);
	if (err) {
		free(table);
		return err;
	}
	err = index_open(&table->index, paths, table->slots.constants.hash_key, writable);
	if (err) {
		slots_done(&table->slots);
		free(table);
		return err;
	}
	if (writable)
		err = challenge_signer_new(&table->signer, &table->slots.constants.key);
	if (err) {
		challenge_table_free(table);
		return err;
	}
	*ret_table = table;
	return 0;
}

void challenge_table_free(struct challenge_table *table)
{
	if (!table)
		return;
	challenge_signer_free(table->signer);
	index_done(&table->index);
	slots_done(&table->slots);
	free(table);
}

const struct challenge_key *challenge_table_key(const struct challenge_table *table)
{
	return &table->slots.constants.key;
}

/* --- entries and slots ---------------------------------------------------------------- */

static uint64_t key_of(const struct challenge_table *table, const struct identifier *identifier)
{
	return index_key(&table->index, identifier->sni, strlen(identifier->sni));
}

static bool entry_is_of(const struct steer_challenge *entry, uint32_t index,
			const struct slot *slot)
{
	return entry->slot == index && entry->generation == slot->sequence;
}

/* Withdrawing shortens the entry's life, not the slot's. */
static bool is_withdrawn(const struct steer_challenge *entry, const struct slot *slot)
{
	return entry->expires_ns != slot->expires_ns;
}

/* The identifier that a slot holds; -EBADMSG when it holds none. */
static int slot_identifier(const struct slot *slot, struct identifier *ret_identifier)
{
	char name[SLOT_NAME_SIZE + 1] = {0};
	struct identifier identifier;
	enum identifier_error err;

	if (slot->state != SLOT_USED || slot->name_length > sizeof(slot->name))
		return -EBADMSG;
	memcpy(name, slot->name, slot->name_length);
	err = identifier_parse(&identifier, name);
	if ((err != IDENTIFIER_OK && err != IDENTIFIER_SINGLE_LABEL) ||
	    strcmp(identifier.value, name) != 0)
		return -EBADMSG;
	*ret_identifier = identifier;
	return 0;
}

static void slot_fill(struct slot *slot, const struct challenge_cert *cert)
{
	*slot = (struct slot){.issued_at = cert->issued_at, .owner = geteuid(), .state = SLOT_USED};
	slot->name_length = (uint8_t)strlen(cert->identifier.value);
	memcpy(slot->name, cert->identifier.value, slot->name_length);
	memcpy(slot->digest, cert->digest, sizeof(slot->digest));
	memcpy(slot->signature, cert->signature, sizeof(slot->signature));
}

/* Fill a reader's view from an entry and its slot. */
static int make_challenge(const struct steer_challenge *entry, const struct slot *slot,
			  struct challenge *ret_challenge)
{
	struct challenge challenge = {.expires_ns = entry->expires_ns,
				      .published_ns = slot->expires_ns - slot->ttl_s * NS_PER_S,
				      .owner = slot->owner,
				      .slot = entry->slot,
				      .generation = entry->generation,
				      .withdrawn = is_withdrawn(entry, slot)};

	if (slot_identifier(slot, &challenge.cert.identifier) || slot->ttl_s > CHALLENGE_TTL_MAX_S)
		return -EBADMSG;
	challenge.cert.issued_at = slot->issued_at;
	memcpy(challenge.cert.digest, slot->digest, sizeof(slot->digest));
	memcpy(challenge.cert.signature, slot->signature, sizeof(slot->signature));
	*ret_challenge = challenge;
	return 0;
}

/* --- readers ----------------------------------------------------------------------- */

static bool is_for(const struct challenge *challenge, const char *server_name, size_t length)
{
	return strlen(challenge->cert.identifier.sni) == length &&
	       strncasecmp(challenge->cert.identifier.sni, server_name, length) == 0;
}

/* One attempt.  -EAGAIN: entry and slot do not belong together. */
static int find_once(const struct challenge_table *table, uint64_t key, const char *server_name,
		     size_t length, struct challenge *ret_challenge)
{
	struct steer_challenge entry;
	struct challenge challenge;
	struct slot slot;
	int err;

	err = index_find(&table->index, key, &entry);
	if (err)
		return err;
	if (entry.expires_ns <= clock_boottime_ns())
		return -ENOENT;
	err = slots_read(&table->slots, entry.slot, &slot);
	if (err)
		return err;
	if (!entry_is_of(&entry, entry.slot, &slot))
		return -EAGAIN;
	err = make_challenge(&entry, &slot, &challenge);
	if (err)
		return err;
	/* Another name with the same hash is pending, not this one. */
	if (!is_for(&challenge, server_name, length))
		return -ENOENT;
	*ret_challenge = challenge;
	return 0;
}

/* Can the slot belong to this server name?  An address is written differently as a server name. */
static bool may_be_for(const struct slot *slot, const char *server_name, size_t length)
{
	static const char arpa[] = ".arpa";
	const size_t size = sizeof(arpa) - 1;

	return (slot->name_length == length && strncasecmp(slot->name, server_name, length) == 0) ||
	       (length > size && strncasecmp(server_name + length - size, arpa, size) == 0);
}

/* Without the map: find the last published of all slots that hold the name. */
static int find_by_walk(const struct challenge_table *table, const char *server_name, size_t length,
			struct challenge *ret_challenge)
{
	uint32_t count = slots_high_water(&table->slots);
	uint64_t now_ns = clock_boottime_ns();
	struct challenge challenge;
	int err = -ENOENT;
	struct slot slot;

	for (uint32_t index = 0; index < count; index++) {
		struct steer_challenge entry = {.slot = index};

		if (slots_read(&table->slots, index, &slot) || slot.expires_ns <= now_ns ||
		    !may_be_for(&slot, server_name, length))
			continue;
		entry.generation = slot.sequence;
		entry.expires_ns = slot.expires_ns;
		if (make_challenge(&entry, &slot, &challenge) ||
		    !is_for(&challenge, server_name, length))
			continue;
		if (err || ret_challenge->published_ns < challenge.published_ns)
			*ret_challenge = challenge;
		err = 0;
	}
	return err;
}

int challenge_table_find(struct challenge_table *table, const char *server_name, size_t length,
			 struct challenge *ret_challenge)
{
	int err = -EAGAIN, attempts = FIND_ATTEMPTS;
	uint64_t key;

	if (length && server_name[length - 1] == '.')
		length--;
	/* A name that contains a NUL is no name. */
	if (length == 0 || length > NAME_LENGTH_MAX || memchr(server_name, 0, length))
		return -ENOENT;
	key = index_key(&table->index, server_name, length);
	while ((err == -EAGAIN || err == -EBADMSG) && attempts--)
		err = find_once(table, key, server_name, length, ret_challenge);
	return err == -EOPNOTSUPP ? find_by_walk(table, server_name, length, ret_challenge) : err;
}

int challenge_table_next(struct challenge_table *table, uint32_t *cursor,
			 struct challenge *ret_challenge)
{
	uint64_t now_ns = clock_boottime_ns();
	struct identifier identifier;
	struct steer_challenge entry;
	struct slot slot;
	uint32_t index;

	while (*cursor < slots_high_water(&table->slots)) {
		index = (*cursor)++;
		if (slots_read(&table->slots, index, &slot) || slot_identifier(&slot, &identifier))
			continue;
		if (index_find(&table->index, key_of(table, &identifier), &entry) ||
		    !entry_is_of(&entry, index, &slot) || entry.expires_ns <= now_ns)
			continue;
		if (make_challenge(&entry, &slot, ret_challenge) == 0)
			return 0;
	}
	return -ENOENT;
}

/* --- recovery, with the lock held ------------------------------------------------------- */

struct recovery {
	struct challenge_table *table;
	uint64_t now_ns;
	uint64_t grace_until_ns;
	uint32_t armed_count;
	uint8_t *kept; /* a bit for each slot */
};

/* Keep the slot of a pending name; remove an entry that has expired or does not match its slot. */
static void recover_entry(void *context, uint64_t key, const struct steer_challenge *entry)
{
	struct recovery *recovery = context;
	struct challenge_table *table = recovery->table;
	struct identifier identifier;
	struct slot slot;

	if (slots_read(&table->slots, entry->slot, &slot) ||
	    !entry_is_of(entry, entry->slot, &slot) || slot_identifier(&slot, &identifier) ||
	    key_of(table, &identifier) != key || entry->expires_ns <= recovery->now_ns) {
		/* If the removal fails, every reader still rejects the entry. */
		(void)index_remove(&table->index, key);
		return;
	}
	recovery->kept[entry->slot / 8] |= (uint8_t)(1 << entry->slot % 8);
	if (!is_withdrawn(entry, &slot))
		recovery->armed_count++;
	else if (recovery->grace_until_ns < entry->expires_ns)
		recovery->grace_until_ns = entry->expires_ns;
}

/* Rebuild everything but the pending names.  0 or -errno. */
static int recover(struct challenge_table *table)
{
	struct recovery recovery = {.table = table, .now_ns = clock_boottime_ns()};
	int err;

	recovery.kept = calloc(1, SLOTS_MAX / 8);
	if (!recovery.kept)
		return -ENOMEM;
	err = index_walk(&table->index, recover_entry, &recovery);
	if (!err) {
		slots_reset(&table->slots, recovery.kept);
		table->slots.state->armed_count = recovery.armed_count;
		table->slots.state->grace_until_ns = recovery.grace_until_ns;
		table->slots.state->earliest_expiry_ns =
			slots_high_water(&table->slots) ? 0 : UINT64_MAX;
	}
	free(recovery.kept);
	return err;
}

static int lock(struct challenge_table *table)
{
	int result = slots_lock(&table->slots), err;

	if (result <= 0)
		return result;
	err = recover(table);
	if (err)
		slots_unlock(&table->slots, false);
	return err;
}

static void unlock(struct challenge_table *table)
{
	slots_unlock(&table->slots, true);
}

/* --- sweeping, with the lock held ------------------------------------------------------- */

static void count_disarmed(struct challenge_table *table)
{
	/* Stay at zero, even if the count was damaged. */
	if (table->slots.state->armed_count)
		table->slots.state->armed_count--;
}

/*
 * Check the slot under the sweep hand, advance the hand, and free the slot if it is no longer
 * pending. 1: freed; 0: kept, or free already, and *earliest_ns is not after its expiry; -EBADMSG:
 * the slot is damaged.
 */
static int sweep_slot(struct challenge_table *table, uint64_t now_ns, uint64_t *earliest_ns)
{
	struct slots *slots = &table->slots;
	uint32_t index = slots->state->sweep_hand;
	struct steer_challenge entry;
	struct identifier identifier;
	struct slot slot;
	uint64_t key;

	if (index >= slots_high_water(slots))
		index = 0;
	slots->state->sweep_hand = index + 1;
	if (slots_read(slots, index, &slot))
		return -EBADMSG;
	if (slot.state == SLOT_FREE)
		return 0;
	if (slot_identifier(&slot, &identifier))
		return -EBADMSG;
	key = key_of(table, &identifier);
	if (index_find(&table->index, key, &entry) == 0 && entry_is_of(&entry, index, &slot)) {
		if (now_ns < entry.expires_ns || index_remove(&table->index, key)) {
			if (*earliest_ns > entry.expires_ns)
				*earliest_ns = entry.expires_ns;
			return 0;
		}
		if (!is_withdrawn(&entry, &slot))
			count_disarmed(table);
	}
	slots_give_back(slots, index);
	return 1;
}

/* Every writer's share of the sweep.  0, or -EBADMSG when a slot is damaged. */
static int sweep_some(struct challenge_table *table, uint64_t now_ns)
{
	uint64_t earliest_ns = UINT64_MAX;
	/* Before the earliest expiry, one slot is enough: it only looks for damage. */
	unsigned int count = now_ns < table->slots.state->earliest_expiry_ns ? 1 : SWEEP_SLOTS;
	int result = 0;

	for (; count && result >= 0; count--)
		if (slots_high_water(&table->slots))
			result = sweep_slot(table, now_ns, &earliest_ns);
	return result < 0 ? result : 0;
}

/* Free one slot if any has expired: at most one full turn of the hand. */
static int sweep_for_one(struct challenge_table *table, uint64_t now_ns)
{
	uint32_t count = slots_high_water(&table->slots);
	uint64_t earliest_ns = UINT64_MAX;
	int result;

	if (now_ns < table->slots.state->earliest_expiry_ns)
		return 0;
	for (; count; count--) {
		result = sweep_slot(table, now_ns, &earliest_ns);
		if (result)
			return result < 0 ? result : 0;
	}
	table->slots.state->earliest_expiry_ns = earliest_ns;
	return 0;
}

/* Remember when a full table can have room. */
static void note_expiry(struct challenge_table *table, uint64_t expires_ns)
{
	if (table->slots.state->earliest_expiry_ns > expires_ns)
		table->slots.state->earliest_expiry_ns = expires_ns;
}

static int try_take(struct challenge_table *table, uint64_t now_ns, uint32_t *ret_index)
{
	int err;

	err = sweep_some(table, now_ns);
	if (err)
		return err;
	err = slots_take(&table->slots, ret_index);
	if (err != -ENOSPC)
		return err;
	err = sweep_for_one(table, now_ns);
	return err ? err : slots_take(&table->slots, ret_index);
}

/* Take a free slot.  Repairs a damaged table once, if needed. */
static int take_slot(struct challenge_table *table, uint64_t now_ns, uint32_t *ret_index)
{
	int err = try_take(table, now_ns, ret_index);

	if (err != -EBADMSG)
		return err;
	err = recover(table);
	return err ? err : try_take(table, now_ns, ret_index);
}

/* --- writers --------------------------------------------------------------------------- */

/* A name's map entry and the slot that belongs to it. */
struct present {
	bool exists;
	bool pending; /* it has not expired */
	struct steer_challenge entry;
	struct slot slot;
};

/* 0 or -errno of the map. */
static int look_up(const struct challenge_table *table, uint64_t key, uint64_t now_ns,
		   struct present *ret_present)
{
	struct present present = {0};
	int err = index_find(&table->index, key, &present.entry);

	if (err && err != -ENOENT)
		return err;
	present.exists = !err &&
			 slots_read(&table->slots, present.entry.slot, &present.slot) == 0 &&
			 present.slot.state == SLOT_USED &&
			 entry_is_of(&present.entry, present.entry.slot, &present.slot);
	present.pending = present.exists && now_ns < present.entry.expires_ns;
	*ret_present = present;
	return 0;
}

static bool holds_name(const struct slot *slot, const struct identifier *identifier)
{
	struct identifier other;

	return slot_identifier(slot, &other) == 0 && strcmp(other.sni, identifier->sni) == 0;
}

/* Write the challenge and let the map point to it.  With the lock held. */
static int publish_locked(struct challenge_table *table, const struct challenge_cert *cert,
			  uint32_t ttl_s)
{
	uint64_t now_ns = clock_boottime_ns(), key = key_of(table, &cert->identifier);
	struct steer_challenge entry;
	struct present old;
	struct slot slot;
	int err;

	err = take_slot(table, now_ns, &entry.slot);
	if (err)
		return err;
	err = look_up(table, key, now_ns, &old);
	if (err)
		goto out;
	if (old.pending && !holds_name(&old.slot, &cert->identifier))
		err = -EEXIST;
	else if (old.pending && old.slot.owner != geteuid())
		err = -EPERM;
	if (err)
		goto out;

	slot_fill(&slot, cert);
	slot.ttl_s = ttl_s;
	slot.expires_ns = entry.expires_ns = now_ns + ttl_s * NS_PER_S;
	err = slots_write(&table->slots, entry.slot, &slot);
	if (err)
		goto out;
	entry.generation = slot.sequence;
	/* Wake the classifier first, so that the map entry alone arms the name. */
	err = index_raise_armed(&table->index, entry.expires_ns);
	if (!err)
		err = index_put(&table->index, key, &entry);
	if (err)
		goto out;
	table->slots.state->armed_count++;
	note_expiry(table, entry.expires_ns);
	if (old.exists) {
		if (!is_withdrawn(&old.entry, &old.slot))
			count_disarmed(table);
		slots_give_back(&table->slots, old.entry.slot);
	}
out:
	if (err)
		slots_give_back(&table->slots, entry.slot);
	return err;
}

int challenge_table_publish(struct challenge_table *table, const struct identifier *identifier,
			    const uint8_t digest[CHALLENGE_DIGEST_SIZE], uint32_t ttl_s)
{
	struct challenge_cert cert = {.identifier = *identifier,
				      .issued_at = (uint32_t)clock_now_s()};
	int err;

	assert(table->signer);
	if (ttl_s == 0 || ttl_s > CHALLENGE_TTL_MAX_S)
		return -EINVAL;
	memcpy(cert.digest, digest, sizeof(cert.digest));
	/* Sign before taking the lock: signing is the slow part. */
	err = challenge_cert_sign(table->signer, &cert);
	if (err)
		return err;
	err = lock(table);
	if (err)
		return err;
	err = publish_locked(table, &cert, ttl_s);
	unlock(table);
	return err;
}

static int withdraw_locked(struct challenge_table *table, const struct identifier *identifier,
			   const uint8_t *digest, uint32_t grace_s)
{
	uint64_t now_ns = clock_boottime_ns(), end_ns = now_ns + grace_s * NS_PER_S;
	uint64_t key = key_of(table, identifier);
	struct steer_challenge entry;
	struct present old;
	int err;

	err = look_up(table, key, now_ns, &old);
	if (err)
		return err;
	if (!old.pending || !holds_name(&old.slot, identifier))
		return -ENOENT;
	if (digest && memcmp(old.slot.digest, digest, sizeof(old.slot.digest)) != 0)
		return -ENOENT;
	if (old.slot.owner != geteuid())
		return -EPERM;
	entry = old.entry;
	if (grace_s == 0) {
		err = index_remove(&table->index, key);
	} else {
		/* Always before the slot's expiry: this marks the name as withdrawn. */
		if (end_ns >= old.entry.expires_ns)
			end_ns = old.entry.expires_ns - 1;
		entry.expires_ns = end_ns;
		err = index_put(&table->index, key, &entry);
	}
	if (err)
		return err;
	if (!is_withdrawn(&old.entry, &old.slot))
		count_disarmed(table);
	if (grace_s == 0)
		slots_give_back(&table->slots, old.entry.slot);
	else if (table->slots.state->grace_until_ns < end_ns)
		table->slots.state->grace_until_ns = end_ns;
	note_expiry(table, end_ns);
	/*
	 * When all names are withdrawn, the classifier stays awake only until the last grace period
	 * ends. If this fails, it stays awake longer, which does no harm.
	 */
	if (table->slots.state->armed_count == 0)
		(void)index_set_armed(&table->index, table->slots.state->grace_until_ns);
	return 0;
}

int challenge_table_withdraw(struct challenge_table *table, const struct identifier *identifier,
			     const uint8_t *digest, uint32_t grace_s)
{
	int err;

	assert(table->signer);
	err = lock(table);
	if (err)
		return err;
	err = withdraw_locked(table, identifier, digest, grace_s);
	/* If the repair fails, too, the next publisher tries again. */
	if (sweep_some(table, clock_boottime_ns()))
		(void)recover(table);
	unlock(table);
	return err;
}
