// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/attachment.h"

#include <net/if.h> /* before the kernel's, which else declares the same */

#include <errno.h>
#include <fcntl.h>
#include <linux/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "common/log.h"
#include "responder/clsact.h"
#include "responder/pins.h"

/* enum bpf_attach_type, since 6.6; the distribution's headers may be older. */
#define ATTACH_TCX_INGRESS 46

#define PROGRAM_ETHERNET "steer_ethernet"
#define PROGRAM_BARE_IP  "steer_bare_ip"
#define PROGRAM_LOOKUP   "guard"

/* What is pinned, some of it with an interface's index behind. */
#define PIN_PROGRAM     "program_"
#define PIN_LOOKUP_LINK "link_lookup"
#define PIN_LINK        "link_"
#define PIN_FILTER      "filter_" /* the program that is a filter there */
#define PIN_QDISC       "qdisc_" /* any program: the clsact qdisc there is ours */

struct pin_name {
	char text[32];
};

static struct pin_name pin_name(const char *prefix, int ifindex)
{
	struct pin_name name;

	snprintf(name.text, sizeof(name.text), "%s%d", prefix, ifindex);
	return name;
}

/* --- programs ---------------------------------------------------------------------- */

static int program_of(const struct bpf_object *object, const char *name)
{
	const struct bpf_program *program = bpf_object__find_program_by_name(object, name);

	return program ? bpf_program__fd(program) : -1;
}

struct attachment_programs attachment_programs_of(const struct bpf_object *object)
{
	return (struct attachment_programs){
		.ethernet_fd = program_of(object, PROGRAM_ETHERNET),
		.bare_ip_fd = program_of(object, PROGRAM_BARE_IP),
		.lookup_fd = program_of(object, PROGRAM_LOOKUP),
	};
}

int attachment_programs_put(const struct paths *paths, const struct attachment_programs *programs)
{
	int err;

	err = pins_put(paths, PIN_PROGRAM PROGRAM_ETHERNET, programs->ethernet_fd);
	if (!err)
		err = pins_put(paths, PIN_PROGRAM PROGRAM_BARE_IP, programs->bare_ip_fd);
	if (!err)
		err = pins_put(paths, PIN_PROGRAM PROGRAM_LOOKUP, programs->lookup_fd);
	return err;
}

int attachment_programs_get(const struct paths *paths, struct attachment_programs *ret_programs)
{
	struct attachment_programs programs = {
		.ethernet_fd = pins_get(paths, PIN_PROGRAM PROGRAM_ETHERNET),
		.bare_ip_fd = pins_get(paths, PIN_PROGRAM PROGRAM_BARE_IP),
		.lookup_fd = pins_get(paths, PIN_PROGRAM PROGRAM_LOOKUP),
	};
	int err = 0;

	if (programs.ethernet_fd < 0)
		err = programs.ethernet_fd;
	else if (programs.bare_ip_fd < 0)
		err = programs.bare_ip_fd;
	else if (programs.lookup_fd < 0)
		err = programs.lookup_fd;
	if (err) {
		attachment_programs_close(&programs);
		return err;
	}
	*ret_programs = programs;
	return 0;
}

void attachment_programs_close(const struct attachment_programs *programs)
{
	if (programs->ethernet_fd >= 0)
		close(programs->ethernet_fd);
	if (programs->bare_ip_fd >= 0)
		close(programs->bare_ip_fd);
	if (programs->lookup_fd >= 0)
		close(programs->lookup_fd);
}

/* The program that fits the interface's link layer; -EOPNOTSUPP when none does, or -errno. */
static int program_for(const struct attachment_programs *programs, int ifindex)
{
	struct ifreq request = {0};
	int err = 0, fd;

	if (!if_indextoname((unsigned int)ifindex, request.ifr_name))
		return -errno;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCGIFHWADDR, &request))
		err = -errno;
	close(fd);
	if (err)
		return err;
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
		return -EOPNOTSUPP;
	}
}

/* --- links ------------------------------------------------------------------------- */

/* Replace the program of the pinned link. */
static int update_link(const struct paths *paths, const char *pin, int program_fd)
{
	int err, link_fd = pins_get(paths, pin);

	if (link_fd < 0)
		return link_fd;
	err = bpf_link_update(link_fd, program_fd, NULL);
	close(link_fd);
	return err;
}

/* Detach at once: unpinning alone lets the kernel do it later. */
static int drop_link(const struct paths *paths, const char *pin)
{
	int err = 0, link_fd = pins_get(paths, pin);

	if (link_fd < 0)
		return link_fd == -ENOENT ? 0 : link_fd;
	if (bpf_link_detach(link_fd))
		err = -errno;
	close(link_fd);
	return err ? err : pins_drop(paths, pin);
}

/* Attach by a pinned link; what an earlier one was attached to may be gone. */
static int attach_link(const struct paths *paths, const char *pin, int program_fd, int target,
		       enum bpf_attach_type type)
{
	int err, link_fd;

	if (!update_link(paths, pin, program_fd))
		return 0;
	link_fd = bpf_link_create(program_fd, target, type, NULL);
	if (link_fd < 0)
		return link_fd;
	err = pins_put(paths, pin, link_fd);
	close(link_fd);
	return err;
}

/* 1 when the pinned link is attached, 0 when not, or -errno. */
static int has_link(const struct paths *paths, const char *pin)
{
	struct bpf_link_info info = {0};
	__u32 size = sizeof(info);
	int err = 0, link_fd = pins_get(paths, pin);

	if (link_fd < 0)
		return link_fd == -ENOENT ? 0 : link_fd;
	if (bpf_obj_get_info_by_fd(link_fd, &info, &size))
		err = -errno;
	close(link_fd);
	if (err)
		return err;
	/* Those of TCX, which the distribution's headers do not know, lie where XDP's do. */
	return (info.type == BPF_LINK_TYPE_NETNS ? info.netns.netns_ino : info.xdp.ifindex) != 0;
}

int attachment_lookup_is_there(const struct paths *paths)
{
	return has_link(paths, PIN_LOOKUP_LINK);
}

int attachment_attach_lookup(const struct paths *paths, const struct attachment_programs *programs)
{
	int err, netns_fd;

	netns_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (netns_fd < 0)
		return -errno;
	err = attach_link(paths, PIN_LOOKUP_LINK, programs->lookup_fd, netns_fd, BPF_SK_LOOKUP);
	close(netns_fd);
	return err;
}

/* --- filters ----------------------------------------------------------------------- */

/* Pin a filter before it is attached, and a qdisc only after this process has created it. */
static int attach_filter(const struct paths *paths, int ifindex, int program_fd)
{
	bool made_qdisc = false;
	int err;

	err = pins_put(paths, pin_name(PIN_FILTER, ifindex).text, program_fd);
	if (!err)
		err = clsact_attach(ifindex, program_fd, &made_qdisc);
	if (!err && made_qdisc)
		err = pins_put(paths, pin_name(PIN_QDISC, ifindex).text, program_fd);
	return err;
}

static int has_filter(const struct paths *paths, int ifindex)
{
	int result, program_fd = pins_get(paths, pin_name(PIN_FILTER, ifindex).text);

	if (program_fd < 0)
		return program_fd == -ENOENT ? 0 : program_fd;
	result = clsact_has(ifindex, program_fd);
	close(program_fd);
	return result;
}

static void detach_filter(const struct paths *paths, int ifindex)
{
	struct pin_name filter = pin_name(PIN_FILTER, ifindex);
	struct pin_name qdisc = pin_name(PIN_QDISC, ifindex);
	int err, program_fd = pins_get(paths, filter.text);

	if (program_fd < 0)
		return;
	err = clsact_detach(ifindex, program_fd);
	close(program_fd);
	if (!err && pins_has(paths, qdisc.text))
		err = clsact_remove_qdisc(ifindex);
	if (err)
		log_error("cannot remove the tc filter from interface %d: %s", ifindex,
			  strerror(-err));
	pins_drop(paths, qdisc.text);
	pins_drop(paths, filter.text);
}

/* --- an interface ------------------------------------------------------------------- */

/* Remove the other kind of attachment only after this one works. */
int attachment_attach(const struct paths *paths, const struct attachment_programs *programs,
		      int ifindex, bool tcx)
{
	struct pin_name link = pin_name(PIN_LINK, ifindex);
	int err, program_fd = program_for(programs, ifindex);

	if (program_fd < 0)
		return program_fd;
	if (!tcx) {
		err = attach_filter(paths, ifindex, program_fd);
		return err ? err : drop_link(paths, link.text);
	}
	err = attach_link(paths, link.text, program_fd, ifindex,
			  (enum bpf_attach_type)ATTACH_TCX_INGRESS);
	if (!err)
		detach_filter(paths, ifindex);
	return err;
}

int attachment_is_there(const struct paths *paths, int ifindex, bool tcx)
{
	return tcx ? has_link(paths, pin_name(PIN_LINK, ifindex).text) : has_filter(paths, ifindex);
}

void attachment_detach_others(const struct paths *paths,
			      bool (*is_wanted)(const void *context, int ifindex),
			      const void *context)
{
	int *links = pins_numbers(paths, PIN_LINK), *filters = pins_numbers(paths, PIN_FILTER);
	int err;

	for (size_t i = 0; links && links[i] >= 0; i++) {
		err = is_wanted(context, links[i])
			      ? 0
			      : drop_link(paths, pin_name(PIN_LINK, links[i]).text);
		if (err)
			log_error("cannot detach from interface %d: %s", links[i], strerror(-err));
	}
	for (size_t i = 0; filters && filters[i] >= 0; i++)
		if (!is_wanted(context, filters[i]))
			detach_filter(paths, filters[i]);
	free(links);
	free(filters);
}

/* --- all of them -------------------------------------------------------------------- */

static bool none_is_wanted(const void *context, int ifindex)
{
	(void)context;
	(void)ifindex;
	return false;
}

int attachment_detach_all(const struct paths *paths)
{
	int err;

	attachment_detach_others(paths, none_is_wanted, NULL);
	err = drop_link(paths, PIN_LOOKUP_LINK);
	if (err)
		log_error("cannot detach from the sk_lookup hook: %s", strerror(-err));
	pins_drop(paths, PIN_PROGRAM PROGRAM_ETHERNET);
	pins_drop(paths, PIN_PROGRAM PROGRAM_BARE_IP);
	pins_drop(paths, PIN_PROGRAM PROGRAM_LOOKUP);
	return err;
}

bool attachment_any(const struct paths *paths)
{
	int *links = pins_numbers(paths, PIN_LINK), *filters = pins_numbers(paths, PIN_FILTER);
	bool any = !links || links[0] >= 0 || !filters || filters[0] >= 0 ||
		   pins_has(paths, PIN_LOOKUP_LINK);

	free(links);
	free(filters);
	return any;
}

/* An interface that has gone meanwhile needs no program. */
static int replace_one(const struct paths *paths, const char *prefix, int ifindex,
		       const struct attachment_programs *programs)
{
	int err, program_fd = program_for(programs, ifindex);

	if (program_fd == -ENXIO || program_fd == -ENODEV)
		return 0;
	if (program_fd < 0)
		err = program_fd;
	else if (strcmp(prefix, PIN_FILTER) == 0)
		err = attach_filter(paths, ifindex, program_fd);
	else
		err = update_link(paths, pin_name(PIN_LINK, ifindex).text, program_fd);
	if (err)
		log_error("cannot replace the program on interface %d: %s", ifindex,
			  strerror(-err));
	return err;
}

static int replace_each(const struct paths *paths, const char *prefix,
			const struct attachment_programs *programs)
{
	int *numbers = pins_numbers(paths, prefix), err = 0;

	if (!numbers)
		return -errno;
	for (size_t i = 0; numbers[i] >= 0; i++) {
		int one = replace_one(paths, prefix, numbers[i], programs);

		err = err ? err : one;
	}
	free(numbers);
	return err;
}

int attachment_replace_all(const struct paths *paths, const struct attachment_programs *programs)
{
	int err = update_link(paths, PIN_LOOKUP_LINK, programs->lookup_fd), links, filters;

	if (err)
		log_error("cannot replace the sk_lookup program: %s", strerror(-err));
	links = replace_each(paths, PIN_LINK, programs);
	filters = replace_each(paths, PIN_FILTER, programs);
	return err ? err : links ? links : filters;
}
