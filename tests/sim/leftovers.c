// SPDX-License-Identifier: GPL-3.0-or-later
/* Nothing half-written lies below the state directory once everything is quiet. */
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/sim/invariants.h"
#include "tests/sim/world.h"

#define OPEN_MAX_FTW 16
#define PATH_SIZE    512

static char found[PATH_SIZE];
static bool allows_temporaries;

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Files that are being written have a dot before their name; links lead to something. */
static int look(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	struct stat target;

	(void)walk;
	if (found[0])
		return 1;
	if (allows_temporaries && base_of(path)[0] == '.')
		return 0;
	if ((base_of(path)[0] == '.' && base_of(path)[1]) ||
	    (kind == FTW_F && !status->st_size && strstr(path, ".pem")))
		snprintf(found, sizeof(found), "%s is left", path);
	else if (S_ISLNK(status->st_mode) && stat(path, &target))
		snprintf(found, sizeof(found), "%s leads nowhere", path);
	return found[0] != '\0';
}

void invariants_leftovers(struct world *world)
{
	char path[PATH_SIZE];

	found[0] = '\0';
	allows_temporaries = world->was_killed_anywhere;
	snprintf(path, sizeof(path), "%s/var/lib/sidestep", sim_root());
	nftw(path, look, OPEN_MAX_FTW, FTW_PHYS);
	if (found[0])
		invariants_violated(world, "%s", found);
}
