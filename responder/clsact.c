// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/clsact.h"

#include <errno.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "responder/netlink.h"

/* Our filter among those of others; left to itself the kernel gives handles from 1 on. */
#define HANDLE   0x51de57e9
#define PRIORITY 443

int clsact_attach(int ifindex, int program_fd, bool *ret_made_qdisc)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = HANDLE, .priority = PRIORITY,
		    .prog_fd = program_fd, .flags = BPF_TC_F_REPLACE);
	int err;

	err = bpf_tc_hook_create(&hook);
	if (err && err != -EEXIST)
		return err;
	*ret_made_qdisc = !err;
	return bpf_tc_attach(&hook, &opts);
}

static int program_id(int program_fd, __u32 *ret_id)
{
	struct bpf_prog_info info = {0};
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(program_fd, &info, &size))
		return -errno;
	*ret_id = info.id;
	return 0;
}

/* Does the error mean that the interface, qdisc or filter is gone? */
static bool is_gone(int err)
{
	return err == -ENOENT || err == -ENODEV || err == -EINVAL;
}

int clsact_has(int ifindex, int program_fd)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, found, .handle = HANDLE, .priority = PRIORITY);
	__u32 id = 0;
	int err;

	err = program_id(program_fd, &id);
	if (err)
		return err;
	err = bpf_tc_query(&hook, &found);
	if (err)
		return is_gone(err) ? 0 : err;
	return found.prog_id == id;
}

int clsact_detach(int ifindex, int program_fd)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, ours, .handle = HANDLE, .priority = PRIORITY);
	int result = clsact_has(ifindex, program_fd);

	if (result <= 0)
		return result;
	result = bpf_tc_detach(&hook, &ours);
	return is_gone(result) ? 0 : result;
}

/* --- whether others use the qdisc ---------------------------------------------------- */

static void note_filter(void *context, const struct nlmsghdr *message)
{
	bool *found = context;

	*found |= message->nlmsg_type == RTM_NEWTFILTER;
}

/* 1: there are filters in this direction, 0: none, or -errno.  Source: rtnetlink(7). */
static int has_filters(int ifindex, __u32 direction)
{
	struct {
		struct nlmsghdr header;
		struct tcmsg tc;
	} request = {
		.header = {.nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETTFILTER},
		.tc = {.tcm_family = AF_UNSPEC,
		       .tcm_ifindex = ifindex,
		       .tcm_parent = TC_H_MAKE(TC_H_CLSACT, direction)},
	};
	bool found = false;
	int err = netlink_dump(NETLINK_ROUTE, &request.header, note_filter, &found);

	return err ? err : found;
}

int clsact_remove_qdisc(int ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	int found;

	found = has_filters(ifindex, TC_H_MIN_INGRESS);
	if (!found)
		found = has_filters(ifindex, TC_H_MIN_EGRESS);
	if (found)
		return found > 0 || is_gone(found) ? 0 : found;
	found = bpf_tc_hook_destroy(&hook);
	return is_gone(found) ? 0 : found;
}
