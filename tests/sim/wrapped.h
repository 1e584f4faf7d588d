/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The C library's calls that the linker redirects to files.c; SIM_WRAPPED in the Makefile lists them. */
#ifndef TESTS_SIM_WRAPPED_H
#define TESTS_SIM_WRAPPED_H

#include <dirent.h>
#include <ifaddrs.h>
#include <sys/types.h>

#define WRAP(type, name, ...)            \
	type __real_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__)

WRAP(int, openat, int directory, const char *name, int flags, ...);
WRAP(int, open, const char *name, int flags, ...);
WRAP(int, close, int fd);
WRAP(int, closedir, DIR *stream);
WRAP(ssize_t, write, int fd, const void *data, size_t size);
WRAP(int, posix_fallocate, int fd, off_t offset, off_t size);
WRAP(int, ftruncate, int fd, off_t size);
WRAP(int, fsync, int fd);
WRAP(int, fdatasync, int fd);
WRAP(int, mkdirat, int directory, const char *name, mode_t mode);
WRAP(int, mkdir, const char *name, mode_t mode);
WRAP(int, symlinkat, const char *target, int directory, const char *name);
WRAP(int, linkat, int old_directory, const char *old, int directory, const char *name, int flags);
WRAP(int, renameat, int old_directory, const char *old, int directory, const char *name);
WRAP(int, renameat2, int old_directory, const char *old, int directory, const char *name,
     unsigned int flags);
WRAP(int, rename, const char *old, const char *name);
WRAP(int, unlinkat, int directory, const char *name, int flags);
WRAP(int, unlink, const char *name);
WRAP(int, fchmod, int fd, mode_t mode);
WRAP(int, fchown, int fd, uid_t user, gid_t group);
WRAP(int, flock, int fd, int operation);
WRAP(pid_t, getpid, void);
WRAP(ssize_t, getrandom, void *bytes, size_t size, unsigned int flags);
WRAP(int, isatty, int fd);
WRAP(int, getifaddrs, struct ifaddrs **ret_list);
WRAP(void, freeifaddrs, struct ifaddrs *list);

#endif
