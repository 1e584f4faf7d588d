// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The file system: a real directory in memory (/dev/shm), behind calls that the linker wraps
 * (-Wl,--wrap=openat and so on, see the Makefile).  Each is a seam.  Descriptors are remembered with
 * their process, so that they are closed when it is killed, as the kernel does.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <ifaddrs.h>
#include <arpa/inet.h>
#include <limits.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/random.h"
#include "tests/sim/internal.h"
#include "tests/sim/wrapped.h"

#define DESCRIPTORS   1024
#define FLOCK_WAIT_MS 10

static struct {
	char root[64];
	struct {
		const struct sim_process *owner; /* NULL: not of a process */
		char *path;
	} open[DESCRIPTORS];
} files;

const char *sim_root(void)
{
	return files.root;
}

/* --- descriptors ----------------------------------------------------------------------------------- */

static const char *path_of(int fd)
{
	return fd >= 0 && fd < DESCRIPTORS && files.open[fd].path ? files.open[fd].path : "";
}

static void full_path(char ret_path[PATH_MAX], int directory, const char *name)
{
	if (name[0] == '/' || directory == AT_FDCWD)
		snprintf(ret_path, PATH_MAX, "%s", name);
	else
		snprintf(ret_path, PATH_MAX, "%s%s%s", path_of(directory),
			 strcmp(path_of(directory), "/") == 0 ? "" : "/", name);
}

/* The seam of a call that takes a name.  0, or errno is set. */
static int name_seam(enum sim_seam kind, int directory, const char *name)
{
	char path[PATH_MAX];

	if (!sim_current())
		return 0;
	full_path(path, directory, name);
	return seam(kind, path);
}

static void forget(int fd)
{
	if (fd < 0 || fd >= DESCRIPTORS)
		return;
	free(files.open[fd].path);
	files.open[fd].path = NULL;
	files.open[fd].owner = NULL;
}

static int remember(int fd, int directory, const char *name)
{
	char path[PATH_MAX];

	if (!sim_current() || fd < 0)
		return fd;
	if (fd >= DESCRIPTORS)
		sim_fail("%s has too many descriptors open", sim_name(sim_current()));
	full_path(path, directory, name);
	forget(fd);
	files.open[fd].owner = sim_current();
	files.open[fd].path = strdup(path);
	return fd;
}

size_t files_close(const struct sim_process *process)
{
	size_t count = 0;
	int fd;

	for (fd = 0; fd < DESCRIPTORS; fd++) {
		if (files.open[fd].owner != process)
			continue;
		sim_log("%s had %s open", sim_name(process), path_of(fd));
		forget(fd);
		__real_close(fd);
		count++;
	}
	return count;
}

/* --- the wrapped calls ----------------------------------------------------------------------------- */

static int open_file(int directory, const char *name, int flags, mode_t mode)
{
	bool creates = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE;

	if (name_seam(creates ? SIM_CREATE : SIM_OPEN, directory, name))
		return -1;
	return remember(__real_openat(directory, name, flags, mode), directory, name);
}

static mode_t mode_of(int flags, va_list arguments)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

int __wrap_openat(int directory, const char *name, int flags, ...)
{
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = mode_of(flags, arguments);
	va_end(arguments);
	return open_file(directory, name, flags, mode);
}

int __wrap_open(const char *name, int flags, ...)
{
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = mode_of(flags, arguments);
	va_end(arguments);
	return open_file(AT_FDCWD, name, flags, mode);
}

int __wrap_close(int fd)
{
	forget(fd);
	return __real_close(fd);
}

int __wrap_closedir(DIR *stream)
{
	forget(dirfd(stream));
	return __real_closedir(stream);
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
	if (sim_current() && (fd == STDOUT_FILENO || fd == STDERR_FILENO)) {
		process_write(sim_current(), fd, data, size);
		return (ssize_t)size;
	}
	return seam(SIM_WRITE, path_of(fd)) ? -1 : __real_write(fd, data, size);
}

int __wrap_posix_fallocate(int fd, off_t offset, off_t size)
{
	int err = seam(SIM_WRITE, path_of(fd));

	return err ? err : __real_posix_fallocate(fd, offset, size);
}

int __wrap_ftruncate(int fd, off_t size)
{
	return seam(SIM_WRITE, path_of(fd)) ? -1 : __real_ftruncate(fd, size);
}

int __wrap_fsync(int fd)
{
	return seam(SIM_SYNC, path_of(fd)) ? -1 : 0;
}

int __wrap_fdatasync(int fd)
{
	return seam(SIM_SYNC, path_of(fd)) ? -1 : 0;
}

int __wrap_mkdirat(int directory, const char *name, mode_t mode)
{
	return name_seam(SIM_CREATE, directory, name) ? -1 : __real_mkdirat(directory, name, mode);
}

int __wrap_mkdir(const char *name, mode_t mode)
{
	return name_seam(SIM_CREATE, AT_FDCWD, name) ? -1 : __real_mkdir(name, mode);
}

int __wrap_symlinkat(const char *target, int directory, const char *name)
{
	return name_seam(SIM_CREATE, directory, name) ? -1
						      : __real_symlinkat(target, directory, name);
}

int __wrap_linkat(int old_directory, const char *old, int directory, const char *name, int flags)
{
	if (name_seam(SIM_CREATE, directory, name))
		return -1;
	return __real_linkat(old_directory, old, directory, name, flags);
}

int __wrap_renameat(int old_directory, const char *old, int directory, const char *name)
{
	if (name_seam(SIM_RENAME, directory, name))
		return -1;
	return __real_renameat(old_directory, old, directory, name);
}

int __wrap_renameat2(int old_directory, const char *old, int directory, const char *name,
		     unsigned int flags)
{
	if (name_seam(SIM_RENAME, directory, name))
		return -1;
	return __real_renameat2(old_directory, old, directory, name, flags);
}

int __wrap_rename(const char *old, const char *name)
{
	return name_seam(SIM_RENAME, AT_FDCWD, name) ? -1 : __real_rename(old, name);
}

int __wrap_unlinkat(int directory, const char *name, int flags)
{
	return name_seam(SIM_REMOVE, directory, name) ? -1
						      : __real_unlinkat(directory, name, flags);
}

int __wrap_unlink(const char *name)
{
	return name_seam(SIM_REMOVE, AT_FDCWD, name) ? -1 : __real_unlink(name);
}

int __wrap_fchmod(int fd, mode_t mode)
{
	return seam(SIM_ACCESS, path_of(fd)) ? -1 : __real_fchmod(fd, mode);
}

int __wrap_fchown(int fd, uid_t user, gid_t group)
{
	return seam(SIM_ACCESS, path_of(fd)) ? -1 : __real_fchown(fd, user, group);
}

/* A process that waits for a lock must let the holder run. */
int __wrap_flock(int fd, int operation)
{
	while (__real_flock(fd, operation | LOCK_NB)) {
		if (errno != EWOULDBLOCK || operation & LOCK_NB || !sim_current())
			return -1;
		clock_sleep_ms(FLOCK_WAIT_MS);
	}
	return 0;
}

/* --- what else is the machine's --------------------------------------------------------------------- */

pid_t __wrap_getpid(void)
{
	return sim_current() ? process_pid(sim_current()) : __real_getpid();
}

/* wolfCrypt's seeds: keys are the seed's, too. */
ssize_t __wrap_getrandom(void *bytes, size_t size, unsigned int flags)
{
	(void)flags;
	return random_bytes(bytes, size) ? -1 : (ssize_t)size;
}

int __wrap_isatty(int fd)
{
	(void)fd;
	errno = ENOTTY;
	return 0;
}

int __wrap_getifaddrs(struct ifaddrs **ret_list)
{
	static struct sockaddr_in address = {.sin_family = AF_INET};
	static char name[] = "eth0";
	static struct ifaddrs one = {.ifa_name = name, .ifa_flags = IFF_UP};

	address.sin_addr.s_addr = htonl(0xc000020a); /* 192.0.2.10 */
	one.ifa_addr = (struct sockaddr *)&address;
	*ret_list = &one;
	return 0;
}

void __wrap_freeifaddrs(struct ifaddrs *list)
{
	(void)list;
}

/* --- for scenarios --------------------------------------------------------------------------------- */

static void make_parents(char *path)
{
	char *slash;

	for (slash = path + strlen(files.root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (__real_mkdir(path, 0755) && errno != EEXIST)
			sim_fail("cannot make %s: %s", path, strerror(errno));
		*slash = '/';
	}
}

void sim_file_write(const char *path, const char *text)
{
	const struct timespec now = {.tv_sec = sim_wall_s()}, times[2] = {now, now};
	char place[PATH_MAX], new[PATH_MAX + sizeof(".new")];
	FILE *file;

	snprintf(place, sizeof(place), "%s/%s", files.root, path);
	snprintf(new, sizeof(new), "%s.new", place);
	make_parents(place);
	file = fopen(new, "we");
	if (!file || fputs(text, file) < 0 || fclose(file) || utimensat(AT_FDCWD, new, times, 0) ||
	    __real_rename(new, place))
		sim_fail("cannot write %s: %s", place, strerror(errno));
}

char *sim_file_read(const char *path)
{
	char place[PATH_MAX], *text = NULL;
	size_t size = 0;
	FILE *file;

	snprintf(place, sizeof(place), "%s/%s", files.root, path);
	file = fopen(place, "re");
	if (!file)
		return NULL;
	if (getdelim(&text, &size, '\0', file) < 0) {
		free(text);
		text = strdup("");
	}
	fclose(file);
	return text;
}

/* --- the directory --------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	return remove(path);
}

void files_begin(uint64_t seed)
{
	memset(&files, 0, sizeof(files));
	snprintf(files.root, sizeof(files.root), "/dev/shm/sidestep-sim.%08lx.%016llx",
		 (unsigned long)__real_getpid(), (unsigned long long)seed);
	/* What a run left that was killed, and whose process id comes again. */
	nftw(files.root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	if (__real_mkdir(files.root, 0755))
		sim_fail("cannot make %s: %s", files.root, strerror(errno));
}

void files_end(void)
{
	int fd;

	for (fd = 0; fd < DESCRIPTORS; fd++)
		forget(fd);
	if (files.root[0])
		nftw(files.root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
