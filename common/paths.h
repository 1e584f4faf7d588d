/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where an instance keeps its things.  The one place that knows; everything
 * moves with --root, so that several instances and tests can live side by side.
 */
#ifndef PATHS_H
#define PATHS_H

#define PATHS_MAX 512

struct paths {
	char conf[PATHS_MAX]; /* ROOT/etc/sidestep */
	char state[PATHS_MAX]; /* ROOT/var/lib/sidestep: accounts, live, archive */
	char run[PATHS_MAX]; /* ROOT/run/sidestep: table, lock, status */
	char pins[PATHS_MAX]; /* ROOT/run/sidestep/bpf: a bpffs of our own */
	char table[PATHS_MAX]; /* ROOT/run/sidestep/challenges */
	char evidence[PATHS_MAX]; /* ROOT/run/sidestep/evidence: what came for pending names */
	char conn_stats[PATHS_MAX]; /* ROOT/run/sidestep/conn-stats: how connections ended */
	char alive[PATHS_MAX]; /* ROOT/run/sidestep/alive.sock: a running responder listens here */
	char private[PATHS_MAX]; /* ROOT/run/sidestep/private: for root alone, locks above all */
	char control[PATHS_MAX]; /* ROOT/run/sidestep/private/handover.sock: for a successor */
	char lock[PATHS_MAX]; /* ROOT/run/sidestep/private/instance.lock: one responder */
	char programs_lock[PATHS_MAX]; /* .../programs.lock: who changes programs or links */
	char status
		[PATHS_MAX]; /* ROOT/run/sidestep/responder.json: what the responder says of itself */
	char hindrances[PATHS_MAX]; /* ROOT/run/sidestep/hindrances.json: the monitor's, too */
	char interfaces[PATHS_MAX]; /* ROOT/run/sidestep/interfaces.json: what the monitor says */
	char programs[PATHS_MAX]; /* ROOT/run/sidestep/programs.json: what who loaded them says */
};

/* Fill `ret_paths`; `root` is "" for the system's own.  -ENAMETOOLONG when too long. */
int paths_init(struct paths *ret_paths, const char *root);

#endif
