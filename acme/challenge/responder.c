// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/challenge/responder.h"

#include <errno.h>

#include "acme/util/failure.h"
#include "common/challenge_table.h"
#include "common/instance.h"
#include "common/paths.h"

#define START_IT                                                                          \
	"start it as root: `systemctl start sidestep-responder`, or `sidestep-responder " \
	"--foreground`, with the same --root"
#define HAVE_CAP_BPF                                                                      \
	"run this as root, or give the service CAP_BPF (AmbientCapabilities=CAP_BPF and " \
	"CapabilityBoundingSet=CAP_BPF in its unit)"
#define BE_ALLOWED "run this as root, or as a user in the responder's --group (by default sidestep)"

int responder_check(const struct paths *paths, struct failure *failure)
{
	int running = instance_is_running(paths);

	if (running > 0)
		return 0;
	if (running == 0 || running == -ENOENT)
		failure_set_of(failure, FAILURE_OF_HOST, START_IT,
			       "no sidestep-responder is running (looked at %s)", paths->alive);
	else if (running == -EACCES)
		failure_set_of(failure, FAILURE_OF_HOST, BE_ALLOWED, "no permission to read %s",
			       paths->run);
	else
		failure_set_errno(failure, -running, "cannot check %s", paths->alive);
	return -1;
}

void responder_explain_open(struct failure *failure, int err, const struct paths *paths)
{
	if (failure_is_set(failure))
		return;
	switch (err) {
	case -ENOENT:
		failure_set_of(
			failure, FAILURE_OF_HOST, START_IT,
			"the responder's challenge table is missing (%s, and the maps in %s)",
			paths->table, paths->pins);
		break;
	case -EPERM:
		/* EPERM comes from bpf(2); files would give EACCES. */
		failure_set_of(
			failure, FAILURE_OF_HOST, HAVE_CAP_BPF,
			"the kernel does not let this process use BPF maps: before Linux 5.19 "
			"it needs CAP_BPF");
		break;
	case -EACCES:
		failure_set_of(
			failure, FAILURE_OF_HOST, BE_ALLOWED,
			"no permission to open the responder's challenge table (%s, and the maps "
			"in %s)",
			paths->table, paths->pins);
		break;
	case -EPROTO:
		failure_set_of(
			failure, FAILURE_OF_HOST,
			"install the same version of sidestep and sidestep-responder, and restart "
			"sidestep-responder",
			"the challenge table %s is damaged or has another version", paths->table);
		break;
	default:
		failure_set_errno(failure, -err, "cannot open the challenge table %s",
				  paths->table);
	}
	failure->owner = FAILURE_OF_HOST;
}

int responder_open(struct challenge_table **ret_table, const struct paths *paths,
		   struct failure *failure)
{
	int err;

	if (responder_check(paths, failure))
		return -1;
	err = challenge_table_open(ret_table, paths, CHALLENGE_TABLE_WRITE);
	if (!err)
		return 0;
	responder_explain_open(failure, err, paths);
	return -1;
}

int responder_publish(struct challenge_table **table, const struct paths *paths,
		      const struct identifier *identifier, const uint8_t *digest, uint32_t ttl_s)
{
	struct challenge_table *replacement;
	int err = challenge_table_publish(*table, identifier, digest, ttl_s);

	if (err != -ESTALE)
		return err;
	err = challenge_table_open(&replacement, paths, CHALLENGE_TABLE_WRITE);
	if (err)
		return err;
	challenge_table_free(*table);
	*table = replacement;
	return challenge_table_publish(*table, identifier, digest, ttl_s);
}

void responder_explain_publish(struct failure *failure, int err, const char *name)
{
	if (failure_is_set(failure))
		return;
	switch (err) {
	case -EPERM:
		failure_set(
			failure,
			"wait until that challenge has ended, or withdraw the name as that user",
			"another user has a challenge pending for %s", name);
		break;
	case -ENOENT:
		failure_set(failure, "list the armed names with `sidestep status`",
			    "%s is not armed", name);
		break;
	case -ENOSPC:
		failure_set_of(failure, FAILURE_OF_HOST,
			       "wait until other challenges have ended, or withdraw old ones",
			       "the challenge table is full: no room for %s", name);
		break;
	case -ETIMEDOUT:
		failure_set_of(
			failure, FAILURE_OF_HOST,
			"find the process with `lslocks` and stop it: it may publish challenges, "
			"so it is root's or in the responder's group",
			"another process holds the lock of the challenge table and does not "
			"release it");
		break;
	case -EEXIST:
		failure_set(failure, "wait until that challenge has ended",
			    "%s has the same hash as another armed name", name);
		break;
	case -ESTALE:
		failure_set_of(failure, FAILURE_OF_HOST, "run this again",
			       "the responder has just created a new challenge table");
		break;
	case -EBADMSG:
		failure_set_of(
			failure, FAILURE_OF_HOST,
			"stop sidestep-responder, run `sidestep-responder --unload`, and start it "
			"again",
			"the challenge table is damaged");
		break;
	case -EOPNOTSUPP:
		failure_set_of(
			failure, FAILURE_OF_HOST, HAVE_CAP_BPF,
			"before Linux 5.19 only a process with CAP_BPF can publish challenges");
		break;
	case -EIO:
		failure_set_of(failure, FAILURE_OF_HOST, NULL,
			       "cannot sign the challenge certificate for %s", name);
		break;
	default:
		failure_set_errno(failure, -err, "cannot change the challenge of %s", name);
	}
	/* All but what is about this name. */
	if (err != -EPERM && err != -ENOENT && err != -EEXIST)
		failure->owner = FAILURE_OF_HOST;
}
