// SPDX-License-Identifier: GPL-3.0-or-later
/* The classifier for kernels without bpf_sk_assign_tcp_reqsk(): the repair takeover. */
#define STEER_BY_REPAIR
#include "bpf/steer.bpf.c"
