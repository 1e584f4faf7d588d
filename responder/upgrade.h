/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `sidestep-responder --upgrade`: replaces the attached programs by those of this build. */
#ifndef RESPONDER_UPGRADE_H
#define RESPONDER_UPGRADE_H

struct paths;

/*
 * Replace the programs of the running responder, each by one link update, under any traffic. No
 * packet passes without a program, and open connections continue, because the maps stay. Call it as
 * root, in the steered network namespace. All or nothing: after an error the old programs are
 * attached. 0 or -errno, logged.
 */
int upgrade_programs(const struct paths *paths);

#endif
