/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The event loop and the HTTP client on it, which all sessions of a process share. */
#ifndef ACME_NET_NET_H
#define ACME_NET_NET_H

#include <stdint.h>

struct failure;
struct http;
struct loop;

struct net {
	struct loop *loop;
	struct http *http;
};

/* Give each HTTP request `timeout_s`.  0, or -1 with `failure` filled in: closed again. */
int net_open(struct net *net, uint32_t timeout_s, struct failure *failure);

/* Run the loop until it is stopped.  0, or -1 with `failure` filled in when interrupted. */
int net_run(struct net *net, struct failure *failure);

/* Everything that uses it must be gone. */
void net_close(struct net *net);

#endif
