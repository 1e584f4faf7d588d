// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/sim/database_locks.h"

#include <sqlite3.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define PAGES_MAX 1024 /* of shared memory */

struct database_locks {
	LIST_ENTRY(database_locks) link;
	struct database *database;
	int level;
	uint32_t shared, exclusive; /* bits of the shared memory's locks */
	bool has_shm;
};

struct database {
	LIST_ENTRY(database) link;
	char *path;
	LIST_HEAD(locks_list, database_locks) holders;
	void *pages[PAGES_MAX];
};

static LIST_HEAD(database_list, database) databases;

static void *check(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

static struct database *find(const char *path)
{
	struct database *database;

	for (database = LIST_FIRST(&databases); database; database = LIST_NEXT(database, link))
		if (strcmp(database->path, path) == 0)
			return database;
	database = check(calloc(1, sizeof(*database)));
	database->path = check(strdup(path));
	LIST_INIT(&database->holders);
	LIST_INSERT_HEAD(&databases, database, link);
	return database;
}

struct database_locks *database_locks_new(const char *path)
{
	struct database_locks *locks = check(calloc(1, sizeof(*locks)));

	locks->database = find(path);
	LIST_INSERT_HEAD(&locks->database->holders, locks, link);
	return locks;
}

void database_locks_free(struct database_locks *locks)
{
	struct database *database;

	if (!locks)
		return;
	database_shm_unmap(locks);
	database = locks->database;
	LIST_REMOVE(locks, link);
	free(locks);
	if (!LIST_EMPTY(&database->holders))
		return;
	LIST_REMOVE(database, link);
	free(database->path);
	free(database);
}

/* --- of the file ----------------------------------------------------------------------------------- */

/* The strongest lock of anybody else. */
static int level_of_others(const struct database_locks *locks)
{
	const struct database_locks *other;
	int level = SQLITE_LOCK_NONE;

	for (other = LIST_FIRST(&locks->database->holders); other; other = LIST_NEXT(other, link))
		if (other != locks && other->level > level)
			level = other->level;
	return level;
}

int database_lock(struct database_locks *locks, int level)
{
	int others = level_of_others(locks);

	if (locks->level >= level)
		return SQLITE_OK;
	if (others >= (level == SQLITE_LOCK_SHARED ? SQLITE_LOCK_PENDING : SQLITE_LOCK_RESERVED))
		return SQLITE_BUSY;
	/* No new readers from here on. */
	if (level == SQLITE_LOCK_EXCLUSIVE && others != SQLITE_LOCK_NONE) {
		locks->level = SQLITE_LOCK_PENDING;
		return SQLITE_BUSY;
	}
	locks->level = level;
	return SQLITE_OK;
}

void database_unlock(struct database_locks *locks, int level)
{
	if (level < locks->level)
		locks->level = level;
}

bool database_is_reserved(const struct database_locks *locks)
{
	return locks->level >= SQLITE_LOCK_RESERVED ||
	       level_of_others(locks) >= SQLITE_LOCK_RESERVED;
}

/* --- shared memory --------------------------------------------------------------------------------- */

int database_shm_map(struct database_locks *locks, int page, int size, bool extends,
		     void volatile **ret_map)
{
	void **place = &locks->database->pages[page];

	if (page >= PAGES_MAX)
		return SQLITE_IOERR_SHMMAP;
	locks->has_shm = true;
	if (!*place && extends)
		*place = check(calloc(1, (size_t)size));
	*ret_map = *place;
	return SQLITE_OK;
}

int database_shm_lock(struct database_locks *locks, int offset, int count, int flags)
{
	uint32_t mask = ((UINT32_C(1) << count) - 1) << offset;
	const struct database_locks *other;

	if (flags & SQLITE_SHM_UNLOCK) {
		locks->shared &= ~mask;
		locks->exclusive &= ~mask;
		return SQLITE_OK;
	}
	for (other = LIST_FIRST(&locks->database->holders); other; other = LIST_NEXT(other, link))
		if (other != locks && (other->exclusive & mask ||
				       (flags & SQLITE_SHM_EXCLUSIVE && other->shared & mask)))
			return SQLITE_BUSY;
	if (flags & SQLITE_SHM_EXCLUSIVE)
		locks->exclusive |= mask;
	else
		locks->shared |= mask;
	return SQLITE_OK;
}

/* Without a user the memory goes: the next one reads the log (WAL) again, from the beginning. */
void database_shm_unmap(struct database_locks *locks)
{
	struct database *database = locks->database;
	const struct database_locks *other;
	size_t i;

	locks->has_shm = false;
	locks->shared = locks->exclusive = 0;
	for (other = LIST_FIRST(&database->holders); other; other = LIST_NEXT(other, link))
		if (other->has_shm)
			return;
	for (i = 0; i < PAGES_MAX; i++) {
		free(database->pages[i]);
		database->pages[i] = NULL;
	}
}
