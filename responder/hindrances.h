/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Settings of this host that prevent steering although the programs are attached: connections do
 * not pass the classifier in a form that it can take. sidestep-responder(8) lists them under LIMITS.
 */
#ifndef RESPONDER_HINDRANCES_H
#define RESPONDER_HINDRANCES_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>

struct paths;

enum hindrance_kind {
	HINDRANCE_VRF, /* an interface belongs to a VRF */
	HINDRANCE_IPVLAN_L3S, /* an interface is an ipvlan, whose packets skip its ingress */
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
 * Find the hindrances in this network namespace, on the named interfaces, or on all if `count` is
 * 0. Reading the packet filter's rules needs CAP_NET_ADMIN. 0 or -errno: the list may be incomplete
 * then.
 */
int hindrances_find(struct hindrances *ret_hindrances, const char *const *interfaces, size_t count);

/* Add what one message of rtnetlink(7) (RTM_NEWLINK) or nf_tables (a rule) shows. */
void hindrances_read_link(struct hindrances *hindrances, const struct nlmsghdr *message);
void hindrances_read_rule(struct hindrances *hindrances, const struct nlmsghdr *message);

/* A sentence about one: its cause and its effect.  A `size` of 256 is enough. */
void hindrance_describe(const struct hindrance *hindrance, char *text, size_t size);

/* Write them to paths->hindrances, for `sidestep status`.  0 or -errno, logged. */
int hindrances_write(const struct hindrances *hindrances, const struct paths *paths);

#endif
