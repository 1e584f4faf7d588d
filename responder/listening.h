/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether a server listens in this network namespace: asked by sock_diag(7). */
#ifndef RESPONDER_LISTENING_H
#define RESPONDER_LISTENING_H

#include <stddef.h>
#include <stdint.h>

/* Does a TCP socket listen at one of these ports (host order), over any family?  1 or 0, or -errno. */
int listening_at(const uint16_t *ports, size_t port_count);

#endif
