// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/programs.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "bpf/steer.skel.h"
#include "bpf/steer_repair.skel.h"
#include "common/log.h"
#include "common/paths.h"
#include "common/version.h"
#include "responder/json_file.h"

#define LOCKDOWN_PATH "/sys/kernel/security/lockdown"
#define ASSIGN_KFUNC  "bpf_sk_assign_tcp_reqsk" /* since 6.9 */

const char *takeover_name(enum takeover takeover)
{
	return takeover == TAKEOVER_REPAIR ? "repair" : "assign";
}

/* --- what the kernel has ------------------------------------------------------- */

/* libbpf's messages are for developers of the programs; the caller reports errors. */
static int print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	char line[1024];
	size_t length;

	if (level == LIBBPF_DEBUG)
		return 0;
	vsnprintf(line, sizeof(line), format, args);
	length = strcspn(line, "\n");
	log_debug("%.*s", (int)length, line);
	return 0;
}

/* Does the kernel export the kfunc?  -ENOENT when not, -EOPNOTSUPP without any BTF. */
static int find_assign_kfunc(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int id;

	if (!btf)
		return -EOPNOTSUPP;
	id = btf__find_by_name_kind(btf, ASSIGN_KFUNC, BTF_KIND_FUNC);
	btf__free(btf);
	return id < 0 ? -ENOENT : 0;
}

enum takeover programs_choose_takeover(enum takeover wanted)
{
	if (wanted != TAKEOVER_AUTO)
		return wanted;
	return find_assign_kfunc() ? TAKEOVER_REPAIR : TAKEOVER_ASSIGN;
}

struct bpf_object *programs_open(enum takeover takeover)
{
	size_t size;
	const void *bytes = takeover == TAKEOVER_REPAIR ? steer_repair_bpf__elf_bytes(&size)
							: steer_bpf__elf_bytes(&size);
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "steer");
	struct bpf_object *object;
	int err;

	object = bpf_object__open_mem(bytes, size, &opts);
	err = errno;
	if (!object)
		log_error("cannot read the built-in BPF object: %s", strerror(err));
	errno = err;
	return object;
}

static const char *kernel_release(struct utsname *name)
{
	return uname(name) ? "?" : name->release;
}

/* Before 5.11 BPF memory counts against this limit, which is small by default. */
static void raise_memlock_limit(void)
{
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};

	if (setrlimit(RLIMIT_MEMLOCK, &unlimited))
		log_debug("cannot raise the limit of locked memory: %s", strerror(errno));
}

void programs_prepare(void)
{
	libbpf_set_print(print_libbpf);
	raise_memlock_limit();
}

/*
 * Is this kernel locked down so far that no BPF program may read its memory, as the classifier
 * has to (kernel_lockdown(7))?  The level in force stands in brackets.
 */
static bool is_locked_down(void)
{
	FILE *file = fopen(LOCKDOWN_PATH, "re");
	char levels[64];
	bool locked;

	if (!file)
		return false;
	locked = fgets(levels, sizeof(levels), file) && strstr(levels, "[confidentiality]");
	fclose(file);
	return locked;
}

/* Say why loading failed, and what to do about it. */
static void log_load_failure(enum takeover takeover, int err)
{
	struct utsname name;
	int kfunc = find_assign_kfunc();

	if (err == -EPERM || err == -EACCES)
		log_error("the kernel does not let this user load BPF programs: start as root, or "
			  "with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON");
	else if (is_locked_down())
		log_error("this kernel is locked down (confidentiality), so that BPF programs may "
			  "not read its memory, as steering has to: start it with "
			  "'lockdown=integrity', or use --standalone where the port is free");
	else if (kfunc == -EOPNOTSUPP)
		log_error(
			"kernel %s has no BTF (/sys/kernel/btf/vmlinux): steering needs one built "
			"with CONFIG_DEBUG_INFO_BTF",
			kernel_release(&name));
	else if (kfunc && takeover == TAKEOVER_ASSIGN)
		log_error("kernel %s has no %s(), which needs Linux 6.9 or newer with "
			  "CONFIG_SYN_COOKIES: use --takeover repair, or leave --takeover out",
			  kernel_release(&name), ASSIGN_KFUNC);
	else
		log_error(
			"cannot load the BPF programs: %s; --verbose shows the log of the verifier",
			strerror(-err));
}

int programs_load(struct bpf_object *object, enum takeover takeover)
{
	int err = bpf_object__load(object);

	if (err)
		log_load_failure(takeover, err);
	return err;
}

/* Would the programs of this takeover load?  0 or -errno. */
static int try_takeover(enum takeover takeover)
{
	struct bpf_object *object = programs_open(takeover);
	int err = object ? bpf_object__load(object) : -errno;

	bpf_object__close(object);
	return err;
}

int programs_check(FILE *out)
{
	enum takeover takeover = programs_choose_takeover(TAKEOVER_AUTO);
	int err, kfunc = find_assign_kfunc();
	struct utsname name;

	programs_prepare();
	fprintf(out, "kernel:        %s\n", kernel_release(&name));
	fprintf(out, "BTF:           %s\n", kfunc == -EOPNOTSUPP ? "missing" : "yes");
	fprintf(out, "%s(): %s\n", ASSIGN_KFUNC, kfunc ? "missing, needs Linux 6.9" : "yes");
	if (is_locked_down())
		fprintf(out, "lockdown:      confidentiality: BPF programs may not read the "
			     "kernel's memory, as steering has to\n");
	err = try_takeover(takeover);
	fprintf(out, "BPF programs:  %s\n", err ? strerror(-err) : "load");
	if (!err)
		fprintf(out, "steering:      the takeover '%s'\n", takeover_name(takeover));
	else if (err == -EPERM || err == -EACCES)
		fprintf(out, "steering:      start as root to try\n");
	else
		fprintf(out, "steering:      not on this kernel\n");
	if (!err)
		return 0;
	return err == -EPERM || err == -EACCES ? -EPERM : -ENOTSUP;
}

/* --- reporting ----------------------------------------------------------------- */

struct loaded {
	const struct bpf_object *object;
	enum takeover takeover;
};

static void print_loaded(FILE *out, const void *context)
{
	const struct loaded *loaded = context;
	struct bpf_program *program;
	const char *separator = "";

	fprintf(out,
		"{\"takeover\": \"%s\", \"programs_version\": \"%s\", \"programs_loaded_at\": ",
		takeover_name(loaded->takeover), SIDESTEP_VERSION);
	json_file_print_now(out);
	fputs(", \"programs\": {", out);
	bpf_object__for_each_program(program, loaded->object)
	{
		struct bpf_prog_info info = {0};
		__u32 size = sizeof(info);

		if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size))
			continue;
		fprintf(out, "%s\"%s\": %u", separator, bpf_program__name(program), info.id);
		separator = ", ";
	}
	fputs("}}\n", out);
}

int programs_write(const struct bpf_object *object, enum takeover takeover,
		   const struct paths *paths)
{
	const struct loaded loaded = {.object = object, .takeover = takeover};
	int err = json_file_write(paths->programs, print_loaded, &loaded);

	if (err)
		log_error("cannot write %s: %s", paths->programs, strerror(-err));
	return err;
}
