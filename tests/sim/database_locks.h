/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The locks and the shared memory of databases, between simulated processes. */
#ifndef TESTS_SIM_DATABASE_LOCKS_H
#define TESTS_SIM_DATABASE_LOCKS_H

#include <stdbool.h>

/* What one open database file holds. */
struct database_locks;

struct database_locks *database_locks_new(const char *path);
/* Releases all of it; NULL is nothing. */
void database_locks_free(struct database_locks *locks);

/* As xLock, xUnlock and xCheckReservedLock of SQLite's sqlite3_io_methods. */
int database_lock(struct database_locks *locks, int level);
void database_unlock(struct database_locks *locks, int level);
bool database_is_reserved(const struct database_locks *locks);

/* As xShmMap, xShmLock and xShmUnmap. */
int database_shm_map(struct database_locks *locks, int page, int size, bool extends,
		     void volatile **ret_map);
int database_shm_lock(struct database_locks *locks, int offset, int count, int flags);
void database_shm_unmap(struct database_locks *locks);

#endif
