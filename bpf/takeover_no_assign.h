/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For kernels without bpf_sk_assign_tcp_reqsk(): every connection goes by TCP_REPAIR. */
#ifndef BPF_TAKEOVER_NO_ASSIGN_H
#define BPF_TAKEOVER_NO_ASSIGN_H

#include "bpf/segment.h"

INLINE bool assign_is_possible(const struct segment *segment,
			       const struct bpf_tcp_req_attrs *negotiated)
{
	return false;
}

INLINE int assign_behind_rst(struct segment *segment)
{
	return DROP;
}

INLINE int assign_now(struct segment *segment, const struct bpf_tcp_req_attrs *negotiated)
{
	return -1;
}

#endif
