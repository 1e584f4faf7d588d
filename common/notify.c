// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The variable of systemd; NULL when it is unset or empty. */
static const char *notify_address(void)
{
	const char *address = getenv("NOTIFY_SOCKET");

	return address && *address ? address : NULL;
}

bool notify_is_wanted(void)
{
	return notify_address() != NULL;
}

/* Connected to systemd; -1: not yet, or systemd does not listen. */
static int notify_fd = -1;

static int make_name(const char *address, struct sockaddr_un *ret_name, socklen_t *ret_size)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	size_t length = strlen(address);

	if (*address != '/' && *address != '@')
		return -EAFNOSUPPORT;
	if (length >= sizeof(name.sun_path))
		return -ENAMETOOLONG;
	memcpy(name.sun_path, address, length);
	if (*address == '@') /* the abstract namespace, unix(7) */
		name.sun_path[0] = '\0';
	*ret_name = name;
	*ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	return 0;
}

int notify_open(void)
{
	const char *address = notify_address();
	struct sockaddr_un name;
	socklen_t size;
	int err;

	if (!address || notify_fd >= 0)
		return 0;
	err = make_name(address, &name, &size);
	if (err)
		return err;
	notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (notify_fd < 0)
		return -errno;
	if (!connect(notify_fd, (const struct sockaddr *)&name, size))
		return 0;
	err = -errno;
	close(notify_fd);
	notify_fd = -1;
	return err;
}

int notify_send(const char *state)
{
	int err = notify_open();

	if (err || notify_fd < 0)
		return err;
	return send(notify_fd, state, strlen(state), MSG_NOSIGNAL) < 0 ? -errno : 0;
}
