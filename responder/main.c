// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * sidestep-responder: does what its command line says, in the network
 * namespace and below the root that it names.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/log.h"
#include "common/paths.h"
#include "common/process.h"
#include "responder/check.h"
#include "responder/netns.h"
#include "responder/options.h"
#include "responder/responder.h"
#include "responder/unload.h"
#include "responder/upgrade.h"

#define PROGRAM "sidestep-responder"

enum exit_status { EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_NETNS_ENDED };

static int enter_netns(const char *name, struct netns *netns)
{
	int err = netns_enter(name, netns);

	if (err == -ENOENT)
		log_error("there is no network namespace %s; 'ip netns' lists those with names, a "
			  "container's is /proc/PID/ns/net, with the PID of its first process",
			  name);
	else if (err == -EPERM || err == -EACCES)
		log_error("only root may enter network namespace %s", name);
	else if (err)
		log_error("cannot enter network namespace %s: %s", name, strerror(-err));
	return err;
}

/* Absolute, as the daemon leaves the directory in which it was started.  To be freed; NULL: logged. */
static char *resolve_root(const char *root)
{
	char *resolved = *root ? realpath(root, NULL) : strdup("");

	if (!resolved)
		log_error("cannot use --root %s: %s", root, strerror(errno));
	return resolved;
}

static int act_in(const struct options *options, const struct paths *paths,
		  const struct netns *netns)
{
	switch (options->action) {
	case OPTIONS_CHECK:
		return check_print(options, stdout);
	case OPTIONS_UPGRADE:
		return upgrade_programs(paths);
	case OPTIONS_UNLOAD:
		return unload_instance(paths);
	default:
		return responder_run(options, paths, netns);
	}
}

static int act(const struct options *options)
{
	char *root = resolve_root(options->root);
	struct netns netns;
	struct paths paths;
	int err;

	if (!root)
		return -ENOENT;
	err = paths_init(&paths, root);
	free(root);
	if (err) {
		log_error("the path given with --root is too long");
		return err;
	}
	if (!options->netns)
		return act_in(options, &paths, NULL);
	err = enter_netns(options->netns, &netns);
	if (err)
		return err;
	err = act_in(options, &paths, &netns);
	netns_done(&netns);
	return err;
}

static enum exit_status exit_status(int err)
{
	if (err == -ENONET)
		return EXIT_NETNS_ENDED;
	return err ? EXIT_FAILED : EXIT_DONE;
}

int main(int argc, char **argv)
{
	struct options options;
	int err;

	if (process_open_standard_descriptors())
		return EXIT_FAILED;
	err = options_parse(&options, argc, argv);
	if (err)
		return err == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
	log_init(PROGRAM, options.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	umask(022);
	err = options.action == OPTIONS_EXIT ? 0 : act(&options);
	options_done(&options);
	return exit_status(err);
}
