// SPDX-License-Identifier: GPL-3.0-or-later
/* `sidestep`, the agent and command line: prepares the process. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "acme/cmd/sidestep.h"
#include "acme/cmd/verbs.h"
#include "common/process.h"

static void prepare_process(void)
{
	const struct rlimit no_core = {0};

	/* The memory of this process holds account keys and certificate keys: dump no core. */
	setrlimit(RLIMIT_CORE, &no_core);
	/* libcurl may write to a socket that the peer has closed. */
	signal(SIGPIPE, SIG_IGN);
	/* The code sets each file's mode itself; the user's umask shall not narrow directories. */
	umask(022);
}

int main(int argc, char **argv)
{
	if (process_open_standard_descriptors())
		return EXIT_FAILED;
	prepare_process();
	return sidestep_main(argc, argv);
}
