/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `sidestep` after the process is prepared: reads the arguments and calls the verb. */
#ifndef SIDESTEP_H
#define SIDESTEP_H

/* The exit status: EXIT_* of verbs.h. */
int sidestep_main(int argc, char **argv);

#endif
