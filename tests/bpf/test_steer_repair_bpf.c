// SPDX-License-Identifier: GPL-3.0-or-later
/* The same for the repair takeover. */
#define STEER_BY_REPAIR
#include "tests/bpf/test_steer_bpf.c"
