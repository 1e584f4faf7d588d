// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/interfaces.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "common/challenge_table.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/paths.h"
#include "responder/attachment.h"
#include "responder/json_file.h"
#include "responder/retry.h"
#include "responder/steer.h"

struct interface {
	char name[IF_NAMESIZE];
	int ifindex;
	bool attached; /* false: it could not be done */
	bool seen; /* in the round that is under way */
	struct retry retry; /* of attaching */
};

/* --- the list ---------------------------------------------------------------------- */

/* A place at the end of the list; NULL without memory. */
static struct interface *next_place(struct interfaces *interfaces)
{
	size_t capacity = interfaces->capacity ? 2 * interfaces->capacity : 8;
	struct interface *list;

	if (interfaces->count < interfaces->capacity)
		return &interfaces->list[interfaces->count];
	list = reallocarray(interfaces->list, capacity, sizeof(*list));
	if (!list)
		return NULL;
	interfaces->list = list;
	interfaces->capacity = capacity;
	return &list[interfaces->count];
}

static struct interface *find(const struct interfaces *interfaces, int ifindex)
{
	for (size_t i = 0; i < interfaces->count; i++)
		if (interfaces->list[i].ifindex == ifindex)
			return &interfaces->list[i];
	return NULL;
}

static bool is_listed(const void *context, int ifindex)
{
	return find(context, ifindex);
}

static bool is_wanted(const struct steer_options *options, const char *name)
{
	for (size_t i = 0; i < options->interface_count; i++)
		if (strcmp(options->interfaces[i], name) == 0)
			return true;
	return options->interface_count == 0;
}

/* --- attaching --------------------------------------------------------------------- */

/* TCX where the kernel has it and the user does not insist on clsact. */
static int attach(struct interfaces *interfaces, const struct attachment_programs *programs,
		  const struct steer_options *options, int ifindex)
{
	bool first = interfaces->count == 0;
	int err;

	err = attachment_attach(options->paths, programs, ifindex, interfaces->tcx);
	/* A kernel before 6.6 does not know what is asked of it. */
	if (err == -EINVAL && interfaces->tcx && first && options->attach_mode == ATTACH_AUTO) {
		interfaces->tcx = false;
		err = attachment_attach(options->paths, programs, ifindex, false);
	}
	return err;
}

/* Attach to an interface and remember it, even when that cannot be done.  0 or -errno, logged. */
static int add(struct interfaces *interfaces, const struct attachment_programs *programs,
	       const struct steer_options *options, const struct if_nameindex *found)
{
	struct interface *interface = next_place(interfaces);
	int err;

	if (!interface) {
		log_error("no memory to attach to interface %s", found->if_name);
		return -ENOMEM;
	}
	*interface = (struct interface){.ifindex = (int)found->if_index, .seen = true};
	strncpy(interface->name, found->if_name, IF_NAMESIZE - 1);
	err = attach(interfaces, programs, options, interface->ifindex);
	interface->attached = !err;
	if (err)
		retry_note(&interface->retry, clock_boottime_ns());
	interfaces->count++;
	if (err == -EOPNOTSUPP)
		log_warning("interface %s is left out: its link layer is unknown here",
			    interface->name);
	else if (err)
		log_error("cannot attach to interface %s: %s", interface->name, strerror(-err));
	return err;
}

static int attach_to_all(struct interfaces *interfaces, const struct attachment_programs *programs,
			 const struct steer_options *options)
{
	struct if_nameindex *found = if_nameindex();
	int err = 0;

	if (!found) {
		err = -errno;
		log_error("cannot list the interfaces: %s", strerror(errno));
		return err;
	}
	for (size_t i = 0; !err && found[i].if_index; i++) {
		err = add(interfaces, programs, options, &found[i]);
		if (err == -EOPNOTSUPP) /* not asked for by name */
			err = 0;
	}
	if_freenameindex(found);
	return err;
}

static int attach_to_named(struct interfaces *interfaces,
			   const struct attachment_programs *programs,
			   const struct steer_options *options)
{
	int err = 0;

	for (size_t i = 0; !err && i < options->interface_count; i++) {
		struct if_nameindex found = {
			.if_index = if_nametoindex(options->interfaces[i]),
			.if_name = (char *)options->interfaces[i],
		};

		if (!found.if_index) {
			log_error("there is no interface %s here; 'ip link' lists them",
				  found.if_name);
			err = -ENODEV;
		} else {
			err = add(interfaces, programs, options, &found);
		}
	}
	return err;
}

int interfaces_attach(const struct steer_options *options, struct interfaces *ret_interfaces)
{
	struct interfaces interfaces = {.tcx = options->attach_mode != ATTACH_CLSACT};
	struct attachment_programs programs;
	int err;

	err = attachment_programs_get(options->paths, &programs);
	if (err) {
		log_error("cannot open the pinned programs: %s", strerror(-err));
		return err;
	}
	err = options->interface_count ? attach_to_named(&interfaces, &programs, options)
				       : attach_to_all(&interfaces, &programs, options);
	attachment_programs_close(&programs);
	if (err) {
		interfaces_done(&interfaces);
		return err;
	}
	attachment_detach_others(options->paths, is_listed, &interfaces);
	*ret_interfaces = interfaces;
	return 0;
}

/* --- following --------------------------------------------------------------------- */

/* Attach again, or at last, and say so once. */
static void attach_again(struct interfaces *interfaces, struct interface *interface,
			 const struct attachment_programs *programs,
			 const struct steer_options *options)
{
	bool removed = interface->attached;
	int err = attach(interfaces, programs, options, interface->ifindex);

	interface->attached = !err;
	if (err == -ENODEV || err == -ENXIO) /* gone meanwhile, with all that was attached */
		return;
	if (!err && removed)
		log_warning("something on this host removed the program from interface %s: "
			    "attached again",
			    interface->name);
	else if (!err)
		log_notice("interface %s: attached now", interface->name);
	else if (removed)
		log_error("something on this host removed the program from interface %s, and it "
			  "cannot be attached again: %s; trying on",
			  interface->name, strerror(-err));
}

/* See to it that the program is attached.  Returns whether that changed anything. */
static bool keep_attached(struct interfaces *interfaces, struct interface *interface,
			  const struct attachment_programs *programs,
			  const struct steer_options *options)
{
	uint64_t now_ns = clock_boottime_ns();
	bool before = interface->attached;

	/* An error, which leaves the question open, counts as attached. */
	if (before &&
	    attachment_is_there(options->paths, interface->ifindex, interfaces->tcx) != 0) {
		retry_settle(&interface->retry, now_ns);
		return false;
	}
	if (retry_is_due(&interface->retry, now_ns)) {
		retry_note(&interface->retry, now_ns);
		attach_again(interfaces, interface, programs, options);
	} else if (before) {
		interface->attached = false;
		log_warning("something on this host removed the program from interface %s once "
			    "more: attaching it in %u seconds",
			    interface->name, interface->retry.pause_s);
	}
	return interface->attached != before;
}

/* Look at one interface that is there.  Returns whether that changed anything. */
static bool follow(struct interfaces *interfaces, const struct attachment_programs *programs,
		   const struct steer_options *options, const struct if_nameindex *found)
{
	struct interface *known = find(interfaces, (int)found->if_index);
	bool renamed;

	if (!known) {
		if (!is_wanted(options, found->if_name))
			return false;
		if (!add(interfaces, programs, options, found))
			log_notice("interface %s has come: attached", found->if_name);
		return true;
	}
	known->seen = true;
	renamed = strcmp(known->name, found->if_name);
	if (renamed) {
		log_notice("interface %s is %s now", known->name, found->if_name);
		strncpy(known->name, found->if_name, IF_NAMESIZE - 1);
	}
	return keep_attached(interfaces, known, programs, options) || renamed;
}

/* Forget the interfaces that have gone, and with them what was attached.  Returns whether any have. */
static bool forget_unseen(struct interfaces *interfaces, const struct paths *paths)
{
	size_t kept = 0;

	for (size_t i = 0; i < interfaces->count; i++) {
		if (interfaces->list[i].seen)
			interfaces->list[kept++] = interfaces->list[i];
		else
			log_notice("interface %s is gone", interfaces->list[i].name);
	}
	if (kept == interfaces->count)
		return false;
	interfaces->count = kept;
	attachment_detach_others(paths, is_listed, interfaces);
	return true;
}

bool interfaces_follow(struct interfaces *interfaces, const struct steer_options *options)
{
	struct if_nameindex *found = if_nameindex();
	struct attachment_programs programs;
	bool changed = false;
	int err;

	if (!found) {
		log_error("cannot list the interfaces: %s", strerror(errno));
		return false;
	}
	err = attachment_programs_get(options->paths, &programs);
	if (err && !interfaces->programs_missing)
		log_error("cannot get the pinned programs, to follow the interfaces: %s; restart "
			  "the responder",
			  strerror(-err));
	interfaces->programs_missing = err;
	if (err) {
		if_freenameindex(found);
		return false;
	}
	for (size_t i = 0; i < interfaces->count; i++)
		interfaces->list[i].seen = false;
	for (size_t i = 0; found[i].if_index; i++)
		changed |= follow(interfaces, &programs, options, &found[i]);
	if_freenameindex(found);
	attachment_programs_close(&programs);
	return forget_unseen(interfaces, options->paths) || changed;
}

/* --- reporting --------------------------------------------------------------------- */

/* Print the names of those that are attached, or of those that are not. */
static void print_names(FILE *out, const struct interfaces *interfaces, bool attached)
{
	const char *separator = "";

	for (size_t i = 0; i < interfaces->count; i++) {
		if (interfaces->list[i].attached != attached)
			continue;
		fputs(separator, out);
		json_file_print_string(out, interfaces->list[i].name);
		separator = ", ";
	}
}

static void print_interfaces(FILE *out, const void *context)
{
	const struct interfaces *interfaces = context;

	fprintf(out, "{\"attach\": \"%s\", \"interfaces\": [", interfaces->tcx ? "tcx" : "clsact");
	print_names(out, interfaces, true);
	fputs("], \"unprotected\": [", out);
	print_names(out, interfaces, false);
	fputs("]}\n", out);
}

int interfaces_write(const struct interfaces *interfaces, const struct paths *paths)
{
	int err = json_file_write(paths->interfaces, print_interfaces, interfaces);

	if (err)
		log_error("cannot write %s: %s", paths->interfaces, strerror(-err));
	return err;
}

void interfaces_done(struct interfaces *interfaces)
{
	free(interfaces->list);
	*interfaces = (struct interfaces){0};
}
