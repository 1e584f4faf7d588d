// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* systemd's variable, which is unset or empty when nobody listens. */
static const char *notify_address(void)
{
	const char *address = getenv("NOTIFY_SOCKET");

	return address && *address ? address : NULL;
}

bool notify_is_wanted(void)
{
	return notify_address() != NULL;
}

int notify_send(const char *state)
{
	const char *address = notify_address();
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	size_t length;
	int err = 0, fd;

	if (!address)
		return 0;
	if (*address != '/' && *address != '@')
		return -EAFNOSUPPORT;
	length = strlen(address);
	if (length >= sizeof(name.sun_path))
		return -ENAMETOOLONG;
	memcpy(name.sun_path, address, length);
	if (*address == '@') /* the abstract namespace, unix(7) */
		name.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&name,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
		err = -errno;
	close(fd);
	return err;
}
