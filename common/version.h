/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The version of all Sidestep programs. */
#ifndef VERSION_H
#define VERSION_H

#define SIDESTEP_VERSION "0.1.0"

#endif
