// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int privileges_find_user(const char *name, uid_t *ret_uid, gid_t *ret_gid)
{
	struct passwd *user;

	errno = 0;
	user = getpwnam(name);
	/* getpwnam(3): "not found" has several errors, or none. */
	if (!user)
		return errno == EIO || errno == EMFILE || errno == ENFILE || errno == ENOMEM
			       ? -errno
			       : -ENOENT;
	*ret_uid = user->pw_uid;
	*ret_gid = user->pw_gid;
	return 0;
}

int privileges_find_group(const char *name, gid_t *ret_gid)
{
	struct group *group;

	errno = 0;
	group = getgrnam(name);
	if (!group)
		return errno == EIO || errno == EMFILE || errno == ENFILE || errno == ENOMEM
			       ? -errno
			       : -ENOENT;
	*ret_gid = group->gr_gid;
	return 0;
}

const char *privileges_objection(const struct identity *identity)
{
	if (!identity->uid)
		return "the responder answers strangers and must not run as root: name another "
		       "user with --user";
	if (identity->gid == identity->shared_gid)
		return "the user's own group is the one that may publish challenges, which the "
		       "responder must not: name another user with --user, or another group with "
		       "--group";
	return NULL;
}

static int set_capabilities(uint64_t capabilities)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		data[i].effective = data[i].permitted = (uint32_t)(capabilities >> 32 * i);
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

/* What execve(2) might give back: the bounding and the ambient set. */
static int empty_inheritance(void)
{
	/* The kernel says by EINVAL where its capabilities end. */
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
			return -errno;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
		return -errno;
	return 0;
}

static int become(const struct identity *identity)
{
	if (setgroups(0, NULL) || setresgid(identity->gid, identity->gid, identity->gid) ||
	    setresuid(identity->uid, identity->uid, identity->uid))
		return -errno;
	return set_capabilities(0);
}

static int close_doors(void)
{
	struct rlimit none = {0, 0};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ||
	    setrlimit(RLIMIT_CORE, &none))
		return -errno;
	return 0;
}

/* Try to go back: by an identity that is not ours, and by a capability. */
static int verify(const struct identity *identity)
{
	if (!setuid(0) || (identity->gid && !setgid(0)) || !setgroups(0, NULL) ||
	    !set_capabilities(PRIVILEGE(CAP_SETUID)))
		return -ENOTRECOVERABLE;
	return 0;
}

int privileges_drop(const struct identity *identity)
{
	int err;

	if (!identity->uid)
		return -EINVAL;
	err = empty_inheritance();
	if (!err)
		err = become(identity);
	if (!err)
		err = close_doors();
	if (!err)
		err = verify(identity);
	return err;
}

int privileges_keep(uint64_t capabilities)
{
	int err;

	err = empty_inheritance();
	if (!err)
		err = setgroups(0, NULL) ? -errno : 0;
	if (!err)
		err = set_capabilities(capabilities);
	return err ? err : close_doors();
}
