/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sidestep-responder --unload: removes what ended responders leave for their successors. */
#ifndef RESPONDER_UNLOAD_H
#define RESPONDER_UNLOAD_H

struct paths;

/* 0 or -errno, logged. */
int unload_instance(const struct paths *paths);

#endif
