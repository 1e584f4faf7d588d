/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Netlink (netlink(7)) requests that the kernel answers with a list. */
#ifndef RESPONDER_NETLINK_H
#define RESPONDER_NETLINK_H

#include <linux/netlink.h>
#include <stddef.h>

/* Called for each message of the answer. */
typedef void netlink_handler(void *context, const struct nlmsghdr *message);

/*
 * Send `request` to a netlink protocol, with NLM_F_REQUEST and NLM_F_DUMP added to its flags, and
 * pass each message of the answer to `handler`. It applies to the network namespace of this thread.
 * 0 or -errno; the handler may have been called then.
 */
int netlink_dump(int protocol, struct nlmsghdr *request, netlink_handler *handler, void *context);

/*
 * The payload of the first attribute of this type among the attributes in `size` bytes, at
 * least `least` bytes long.  *ret_size is how long it is; NULL: not needed.  NULL: there is none.
 */
const void *netlink_find(const void *attributes, size_t size, unsigned int type, size_t least,
			 size_t *ret_size);

/* Where the attributes lie behind a message's own header of `header` bytes.  NULL: nowhere. */
const void *netlink_attributes(const struct nlmsghdr *message, size_t header, size_t *ret_size);

#endif
