// SPDX-License-Identifier: GPL-3.0-or-later
/* Preloaded into the responder: its monitor dies just after a socket has left repair mode. */
#include <dlfcn.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

int setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
	int err = ((__typeof__(&setsockopt))dlsym(RTLD_NEXT, "setsockopt"))(fd, level, option,
									    value, size);

	if (level == IPPROTO_TCP && option == TCP_REPAIR && *(const int *)value != TCP_REPAIR_ON)
		abort();
	return err;
}
