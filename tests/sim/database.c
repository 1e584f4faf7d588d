// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * SQLite on the simulated clock: a VFS with seams, on top of SQLite's own without locks (unix-none).
 * database_locks.c has the locks and the shared memory.  What a killed process holds is released as
 * the kernel would: without a word to SQLite's pager, so that a hot journal stays.
 */
#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/clock.h"
#include "common/random.h"
#include "tests/sim/database_locks.h"
#include "tests/sim/internal.h"

/* The Unix time 0 as a Julian day, in milliseconds. */
#define JULIAN_MS INT64_C(210866760000000)
#define US_PER_MS 1000

struct file {
	sqlite3_file base; /* SQLite's */
	LIST_ENTRY(file) link;
	const struct sim_process *owner;
	char *path;
	struct database_locks *locks; /* NULL: not of a database */
	sqlite3_file *real; /* behind this structure */
};

static LIST_HEAD(file_list, file) open_files;
static sqlite3_vfs *unix_vfs;
static sqlite3_vfs sim_vfs;
static int last_error;

#define REAL(file)              (((struct file *)(file))->real)
#define LOCKS(file)             (((struct file *)(file))->locks)
#define CALL(file, method, ...) REAL(file)->pMethods->method(REAL(file), ##__VA_ARGS__)

/* The seam as SQLite's code of an error; SQLITE_OK: go on. */
static int file_seam(enum sim_seam kind, sqlite3_file *file, int otherwise)
{
	int err = seam(kind, ((struct file *)file)->path);

	last_error = err;
	switch (err) {
	case 0:
		return SQLITE_OK;
	case ENOSPC:
	case EDQUOT:
		return SQLITE_FULL;
	case EBUSY:
		return SQLITE_BUSY;
	default:
		return otherwise;
	}
}

static void file_release(struct file *file)
{
	database_locks_free(file->locks);
	LIST_REMOVE(file, link);
	free(file->path);
	file->path = NULL;
}

static int file_close(sqlite3_file *file)
{
	int code = CALL(file, xClose);

	file_release((struct file *)file);
	return code;
}

static int file_read(sqlite3_file *file, void *data, int size, sqlite3_int64 offset)
{
	int code = file_seam(SIM_SQL_READ, file, SQLITE_IOERR_READ);

	return code ? code : CALL(file, xRead, data, size, offset);
}

static int file_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
	int code = file_seam(SIM_SQL_WRITE, file, SQLITE_IOERR_WRITE);

	return code ? code : CALL(file, xWrite, data, size, offset);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	int code = file_seam(SIM_SQL_WRITE, file, SQLITE_IOERR_TRUNCATE);

	return code ? code : CALL(file, xTruncate, size);
}

/* Memory needs no sync. */
static int file_sync(sqlite3_file *file, int flags)
{
	(void)flags;
	return file_seam(SIM_SQL_SYNC, file, SQLITE_IOERR_FSYNC);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
	return CALL(file, xFileSize, ret_size);
}

static int file_lock(sqlite3_file *file, int level)
{
	int code = file_seam(SIM_SQL_LOCK, file, SQLITE_IOERR_LOCK);

	return code ? code : database_lock(LOCKS(file), level);
}

static int file_unlock(sqlite3_file *file, int level)
{
	database_unlock(LOCKS(file), level);
	return SQLITE_OK;
}

static int file_check_lock(sqlite3_file *file, int *ret_is_held)
{
	*ret_is_held = database_is_reserved(LOCKS(file));
	return SQLITE_OK;
}

static int file_control(sqlite3_file *file, int operation, void *argument)
{
	return CALL(file, xFileControl, operation, argument);
}

static int file_sector_size(sqlite3_file *file)
{
	return CALL(file, xSectorSize);
}

static int file_characteristics(sqlite3_file *file)
{
	return CALL(file, xDeviceCharacteristics);
}

static int file_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret_map)
{
	return database_shm_map(LOCKS(file), page, size, extend, ret_map);
}

static int file_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
	int code = SQLITE_OK;

	if (flags & SQLITE_SHM_EXCLUSIVE && flags & SQLITE_SHM_LOCK)
		code = file_seam(SIM_SQL_LOCK, file, SQLITE_IOERR_SHMLOCK);
	return code ? code : database_shm_lock(LOCKS(file), offset, count, flags);
}

static void file_shm_barrier(sqlite3_file *file)
{
	(void)file;
}

static int file_shm_unmap(sqlite3_file *file, int remove)
{
	(void)remove;
	database_shm_unmap(LOCKS(file));
	return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = file_lock,
	.xUnlock = file_unlock,
	.xCheckReservedLock = file_check_lock,
	.xFileControl = file_control,
	.xSectorSize = file_sector_size,
	.xDeviceCharacteristics = file_characteristics,
	.xShmMap = file_shm_map,
	.xShmLock = file_shm_lock,
	.xShmBarrier = file_shm_barrier,
	.xShmUnmap = file_shm_unmap,
};

/* --- the VFS --------------------------------------------------------------------------------------- */

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *opened, int flags,
		    int *ret_flags)
{
	struct file *file = (struct file *)opened;
	int code;

	(void)vfs;
	memset(file, 0, sizeof(*file));
	last_error = seam(SIM_OPEN, name);
	if (last_error)
		return SQLITE_CANTOPEN;
	file->real = (sqlite3_file *)(file + 1);
	code = unix_vfs->xOpen(unix_vfs, name, file->real, flags, ret_flags);
	if (code)
		return code;
	file->base.pMethods = &methods;
	file->owner = sim_current();
	file->path = strdup(name ? name : "");
	if (flags & SQLITE_OPEN_MAIN_DB)
		file->locks = database_locks_new(file->path);
	LIST_INSERT_HEAD(&open_files, file, link);
	return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	(void)vfs;
	(void)sync;
	last_error = seam(SIM_REMOVE, name);
	return last_error ? SQLITE_IOERR_DELETE : unix_vfs->xDelete(unix_vfs, name, 0);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret_result)
{
	(void)vfs;
	return unix_vfs->xAccess(unix_vfs, name, flags, ret_result);
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *name, int size, char *path)
{
	(void)vfs;
	return unix_vfs->xFullPathname(unix_vfs, name, size, path);
}

static int vfs_randomness(sqlite3_vfs *vfs, int size, char *bytes)
{
	(void)vfs;
	random_bytes(bytes, (size_t)size);
	return size;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
	(void)vfs;
	clock_sleep_us((uint32_t)us);
	return us;
}

static int vfs_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *ret_ms)
{
	(void)vfs;
	*ret_ms = clock_now_us() / US_PER_MS + JULIAN_MS;
	return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int size, char *text)
{
	(void)vfs;
	return last_error ? last_error : unix_vfs->xGetLastError(unix_vfs, size, text);
}

void database_init(void)
{
	/* Coroutines are one thread, and a process that waits must hold no mutex. */
	sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
	sqlite3_initialize();
	unix_vfs = sqlite3_vfs_find("unix-none");
	sim_vfs = *unix_vfs;
	sim_vfs.iVersion = 2;
	sim_vfs.szOsFile = (int)sizeof(struct file) + unix_vfs->szOsFile;
	sim_vfs.zName = "sim";
	sim_vfs.xOpen = vfs_open;
	sim_vfs.xDelete = vfs_delete;
	sim_vfs.xAccess = vfs_access;
	sim_vfs.xFullPathname = vfs_full_path;
	sim_vfs.xRandomness = vfs_randomness;
	sim_vfs.xSleep = vfs_sleep;
	sim_vfs.xGetLastError = vfs_last_error;
	sim_vfs.xCurrentTimeInt64 = vfs_time_ms;
	sqlite3_vfs_register(&sim_vfs, 1);
}

void database_begin(void)
{
	LIST_INIT(&open_files);
}

void database_drop(const struct sim_process *process)
{
	struct file *file, *next;

	for (file = LIST_FIRST(&open_files); file; file = next) {
		next = LIST_NEXT(file, link);
		if (file->owner != process)
			continue;
		CALL(file, xClose);
		file_release(file);
	}
}
