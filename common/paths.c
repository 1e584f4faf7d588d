// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/paths.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Write root and suffix; false when it does not fit. */
static bool join(char ret_path[PATHS_MAX], const char *root, size_t root_length, const char *suffix)
{
	int length = snprintf(ret_path, PATHS_MAX, "%.*s%s", (int)root_length, root, suffix);

	return length > 0 && length < PATHS_MAX;
}

int paths_init(struct paths *ret_paths, const char *root)
{
	size_t length = strlen(root);
	struct paths paths;

	if (length >= PATHS_MAX)
		return -ENAMETOOLONG;
	while (length && root[length - 1] == '/')
		length--;
	if (!join(paths.conf, root, length, "/etc/sidestep") ||
	    !join(paths.state, root, length, "/var/lib/sidestep") ||
	    !join(paths.run, root, length, "/run/sidestep") ||
	    !join(paths.pins, root, length, "/run/sidestep/bpf") ||
	    !join(paths.table, root, length, "/run/sidestep/challenges") ||
	    !join(paths.evidence, root, length, "/run/sidestep/evidence") ||
	    !join(paths.conn_stats, root, length, "/run/sidestep/conn-stats") ||
	    !join(paths.alive, root, length, "/run/sidestep/alive.sock") ||
	    !join(paths.private, root, length, "/run/sidestep/private") ||
	    !join(paths.control, root, length, "/run/sidestep/private/handover.sock") ||
	    !join(paths.lock, root, length, "/run/sidestep/private/instance.lock") ||
	    !join(paths.programs_lock, root, length, "/run/sidestep/private/programs.lock") ||
	    !join(paths.status, root, length, "/run/sidestep/responder.json") ||
	    !join(paths.interfaces, root, length, "/run/sidestep/interfaces.json") ||
	    !join(paths.hindrances, root, length, "/run/sidestep/hindrances.json") ||
	    !join(paths.programs, root, length, "/run/sidestep/programs.json"))
		return -ENAMETOOLONG;
	*ret_paths = paths;
	return 0;
}
