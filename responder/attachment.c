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
#include "common/paths.h"
#include "responder/json_file.h"
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
	attachment->how = ATTACHED_TCX;
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
	err = bpf_tc_attach(&hook, &opts);
	if (!err)
		attachment->how = ATTACHED_CLSACT;
	return err;
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

/* TCX where the kernel has it and the user does not insist on clsact. */
static int attach(struct attachments *attachments, struct attachment *attachment, int program_fd,
		  enum steer_attach_way way)
{
	bool first = attachments->count == 0;
	int err = 0;

	if (attachments->tcx) {
		err = attach_tcx(attachment, program_fd);
		/* A kernel before 6.6 does not know what is asked of it. */
		if (err == -EINVAL && first && way == STEER_ATTACH_AUTO)
			attachments->tcx = false;
	}
	return attachments->tcx ? err : attach_clsact(attachment, program_fd);
}

/* A place at the end of the list; NULL without memory. */
static struct attachment *next_place(struct attachments *attachments)
{
	size_t capacity = attachments->capacity ? 2 * attachments->capacity : 8;
	struct attachment *list;

	if (attachments->count < attachments->capacity)
		return &attachments->list[attachments->count];
	list = reallocarray(attachments->list, capacity, sizeof(*list));
	if (!list)
		return NULL;
	attachments->list = list;
	attachments->capacity = capacity;
	return &list[attachments->count];
}

/* Attach to an interface and remember it, even when that cannot be done.  0 or -errno, logged. */
static int add_interface(struct attachments *attachments,
			 const struct attachment_programs *programs,
			 const struct steer_options *options, const struct if_nameindex *interface)
{
	struct attachment *attachment = next_place(attachments);
	int err, program_fd = program_for(programs, interface->if_name);

	if (!attachment) {
		log_error("no memory to attach to interface %s", interface->if_name);
		return -ENOMEM;
	}
	*attachment = (struct attachment){
		.ifindex = (int)interface->if_index, .link_fd = -1, .seen = true};
	strncpy(attachment->interface, interface->if_name, IF_NAMESIZE - 1);
	err = program_fd < 0 ? -EOPNOTSUPP
			     : attach(attachments, attachment, program_fd, options->attach_way);
	attachments->count++;
	if (program_fd < 0)
		log_warning("interface %s is left out: its link layer is unknown here",
			    attachment->interface);
	else if (err)
		log_error("cannot attach to interface %s: %s", attachment->interface,
			  strerror(-err));
	return err;
}

static bool is_wanted(const struct steer_options *options, const char *interface)
{
	for (size_t i = 0; i < options->interface_count; i++)
		if (!strcmp(options->interfaces[i], interface))
			return true;
	return options->interface_count == 0;
}

static struct attachment *find(const struct attachments *attachments, unsigned int ifindex)
{
	for (size_t i = 0; i < attachments->count; i++)
		if (attachments->list[i].ifindex == (int)ifindex)
			return &attachments->list[i];
	return NULL;
}

/* Look at one interface that is there.  Returns whether that changed anything. */
static bool follow_interface(struct attachments *attachments,
			     const struct attachment_programs *programs,
			     const struct steer_options *options,
			     const struct if_nameindex *interface)
{
	struct attachment *known = find(attachments, interface->if_index);

	if (!known) {
		if (!is_wanted(options, interface->if_name))
			return false;
		if (!add_interface(attachments, programs, options, interface))
			log_notice("interface %s has come: attached", interface->if_name);
		return true;
	}
	known->seen = true;
	if (!strcmp(known->interface, interface->if_name))
		return false;
	log_notice("interface %s is %s now", known->interface, interface->if_name);
	strncpy(known->interface, interface->if_name, IF_NAMESIZE - 1);
	return true;
}

/* Forget the interfaces that have gone, and with them what was attached.  Returns whether any have. */
static bool forget_unseen(struct attachments *attachments)
{
	size_t kept = 0;

	for (size_t i = 0; i < attachments->count; i++) {
		struct attachment *attachment = &attachments->list[i];

		if (attachment->seen) {
			attachments->list[kept++] = *attachment;
			continue;
		}
		log_notice("interface %s is gone", attachment->interface);
		if (attachment->link_fd >= 0)
			close(attachment->link_fd);
	}
	if (kept == attachments->count)
		return false;
	attachments->count = kept;
	return true;
}

bool attachments_follow(struct attachments *attachments, const struct attachment_programs *programs,
			const struct steer_options *options)
{
	struct if_nameindex *interfaces = if_nameindex();
	bool changed = false;

	if (!interfaces) {
		log_error("cannot list the interfaces: %s", strerror(errno));
		return false;
	}
	for (size_t i = 0; i < attachments->count; i++)
		attachments->list[i].seen = false;
	for (size_t i = 0; interfaces[i].if_index; i++)
		changed |= follow_interface(attachments, programs, options, &interfaces[i]);
	if_freenameindex(interfaces);
	return forget_unseen(attachments) || changed;
}

static int attach_all_interfaces(struct attachments *attachments,
				 const struct attachment_programs *programs,
				 const struct steer_options *options)
{
	struct if_nameindex *interfaces = if_nameindex();
	int err = 0;

	if (!interfaces) {
		err = -errno;
		log_error("cannot list the interfaces: %s", strerror(errno));
		return err;
	}
	for (size_t i = 0; !err && interfaces[i].if_index; i++) {
		err = add_interface(attachments, programs, options, &interfaces[i]);
		if (err == -EOPNOTSUPP) /* not asked for by name */
			err = 0;
	}
	if_freenameindex(interfaces);
	return err;
}

static int attach_named_interfaces(struct attachments *attachments,
				   const struct attachment_programs *programs,
				   const struct steer_options *options)
{
	int err = 0;

	for (size_t i = 0; !err && i < options->interface_count; i++) {
		struct if_nameindex interface = {
			.if_index = if_nametoindex(options->interfaces[i]),
			.if_name = (char *)options->interfaces[i],
		};

		if (!interface.if_index) {
			log_error("there is no interface %s here; 'ip link' lists them",
				  interface.if_name);
			err = -ENODEV;
		} else {
			err = add_interface(attachments, programs, options, &interface);
		}
	}
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

/* Print the names of those that are attached, or of those that are not. */
static void print_names(FILE *out, const struct attachments *attachments, bool attached)
{
	const char *separator = "";

	for (size_t i = 0; i < attachments->count; i++) {
		if ((attachments->list[i].how != ATTACHED_NOT) != attached)
			continue;
		fputs(separator, out);
		json_file_print_string(out, attachments->list[i].interface);
		separator = ", ";
	}
}

static void print_attachments(FILE *out, const void *context)
{
	const struct attachments *attachments = context;

	fprintf(out, "{\"attach\": \"%s\", \"interfaces\": [", attachments->tcx ? "tcx" : "clsact");
	print_names(out, attachments, true);
	fputs("], \"unprotected\": [", out);
	print_names(out, attachments, false);
	fputs("]}\n", out);
}

int attachments_write(const struct attachments *attachments, const struct paths *paths)
{
	return json_file_write(paths->interfaces, print_attachments, attachments);
}

void attachments_remove(struct attachments *attachments)
{
	for (size_t i = 0; i < attachments->count; i++)
		if (attachments->list[i].how == ATTACHED_CLSACT)
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
	*attachments = (struct attachments){.lookup_link_fd = -1};
}
