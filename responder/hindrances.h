/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What on this host keeps connections from being steered, although everything is attached: they
 * never come by the classifier in the form in which it can take them.  README.md lists them
 * under "What it cannot do".
 */
#ifndef HINDRANCES_H
#define HINDRANCES_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>

struct paths;

enum hindrance_kind {
	HINDRANCE_VRF, /* an interface belongs to a VRF */
	HINDRANCE_IPVLAN_L3S, /* an interface is an ipvlan's, whose packets skip its ingress */
	HINDRANCE_SYNPROXY, /* a packet filter finishes handshakes in place of the server */
	HINDRANCE_KINDS,
};

#define HINDRANCE_PLACE_SIZE 64

struct hindrance {
	enum hindrance_kind kind;
	char place[HINDRANCE_PLACE_SIZE]; /* the interface, or the packet filter's table */
};

/* Equal lists are equal bytes. */
struct hindrances {
	struct hindrance list[16]; /* the first ones, each once */
	size_t count;
};

/*
 * Look for those of this network namespace, on the interfaces named, or on all with a `count` of
 * 0.  To see a packet filter's rules takes CAP_NET_ADMIN.  0 or -errno: some may be missing then.
 */
int hindrances_find(struct hindrances *ret_hindrances, const char *const *interfaces, size_t count);

/* What one message of rtnetlink(7) (RTM_NEWLINK) or of nf_tables (a rule) tells of them. */
void hindrances_read_link(struct hindrances *hindrances, const struct nlmsghdr *message);
void hindrances_read_rule(struct hindrances *hindrances, const struct nlmsghdr *message);

/* A sentence of its own about one: what it is, and what follows.  `size` of 256 is enough. */
void hindrance_describe(const struct hindrance *hindrance, char *text, size_t size);

/* Write them to paths->hindrances, for `sidestep status`.  0 or -errno, logged. */
int hindrances_write(const struct hindrances *hindrances, const struct paths *paths);

#endif
