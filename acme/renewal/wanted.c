// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/wanted.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* An index grows part by part, so that no call does it for all. */
#define PARTS      256
#define PART_ROOM  16 /* at first */
#define CHUNK_SIZE (1u << 20) /* of texts */
#define RUN        4096 /* changes that are sorted at once */

struct known {
	int64_t id;
	int64_t digest;
	const char *name;
	bool is_named; /* by the configuration */
};

/* Numbers of items by a hash. */
struct slot {
	uint32_t hash; /* the lower half: the upper one says which part it is in */
	uint32_t item; /* plus one; 0: the slot is free */
};

struct part {
	struct slot *slots;
	uint32_t count, room; /* a power of two, or 0 */
};

struct chunk {
	struct chunk *next;
	size_t used;
	char text[];
};

/* A sorted part of the changes. */
struct run {
	size_t at, end;
};

struct wanted {
	struct known *known;
	size_t known_count, known_room;
	struct wanted_change *changes;
	size_t change_count, change_room;
	struct part by_digest[PARTS]; /* of known */
	struct part by_name[PARTS]; /* of known, and of changes: those come behind */
	struct chunk *texts;
	struct run *runs; /* a heap, by the name that each run begins with */
	size_t run_count, run_room;
	size_t sorted; /* changes that are in runs */
	size_t named, gone, next_gone;
};

/* --- texts ---------------------------------------------------------------------------------------- */

static const char *keep(struct wanted *wanted, const char *text)
{
	size_t size = strlen(text) + 1;
	struct chunk *chunk = wanted->texts;
	size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;

	if (!chunk || chunk->used + size > CHUNK_SIZE) {
		chunk = malloc(sizeof(*chunk) + room);
		if (!chunk)
			return NULL;
		chunk->next = wanted->texts;
		chunk->used = 0;
		wanted->texts = chunk;
	}
	text = memcpy(chunk->text + chunk->used, text, size);
	chunk->used += size;
	return text;
}

/* --- indexes -------------------------------------------------------------------------------------- */

/* FNV-1a, and a last step that spreads it over all bits. */
static uint64_t hash_text(const char *text)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	hash ^= hash >> 32;
	return hash * UINT64_C(0x9e3779b97f4a7c15);
}

static struct part *part_of(struct part *parts, uint64_t hash)
{
	return &parts[hash >> 56];
}

static void put_slot(struct part *part, struct slot slot)
{
	uint32_t at = slot.hash & (part->room - 1);

	while (part->slots[at].item)
		at = (at + 1) & (part->room - 1);
	part->slots[at] = slot;
	part->count++;
}

static int grow_part(struct part *part)
{
	struct part grown = {.room = part->room ? 2 * part->room : PART_ROOM};
	uint32_t i;

	grown.slots = calloc(grown.room, sizeof(*grown.slots));
	if (!grown.slots)
		return -ENOMEM;
	for (i = 0; i < part->room; i++)
		if (part->slots[i].item)
			put_slot(&grown, part->slots[i]);
	free(part->slots);
	*part = grown;
	return 0;
}

static int index_add(struct part *parts, uint64_t hash, size_t item)
{
	struct part *part = part_of(parts, hash);

	if (2 * (part->count + 1) > part->room && grow_part(part))
		return -ENOMEM;
	put_slot(part, (struct slot){.hash = (uint32_t)hash, .item = (uint32_t)item + 1});
	return 0;
}

/*
 * The next item of this hash; it may have another key, as only a part of the hash is compared.
 * `at` begins at 0.  False: there is no more.
 */
static bool index_next(struct part *parts, uint64_t hash, uint32_t *at, size_t *ret_item)
{
	const struct part *part = part_of(parts, hash);
	const struct slot *slot;

	while (*at < part->room) {
		slot = &part->slots[((uint32_t)hash + (*at)++) & (part->room - 1)];
		if (!slot->item)
			return false;
		if (slot->hash == (uint32_t)hash) {
			*ret_item = slot->item - 1;
			return true;
		}
	}
	return false;
}

static void parts_done(struct part *parts)
{
	size_t i;

	for (i = 0; i < PARTS; i++)
		free(parts[i].slots);
}

/* --- adding --------------------------------------------------------------------------------------- */

int wanted_new(struct wanted **ret_wanted)
{
	*ret_wanted = calloc(1, sizeof(**ret_wanted));
	return *ret_wanted ? 0 : -ENOMEM;
}

void wanted_free(struct wanted *wanted)
{
	struct chunk *chunk;

	if (!wanted)
		return;
	while ((chunk = wanted->texts)) {
		wanted->texts = chunk->next;
		free(chunk);
	}
	parts_done(wanted->by_digest);
	parts_done(wanted->by_name);
	free(wanted->known);
	free(wanted->changes);
	free(wanted->runs);
	free(wanted);
}

/* Room for one more; large arrays are moved by the kernel, page by page. */
static int make_room(void **array, size_t size, size_t count, size_t *room)
{
	size_t more = *room ? 2 * *room : RUN;
	void *grown;

	if (count < *room)
		return 0;
	/* Slots have 32 bits for known and changes together. */
	grown = more < UINT32_MAX / 4 ? reallocarray(*array, more, size) : NULL;
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*room = more;
	return 0;
}

int wanted_add_known(struct wanted *wanted, int64_t id, int64_t digest, const char *name)
{
	struct known known = {.id = id, .digest = digest, .name = keep(wanted, name)};

	if (!known.name || make_room((void **)&wanted->known, sizeof(known), wanted->known_count,
				     &wanted->known_room))
		return -ENOMEM;
	wanted->known[wanted->known_count] = known;
	if (index_add(wanted->by_digest, (uint64_t)digest, wanted->known_count) ||
	    index_add(wanted->by_name, hash_text(known.name), wanted->known_count))
		return -ENOMEM;
	wanted->known_count++;
	wanted->gone++;
	return 0;
}

static int note_named(struct wanted *wanted, struct known *known)
{
	if (known->is_named)
		return -EEXIST;
	known->is_named = true;
	wanted->named++;
	wanted->gone--;
	return 0;
}

int wanted_keep(struct wanted *wanted, int64_t digest)
{
	struct known *known;
	uint32_t at = 0;
	size_t item;
	int err;

	while (index_next(wanted->by_digest, (uint64_t)digest, &at, &item)) {
		known = &wanted->known[item];
		if (known->digest != digest)
			continue;
		err = note_named(wanted, known);
		return err ? err : 1;
	}
	return 0;
}

/* 0, or -EEXIST: the configuration has named it before. */
static int claim_name(struct wanted *wanted, const char *name, uint64_t hash)
{
	uint32_t at = 0;
	size_t item;

	while (index_next(wanted->by_name, hash, &at, &item)) {
		if (item >= wanted->known_count) {
			item -= wanted->known_count;
			if (strcmp(wanted->changes[item].name, name) == 0)
				return -EEXIST;
		} else if (strcmp(wanted->known[item].name, name) == 0) {
			return note_named(wanted, &wanted->known[item]);
		}
	}
	wanted->named++;
	return 0;
}

static int compare_changes(const void *a, const void *b)
{
	const struct wanted_change *one = a, *other = b;

	return strcmp(one->name, other->name);
}

int wanted_add_change(struct wanted *wanted, const struct wanted_change *change)
{
	uint64_t hash = hash_text(change->name);
	struct wanted_change copy = *change;
	int err = claim_name(wanted, change->name, hash);

	if (err)
		return err;
	copy.name = keep(wanted, change->name);
	copy.identifiers = strcmp(change->identifiers, change->name) == 0
				   ? copy.name
				   : keep(wanted, change->identifiers);
	if (!copy.name || !copy.identifiers ||
	    make_room((void **)&wanted->changes, sizeof(copy), wanted->change_count,
		      &wanted->change_room))
		return -ENOMEM;
	wanted->changes[wanted->change_count] = copy;
	if (index_add(wanted->by_name, hash, wanted->known_count + wanted->change_count))
		return -ENOMEM;
	wanted->change_count++;
	return 0;
}

size_t wanted_known(const struct wanted *wanted)
{
	return wanted->known_count;
}

size_t wanted_changed(const struct wanted *wanted)
{
	return wanted->change_count;
}

size_t wanted_gone(const struct wanted *wanted)
{
	return wanted->gone;
}

size_t wanted_named(const struct wanted *wanted)
{
	return wanted->named;
}

/* --- reading -------------------------------------------------------------------------------------- */

static const char *run_name(const struct wanted *wanted, size_t run)
{
	return wanted->changes[wanted->runs[run].at].name;
}

static void sift_down(struct wanted *wanted, size_t parent)
{
	struct run moved;
	size_t child;

	while ((child = 2 * parent + 1) < wanted->run_count) {
		if (child + 1 < wanted->run_count &&
		    strcmp(run_name(wanted, child + 1), run_name(wanted, child)) < 0)
			child++;
		if (strcmp(run_name(wanted, parent), run_name(wanted, child)) <= 0)
			return;
		moved = wanted->runs[parent];
		wanted->runs[parent] = wanted->runs[child];
		wanted->runs[child] = moved;
		parent = child;
	}
}

static void sift_up(struct wanted *wanted, size_t child)
{
	struct run moved;
	size_t parent;

	for (; child; child = parent) {
		parent = (child - 1) / 2;
		if (strcmp(run_name(wanted, parent), run_name(wanted, child)) <= 0)
			return;
		moved = wanted->runs[parent];
		wanted->runs[parent] = wanted->runs[child];
		wanted->runs[child] = moved;
	}
}

int wanted_sort(struct wanted *wanted)
{
	size_t at = wanted->sorted, count = wanted->change_count - at;

	if (!count)
		return 0;
	if (count > RUN)
		count = RUN;
	if (make_room((void **)&wanted->runs, sizeof(*wanted->runs), wanted->run_count,
		      &wanted->run_room))
		return -ENOMEM;
	qsort(wanted->changes + at, count, sizeof(*wanted->changes), compare_changes);
	wanted->runs[wanted->run_count++] = (struct run){.at = at, .end = at + count};
	sift_up(wanted, wanted->run_count - 1);
	wanted->sorted += count;
	return wanted->sorted < wanted->change_count;
}

const struct wanted_change *wanted_next_change(struct wanted *wanted)
{
	const struct wanted_change *change;
	struct run *first = wanted->runs;

	if (!wanted->run_count)
		return NULL;
	change = &wanted->changes[first->at++];
	if (first->at == first->end)
		*first = wanted->runs[--wanted->run_count];
	sift_down(wanted, 0);
	return change;
}

int64_t wanted_next_gone(struct wanted *wanted, const char **ret_name)
{
	const struct known *known;

	while (wanted->next_gone < wanted->known_count) {
		known = &wanted->known[wanted->next_gone++];
		if (known->is_named)
			continue;
		*ret_name = known->name;
		return known->id;
	}
	return 0;
}
