/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The paths of an instance. No other code builds them. All paths move with --root, so that several
 * instances and tests can run side by side.
 */
#ifndef PATHS_H
#define PATHS_H

#define PATHS_MAX 512

struct paths {
	char conf[PATHS_MAX]; /* ROOT/etc/sidestep */
	char state[PATHS_MAX]; /* ROOT/var/lib/sidestep: accounts, live, archive */
	char run[PATHS_MAX]; /* ROOT/run/sidestep: table, lock, status */
	char pins[PATHS_MAX]; /* ROOT/run/sidestep/bpf: a bpffs of its own */
	char table[PATHS_MAX]; /* ROOT/run/sidestep/challenges */
	char evidence[PATHS_MAX]; /* ROOT/run/sidestep/evidence: what came for pending names */
	char conn_stats[PATHS_MAX]; /* ROOT/run/sidestep/conn-stats: how connections ended */
	char alive[PATHS_MAX]; /* ROOT/run/sidestep/alive.sock: a running responder listens here */
	char private[PATHS_MAX]; /* ROOT/run/sidestep/private: for root alone: the locks */
	char control[PATHS_MAX]; /* ROOT/run/sidestep/private/handover.sock: for a successor */
	char lock[PATHS_MAX]; /* ROOT/run/sidestep/private/instance.lock: one responder */
	char programs_lock[PATHS_MAX]; /* .../programs.lock: to change programs or links */
	char status[PATHS_MAX]; /* ROOT/run/sidestep/responder.json: written by the responder */
	char hindrances[PATHS_MAX]; /* ROOT/run/sidestep/hindrances.json: written by the monitor */
	char interfaces[PATHS_MAX]; /* ROOT/run/sidestep/interfaces.json: written by the monitor */
	char programs[PATHS_MAX]; /* ROOT/run/sidestep/programs.json: the last program load */
};

/* Fill `ret_paths`; `root` is "" for the system's own.  -ENAMETOOLONG when too long. */
int paths_init(struct paths *ret_paths, const char *root);

#endif
