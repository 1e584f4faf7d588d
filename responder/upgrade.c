// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/upgrade.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "common/instance.h"
#include "common/log.h"
#include "common/paths.h"
#include "responder/attachment.h"
#include "responder/netns.h"
#include "responder/pins.h"
#include "responder/programs.h"

static int require_running(const struct paths *paths)
{
	if (instance_is_running(paths) > 0)
		return 0;
	log_error("no responder runs whose programs could be upgraded (looked at %s): start it",
		  paths->alive);
	return -ESRCH;
}

/* What the running responder loaded, by the map that only its takeover has. */
static enum takeover running_takeover(const struct paths *paths)
{
	return pins_has(paths, "listeners") ? TAKEOVER_ASSIGN : TAKEOVER_REPAIR;
}

/* This build's programs, loaded, with the running ones' maps.  NULL: logged, *ret_err set. */
static struct bpf_object *load_programs(const struct paths *paths, enum takeover takeover,
					int *ret_err)
{
	struct bpf_object *object = programs_open(takeover);
	uint64_t netns;
	int err;

	if (!object) {
		*ret_err = -errno;
		return NULL;
	}
	err = netns_inode(&netns);
	if (!err && pins_netns(paths) != netns) {
		log_error("the running responder steers another network namespace, or is of "
			  "another version: give the same --netns, or restart it");
		err = -EXDEV;
	} else if (!err && !pins_fit_steering(paths, netns, object)) {
		log_error("these programs need other maps than the running ones: restart the "
			  "responder");
		err = -ESTALE;
	}
	if (!err)
		err = pins_use_running(paths, object);
	if (!err)
		err = programs_load(object, takeover);
	if (!err)
		return object;
	bpf_object__close(object);
	*ret_err = err;
	return NULL;
}

/* Pin the new programs, for interfaces that come, and put them in the place of the old. */
static int replace(const struct paths *paths, const struct attachment_programs *programs)
{
	int err = attachment_programs_put(paths, programs);

	if (err)
		log_error("cannot pin the BPF programs: %s", strerror(-err));
	return err ? err : attachment_replace_all(paths, programs);
}

static int replace_or_restore(const struct paths *paths, const struct bpf_object *object)
{
	const struct attachment_programs new = attachment_programs_of(object);
	struct attachment_programs old;
	int err;

	err = attachment_programs_get(paths, &old);
	if (err) {
		log_error("cannot open the pinned programs, which a rollback needs: %s",
			  strerror(-err));
		return err;
	}
	err = replace(paths, &new);
	if (err) {
		log_notice("restoring the previous programs");
		replace(paths, &old);
	}
	attachment_programs_close(&old);
	return err;
}

int upgrade_programs(const struct paths *paths)
{
	enum takeover takeover = running_takeover(paths);
	struct bpf_object *object;
	int err, lock_fd;

	programs_prepare();
	err = require_running(paths);
	if (err)
		return err;
	lock_fd = instance_lock_programs(paths);
	if (lock_fd < 0) {
		log_error("cannot lock %s: %s", paths->programs_lock, strerror(-lock_fd));
		return lock_fd;
	}
	object = load_programs(paths, takeover, &err);
	if (object)
		err = replace_or_restore(paths, object);
	if (!err)
		err = programs_write(object, takeover, paths);
	bpf_object__close(object);
	close(lock_fd);
	if (!err)
		log_info("the programs are upgraded");
	return err;
}
