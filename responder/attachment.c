// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/attachment.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "common/log.h"
#include "responder/steer.h"

/* enum bpf_attach_type, since 6.6; the distribution's headers may be older. */
#define ATTACH_TCX_INGRESS 46

/* Our filter among those of others on a clsact qdisc. */
#define CLSACT_HANDLE   1
#define CLSACT_PRIORITY 443

/* The program that fits the interface's link layer; -1 when none does. */
static int program_for(const struct attachment_programs *programs, const char *interface)
{
	struct ifreq request = {0};
	int err, fd;

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	strncpy(request.ifr_name, interface, IF_NAMESIZE - 1);
	err = ioctl(fd, SIOCGIFHWADDR, &request);
	close(fd);
	if (err)
		return -1;
	switch (request.ifr_hwaddr.sa_family) {
	case ARPHRD_ETHER:
	case ARPHRD_LOOPBACK:
		return programs->ethernet_fd;
	case ARPHRD_NONE:
	case ARPHRD_PPP:
	case ARPHRD_RAWIP:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
		return programs->bare_ip_fd;
	default:
		return -1;
	}
}

static int attach_tcx(struct attachment *attachment, int program_fd)
{
	int fd = bpf_link_create(program_fd, attachment->ifindex,
				 (enum bpf_attach_type)ATTACH_TCX_INGRESS, NULL);

	if (fd < 0)
		return fd;
	attachment->link_fd = fd;
	return 0;
}

static int attach_clsact(struct attachment *attachment, int program_fd)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = attachment->ifindex,
		    .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = CLSACT_HANDLE, .priority = CLSACT_PRIORITY,
		    .prog_fd = program_fd, .flags = BPF_TC_F_REPLACE);
	int err;

	err = bpf_tc_hook_create(&hook);
	attachment->made_clsact = !err;
	if (err && err != -EEXIST)
		return err;
	return bpf_tc_attach(&hook, &opts);
}

static void detach_clsact(const struct attachment *attachment)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = attachment->ifindex,
		    .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = CLSACT_HANDLE, .priority = CLSACT_PRIORITY);
	int err;

	err = bpf_tc_detach(&hook, &opts);
	if (err && err != -ENOENT && err != -ENODEV && err != -EINVAL)
		log_error("cannot remove the tc filter from %s: %s", attachment->interface,
			  strerror(-err));
	/* Both directions: that is what removes the qdisc, and only one that we made. */
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	if (attachment->made_clsact)
		bpf_tc_hook_destroy(&hook);
}

/*
 * Attach to one interface; TCX where the kernel has it and the user does not
 * insist on clsact.  `named`: the user asked for just this one.
 */
static int attach_interface(struct attachments *attachments,
			    const struct attachment_programs *programs,
			    const struct steer_options *options, const char *interface, bool named)
{
	struct attachment *attachment = &attachments->list[attachments->count];
	int err = 0, program_fd;

	*attachment = (struct attachment){.ifindex = (int)if_nametoindex(interface), .link_fd = -1};
	if (!attachment->ifindex) {
		log_error("there is no interface %s here; 'ip link' lists them", interface);
		return -ENODEV;
	}
	strncpy(attachment->interface, interface, IF_NAMESIZE - 1);
	program_fd = program_for(programs, interface);
	if (program_fd < 0) {
		if (!named) {
			log_warning("interface %s is left out: its link layer is unknown here",
				    interface);
			return 0;
		}
		log_error("interface %s has a link layer that is unknown here", interface);
		return -EOPNOTSUPP;
	}
	if (attachments->tcx) {
		err = attach_tcx(attachment, program_fd);
		if (err == -EINVAL && !attachments->count &&
		    options->attach_way == STEER_ATTACH_AUTO)
			attachments->tcx = false;
	}
	if (!attachments->tcx)
		err = attach_clsact(attachment, program_fd);
	if (err) {
		log_error("cannot attach to interface %s: %s", interface, strerror(-err));
		return err;
	}
	attachments->count++;
	return 0;
}

static int attach_all_interfaces(struct attachments *attachments,
				 const struct attachment_programs *programs,
				 const struct steer_options *options)
{
	struct if_nameindex *interfaces = if_nameindex();
	size_t count = 0;
	int err = 0;

	if (!interfaces) {
		err = -errno;
		log_error("cannot list the interfaces: %s", strerror(errno));
		return err;
	}
	while (interfaces[count].if_index)
		count++;
	attachments->list = calloc(count, sizeof(*attachments->list));
	if (!attachments->list && count)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < count; i++)
		err = attach_interface(attachments, programs, options, interfaces[i].if_name,
				       false);
	if_freenameindex(interfaces);
	return err;
}

static int attach_named_interfaces(struct attachments *attachments,
				   const struct attachment_programs *programs,
				   const struct steer_options *options)
{
	int err = 0;

	attachments->list = calloc(options->interface_count, sizeof(*attachments->list));
	if (!attachments->list)
		return -ENOMEM;
	for (size_t i = 0; !err && i < options->interface_count; i++)
		err = attach_interface(attachments, programs, options, options->interfaces[i],
				       true);
	return err;
}

static int attach_lookup(struct attachments *attachments, int program_fd)
{
	int err = 0, netns_fd;

	netns_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (netns_fd < 0) {
		err = -errno;
	} else {
		attachments->lookup_link_fd =
			bpf_link_create(program_fd, netns_fd, BPF_SK_LOOKUP, NULL);
		if (attachments->lookup_link_fd < 0)
			err = attachments->lookup_link_fd;
		close(netns_fd);
	}
	if (err)
		log_error("cannot attach to the network namespace's sk_lookup hook: %s",
			  strerror(-err));
	return err;
}

int attachments_make(const struct attachment_programs *programs,
		     const struct steer_options *options, struct attachments *ret_attachments)
{
	struct attachments attachments = {
		.lookup_link_fd = -1,
		.tcx = options->attach_way != STEER_ATTACH_CLSACT,
	};
	int err = 0;

	if (programs->lookup_fd >= 0)
		err = attach_lookup(&attachments, programs->lookup_fd);
	if (!err && options->interface_count)
		err = attach_named_interfaces(&attachments, programs, options);
	else if (!err)
		err = attach_all_interfaces(&attachments, programs, options);
	if (err) {
		attachments_remove(&attachments);
		return err;
	}
	*ret_attachments = attachments;
	return 0;
}

void attachments_remove(struct attachments *attachments)
{
	for (size_t i = 0; i < attachments->count; i++)
		if (attachments->list[i].link_fd < 0)
			detach_clsact(&attachments->list[i]);
	attachments_done(attachments);
}

void attachments_done(struct attachments *attachments)
{
	for (size_t i = 0; i < attachments->count; i++)
		if (attachments->list[i].link_fd >= 0)
			close(attachments->list[i].link_fd);
	if (attachments->lookup_link_fd >= 0)
		close(attachments->lookup_link_fd);
	free(attachments->list);
	attachments->list = NULL;
	attachments->count = 0;
	attachments->lookup_link_fd = -1;
}
