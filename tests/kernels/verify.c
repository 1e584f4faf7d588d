// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What the steering programs cost this kernel's verifier: verify TAKEOVER (assign or
 * repair).  Prints a line for each program, "NAME INSTRUCTIONS"; when the kernel
 * refuses them, the verifier's last words on standard error, and exit status 1.
 *
 * The count is read from the verifier's log: the kernel tells it by
 * BPF_OBJ_GET_INFO_BY_FD only from 5.16 on.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/steer.skel.h"
#include "bpf/steer_repair.skel.h"

#define PROGRAMS_MAX 8
#define LOG_SIZE     (4u << 20)
#define LAST_WORDS   4000

/* Of bpf_attr.log_level: every step of the verifier's, or its statistics alone. */
enum log_level { LOG_STEPS = 1, LOG_STATISTICS = 4 };

struct programs {
	struct bpf_object *object;
	struct bpf_program *list[PROGRAMS_MAX];
	char *logs[PROGRAMS_MAX];
	size_t count;
};

static void close_programs(struct programs *programs)
{
	for (size_t i = 0; i < programs->count; i++)
		free(programs->logs[i]);
	bpf_object__close(programs->object);
}

/* The takeover's programs, each with a log of its own for the verifier.  0 or -errno. */
static int open_programs(struct programs *ret_programs, const char *takeover, enum log_level level)
{
	struct programs programs = {.count = 0};
	struct bpf_program *program;
	const void *bytes;
	size_t size;
	int err = 0;

	bytes = strcmp(takeover, "repair") ? steer_bpf__elf_bytes(&size)
					   : steer_repair_bpf__elf_bytes(&size);
	programs.object = bpf_object__open_mem(bytes, size, NULL);
	if (!programs.object)
		return -errno;
	bpf_object__for_each_program(program, programs.object)
	{
		char *log = programs.count < PROGRAMS_MAX ? calloc(1, LOG_SIZE) : NULL;

		if (!log) {
			err = -ENOMEM;
			break;
		}
		programs.list[programs.count] = program;
		programs.logs[programs.count++] = log;
		bpf_program__set_log_buf(program, log, LOG_SIZE);
		bpf_program__set_log_level(program, level);
	}
	if (err)
		close_programs(&programs);
	else
		*ret_programs = programs;
	return err;
}

/* 0, or -ENODATA when a log does not tell. */
static int print_counts(const struct programs *programs)
{
	unsigned int instructions;

	for (size_t i = 0; i < programs->count; i++) {
		const char *name = bpf_program__name(programs->list[i]);
		const char *line = strstr(programs->logs[i], "processed ");

		if (!line || sscanf(line, "processed %u insns", &instructions) != 1) {
			fprintf(stderr, "%s: the verifier tells no count\n", name);
			return -ENODATA;
		}
		printf("%s %u\n", name, instructions);
	}
	return 0;
}

/* Let the kernel refuse once more, and say why. */
static void print_refusal(const char *takeover)
{
	struct programs programs;

	if (open_programs(&programs, takeover, LOG_STEPS))
		return;
	bpf_object__load(programs.object);
	for (size_t i = 0; i < programs.count; i++) {
		const char *log = programs.logs[i];
		size_t length = strlen(log);

		if (length)
			fprintf(stderr, "%s:\n%s\n", bpf_program__name(programs.list[i]),
				log + (length > LAST_WORDS ? length - LAST_WORDS : 0));
	}
	close_programs(&programs);
}

int main(int argc, char **argv)
{
	/* Before 5.11 BPF memory counts against this limit. */
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	struct programs programs;
	int err;

	if (argc != 2 || (strcmp(argv[1], "assign") && strcmp(argv[1], "repair"))) {
		fputs("usage: verify assign|repair\n", stderr);
		return 2;
	}
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	err = open_programs(&programs, argv[1], LOG_STATISTICS);
	if (err) {
		fprintf(stderr, "verify: %s\n", strerror(-err));
		return 1;
	}
	err = bpf_object__load(programs.object);
	if (!err)
		err = print_counts(&programs);
	else
		fprintf(stderr, "verify: the kernel refuses the programs: %s\n", strerror(-err));
	close_programs(&programs);
	if (err && err != -ENODATA)
		print_refusal(argv[1]);
	return err ? 1 : 0;
}
