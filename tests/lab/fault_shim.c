// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Preloaded into the agent: counts the calls that change the disk, and lets one of them go wrong.
 *
 *	FAULT_COUNT   a file, which is given the count at exit
 *	FAULT_AT      the number of the call, from 1; none goes wrong without it
 *	FAULT_ERROR   it fails with this errno, as do all that follow, as when a disk is full; without
 *	              it the process is killed instead of making the call
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static unsigned long count;

static unsigned long number_of(const char *name)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 10) : 0;
}

/* Whether the call that is about to be made must fail; it may be the last thing that is asked. */
static bool goes_wrong(void)
{
	unsigned long at = number_of("FAULT_AT"), error = number_of("FAULT_ERROR");

	count++;
	if (!at || count < at)
		return false;
	if (!error)
		kill(getpid(), SIGKILL);
	errno = (int)error;
	return true;
}

/* Before what no full disk refuses. */
static void may_die(void)
{
	if (!number_of("FAULT_ERROR"))
		(void)goes_wrong();
}

static bool is_file(int fd)
{
	struct stat status;

	return !fstat(fd, &status) && S_ISREG(status.st_mode);
}

__attribute__((destructor)) static void tell(void)
{
	const char *path = getenv("FAULT_COUNT");
	FILE *file = path ? fopen(path, "we") : NULL;

	if (!file)
		return;
	fprintf(file, "%lu\n", count);
	fclose(file);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t size)
{
	return is_file(fd) && goes_wrong() ? -1 : REAL(write)(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
	return goes_wrong() ? -1 : REAL(pwrite)(fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
	return goes_wrong() ? -1 : REAL(pwrite64)(fd, data, size, offset);
}

int fsync(int fd)
{
	return goes_wrong() ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd)
{
	return goes_wrong() ? -1 : REAL(fdatasync)(fd);
}

int ftruncate(int fd, off_t size)
{
	return goes_wrong() ? -1 : REAL(ftruncate)(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
	return goes_wrong() ? -1 : REAL(ftruncate64)(fd, size);
}

int renameat(int from, const char *old, int to, const char *new)
{
	return goes_wrong() ? -1 : REAL(renameat)(from, old, to, new);
}

int rename(const char *old, const char *new)
{
	return goes_wrong() ? -1 : REAL(rename)(old, new);
}

int linkat(int from, const char *old, int to, const char *new, int flags)
{
	return goes_wrong() ? -1 : REAL(linkat)(from, old, to, new, flags);
}

int symlinkat(const char *target, int to, const char *new)
{
	return goes_wrong() ? -1 : REAL(symlinkat)(target, to, new);
}

int mkdirat(int directory, const char *name, mode_t mode)
{
	return goes_wrong() ? -1 : REAL(mkdirat)(directory, name, mode);
}

int unlinkat(int directory, const char *name, int flags)
{
	may_die();
	return REAL(unlinkat)(directory, name, flags);
}

int unlink(const char *name)
{
	may_die();
	return REAL(unlink)(name);
}

int posix_fallocate(int fd, off_t offset, off_t size)
{
	return goes_wrong() ? errno : REAL(posix_fallocate)(fd, offset, size);
}

static mode_t mode_of(int flags, va_list list)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;
}

int openat(int directory, const char *name, int flags, ...)
{
	va_list list;
	mode_t mode;

	va_start(list, flags);
	mode = mode_of(flags, list);
	va_end(list);
	return flags & O_CREAT && goes_wrong() ? -1 : REAL(openat)(directory, name, flags, mode);
}

int open(const char *name, int flags, ...)
{
	va_list list;
	mode_t mode;

	va_start(list, flags);
	mode = mode_of(flags, list);
	va_end(list);
	return flags & O_CREAT && goes_wrong() ? -1 : REAL(open)(name, flags, mode);
}

int open64(const char *name, int flags, ...)
{
	va_list list;
	mode_t mode;

	va_start(list, flags);
	mode = mode_of(flags, list);
	va_end(list);
	return flags & O_CREAT && goes_wrong() ? -1 : REAL(open64)(name, flags, mode);
}
