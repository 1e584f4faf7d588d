// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/netlink.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel makes no message of a list longer than this. */
#define ANSWER_MAX 32768

/* 1: there is more to come, 0: it was the end, or -errno. */
static int handle_answer(const char *buffer, size_t size, netlink_handler *handler, void *context)
{
	const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;

	for (; NLMSG_OK(message, size); message = NLMSG_NEXT(message, size)) {
		if (message->nlmsg_type == NLMSG_DONE)
			return 0;
		if (message->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(message))->error;
		handler(context, message);
	}
	return 1;
}

static int receive(int fd, netlink_handler *handler, void *context)
{
	char buffer[ANSWER_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t received;
	int result;

	do {
		received = recv(fd, buffer, sizeof(buffer), 0);
		if (received < 0)
			return -errno;
		result = handle_answer(buffer, (size_t)received, handler, context);
	} while (result > 0);
	return result;
}

int netlink_dump(int protocol, struct nlmsghdr *request, netlink_handler *handler, void *context)
{
	int err, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	if (fd < 0)
		return -errno;
	request->nlmsg_flags |= NLM_F_REQUEST | NLM_F_DUMP;
	err = send(fd, request, request->nlmsg_len, 0) < 0 ? -errno : 0;
	if (!err)
		err = receive(fd, handler, context);
	close(fd);
	return err;
}

const void *netlink_find(const void *attributes, size_t size, unsigned int type, size_t least,
			 size_t *ret_size)
{
	const char *at = attributes;

	while (at && size >= NLA_HDRLEN) {
		const struct nlattr *attribute = (const struct nlattr *)at;
		size_t length = attribute->nla_len, step = NLA_ALIGN(length);

		if (length < NLA_HDRLEN || length > size)
			return NULL;
		if ((attribute->nla_type & NLA_TYPE_MASK) == type && length - NLA_HDRLEN >= least) {
			if (ret_size)
				*ret_size = length - NLA_HDRLEN;
			return at + NLA_HDRLEN;
		}
		if (step >= size)
			return NULL;
		at += step;
		size -= step;
	}
	return NULL;
}

const void *netlink_attributes(const struct nlmsghdr *message, size_t header, size_t *ret_size)
{
	size_t before = NLMSG_LENGTH(NLMSG_ALIGN(header));

	if (message->nlmsg_len < before)
		return NULL;
	*ret_size = message->nlmsg_len - before;
	return (const char *)message + before;
}
