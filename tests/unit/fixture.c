// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/evidence.h"
#include "tests/unit/fixture.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/sha256.h>

#include "bpf/steer_abi.h"
#include "common/evidence.h"

/* End the test program: without the fixture nothing can be tested. */
static void need(int condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "fixture: %s: %s (these tests need root)\n", what, strerror(errno));
	exit(1);
}

static void enter_namespace(void)
{
	static int entered;

	if (entered)
		return;
	need(unshare(CLONE_NEWNS) == 0, "unshare");
	need(mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0, "make mounts private");
	entered = 1;
}

static int make_map(const struct paths *paths, enum bpf_map_type type, const char *pin,
		    uint32_t key_size, uint32_t value_size, uint32_t entries)
{
	LIBBPF_OPTS(bpf_map_create_opts, options,
		    .map_flags = type == BPF_MAP_TYPE_HASH ? BPF_F_NO_PREALLOC : 0);
	char path[PATHS_MAX + 32];
	int fd = bpf_map_create(type, pin, key_size, value_size, entries, &options);

	need(fd >= 0, "create a map");
	snprintf(path, sizeof(path), "%s/%s", paths->pins, pin);
	need(bpf_obj_pin(fd, path) == 0, path);
	return fd;
}

void fixture_init(struct fixture *fixture, uint32_t names)
{
	char run[64];

	*fixture = (struct fixture){.root = "/tmp/sidestep-XXXXXX"};
	enter_namespace();
	need(mkdtemp(fixture->root) != NULL, "mkdtemp");
	need(mount("tmpfs", fixture->root, "tmpfs", 0, "mode=0755") == 0, "mount a tmpfs");
	need(paths_init(&fixture->paths, fixture->root) == 0, "paths");
	snprintf(run, sizeof(run), "%s/run", fixture->root);
	need(mkdir(run, 0755) == 0 && mkdir(fixture->paths.run, 0755) == 0 &&
		     mkdir(fixture->paths.pins, 0755) == 0,
	     "mkdir");
	need(mount("bpf", fixture->paths.pins, "bpf", 0, "mode=0755") == 0, "mount a bpffs");
	fixture->challenges = make_map(&fixture->paths, BPF_MAP_TYPE_HASH, STEER_PIN_CHALLENGES,
				       sizeof(__u64), sizeof(struct steer_challenge), names);
	fixture->armed = make_map(&fixture->paths, BPF_MAP_TYPE_ARRAY, STEER_PIN_ARMED,
				  sizeof(__u32), sizeof(struct steer_armed), 1);
	fixture->counters = make_map(&fixture->paths, BPF_MAP_TYPE_PERCPU_ARRAY, STEER_PIN_COUNTERS,
				     sizeof(__u32), sizeof(__u64), STEER_COUNTERS);
}

void fixture_make_table(struct fixture *fixture, uint32_t slots)
{
	errno = -challenge_table_create(fixture->paths.table, getegid(), slots, fixture->hash_key);
	need(errno == 0, "create the table");
	errno = -challenge_table_open(&fixture->writer, &fixture->paths, CHALLENGE_TABLE_WRITE);
	need(errno == 0, "open the table");
	errno = -evidence_create(fixture->paths.evidence, getegid(), true);
	need(errno == 0, "create the evidence");
}

void fixture_done(struct fixture *fixture)
{
	challenge_table_free(fixture->writer);
	close(fixture->challenges);
	close(fixture->armed);
	close(fixture->counters);
	/* A failed test may have left something open. */
	need(umount2(fixture->paths.pins, MNT_DETACH) == 0, "umount the bpffs");
	need(umount2(fixture->root, MNT_DETACH) == 0, "umount the tmpfs");
	need(rmdir(fixture->root) == 0, "rmdir");
}

char *fixture_run(int *ret_status, const char *format, ...)
{
	char command[1024], *output = NULL;
	size_t size = 0, used;
	FILE *pipe, *memory;
	va_list arguments;
	char buffer[4096];
	int status;

	va_start(arguments, format);
	need(vsnprintf(command, sizeof(command), format, arguments) < (int)sizeof(command),
	     "command");
	va_end(arguments);
	pipe = popen(command, "r");
	need(pipe != NULL, command);
	memory = open_memstream(&output, &size);
	need(memory != NULL, "memory");
	while ((used = fread(buffer, 1, sizeof(buffer), pipe)) > 0)
		fwrite(buffer, 1, used, memory);
	status = pclose(pipe);
	fclose(memory);
	if (ret_status)
		*ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	return output;
}

void fixture_write_file(const char *path, const void *bytes, size_t size)
{
	FILE *file = fopen(path, "wb");

	need(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0, path);
}

/* The content of the DER structure at `at`; sets the end of the structure. */
static const uint8_t *der_content(const uint8_t *at, const uint8_t **ret_end)
{
	size_t bytes = at[1] & 0x80 ? at[1] & 0x7f : 0, length = at[1];

	need(bytes <= 2, "short lengths");
	if (bytes)
		length = bytes == 1 ? at[2] : (size_t)at[2] << 8 | at[3];
	*ret_end = at + 2 + bytes + length;
	return at + 2 + bytes;
}

bool fixture_cert_verifies(const struct challenge_key *key, const struct challenge_cert *cert)
{
	uint8_t der[CHALLENGE_CERT_DER_MAX], hash[WC_SHA256_DIGEST_SIZE];
	const uint8_t *body, *bits, *end, *cert_end;
	size_t size = challenge_cert_der(key, cert, der);
	int valid = 0, err;
	ecc_key ecc;

	body = der_content(der, &cert_end);
	der_content(body, &end); /* to be signed */
	err = wc_Sha256Hash(body, (word32)(end - body), hash);
	der_content(end, &end); /* the algorithm */
	bits = der_content(end, &end);
	if (err || cert_end != der + size || end != cert_end || bits[0] != 0)
		return false;
	if (wc_ecc_init(&ecc))
		return false;
	err = wc_ecc_import_x963(key->public_point, sizeof(key->public_point), &ecc);
	if (!err)
		err = wc_ecc_verify_hash(bits + 1, (word32)(end - bits - 1), hash, sizeof(hash),
					 &valid, &ecc);
	wc_ecc_free(&ecc);
	return !err && valid;
}
