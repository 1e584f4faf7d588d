/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `sidestep-responder --upgrade`: this build's programs for those that are attached. */
#ifndef UPGRADE_H
#define UPGRADE_H

struct paths;

/*
 * Replace the programs of the running responder, each by one link update, under whatever
 * traffic: no packet is without a program, and connections on their way go on, as the
 * maps stay.  To be called as root, in the network namespace that is steered.
 * All or nothing: on an error the old ones are attached as before.  0 or -errno, logged.
 */
int upgrade_programs(const struct paths *paths);

#endif
