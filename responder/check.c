// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/check.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "responder/hindrances.h"
#include "responder/options.h"
#include "responder/privileges.h"
#include "responder/server.h"
#include "responder/steer.h"

#define SYNCOOKIES_PATH "/proc/sys/net/ipv4/tcp_syncookies"

/* The reasons against a start: at most one from each check below. */
struct reasons {
	const char *list[8];
	size_t count;
};

static void add_reason(struct reasons *reasons, const char *reason)
{
	reasons->list[reasons->count++] = reason;
}

/* The setting of this network namespace, or -errno. */
static int read_syncookies(void)
{
	FILE *file = fopen(SYNCOOKIES_PATH, "re");
	int count, value;

	if (!file)
		return -errno;
	count = fscanf(file, "%d", &value);
	fclose(file);
	if (count != 1)
		return -EIO;
	return value;
}

/* With 0 the kernel refuses to make connections on the responder's listeners. */
static void show_syncookies(FILE *out)
{
	int value = read_syncookies();

	if (value < 0)
		fprintf(out, "tcp_syncookies: cannot be read: %s\n", strerror(-value));
	else
		fprintf(out, "tcp_syncookies: %d%s\n", value,
			value ? ""
			      : ": connections are taken over by TCP_REPAIR, which costs more");
}

static void check_kernel(const struct options *options, FILE *out, struct reasons *reasons)
{
	int err = steer_check(out);

	/* Without steering only the maps are needed, which any supported kernel has. */
	if (geteuid())
		add_reason(reasons, "start as root");
	else if (err == -EPERM)
		add_reason(reasons, "not even root may load BPF programs here: start outside of "
				    "the container, or grant it CAP_BPF, CAP_NET_ADMIN and "
				    "CAP_PERFMON");
	else if (err == -ENOTSUP && !options->standalone)
		add_reason(reasons, "the kernel cannot steer, see above; --standalone does "
				    "without");
	if (server_check(options->engine, out))
		add_reason(reasons, options->engine == RING_IO_URING
					    ? "io_uring does not work here, see above; "
					      "--engine epoll does without"
					    : "epoll does not work here");
	show_syncookies(out);
}

/* Traffic that cannot be steered here although everything else works. */
static void show_hindrances(const struct options *options, FILE *out)
{
	struct hindrances hindrances;
	char text[256];
	int err = hindrances_find(&hindrances, options->interfaces, options->interface_count);

	if (err)
		fprintf(out, "warning:       cannot check for what hinders steering: %s\n",
			strerror(-err));
	for (size_t i = 0; i < hindrances.count; i++) {
		hindrance_describe(&hindrances.list[i], text, sizeof(text));
		fprintf(out, "warning:       %s\n", text);
	}
}

static void check_identity(const struct options *options, FILE *out, struct reasons *reasons)
{
	struct identity identity;
	int err, group_err;

	fprintf(out, "effective uid: %u\n", geteuid());
	err = privileges_find_user(options->user, &identity.uid, &identity.gid);
	fprintf(out, "user:          %s, %s\n", options->user, err ? strerror(-err) : "exists");
	if (err)
		add_reason(reasons,
			   "no such user: create it with 'adduser --system --group', or --user "
			   "names another");
	group_err = privileges_find_group(options->group, &identity.shared_gid);
	fprintf(out, "group:         %s, %s\n", options->group,
		group_err ? strerror(-group_err) : "exists");
	if (group_err)
		add_reason(reasons,
			   "no such group: create it with 'addgroup --system', or --group names "
			   "another");
	if (!err && !group_err && privileges_objection(&identity))
		add_reason(reasons, privileges_objection(&identity));
}

int check_print(const struct options *options, FILE *out)
{
	struct reasons reasons = {0};

	check_kernel(options, out, &reasons);
	check_identity(options, out, &reasons);
	if (!options->standalone)
		show_hindrances(options, out);
	if (!reasons.count) {
		fprintf(out, "ready: %s port %s, %u threads, as user %s, for group %s\n",
			options->standalone ? "would listen on" : "would steer on",
			options_ports(options).text, options->threads, options->user,
			options->group);
		return 0;
	}
	fputs("not ready: ", out);
	for (size_t i = 0; i < reasons.count; i++)
		fprintf(out, "%s%s", i ? "; " : "", reasons.list[i]);
	fputs("\n", out);
	return -ENOTSUP;
}
