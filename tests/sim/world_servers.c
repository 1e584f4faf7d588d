// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The servers.  One loads all certificates when the program in renewal-hooks/reload/ has it reload;
 * each certificate with a hook of its own has a server of its own.  And what lies on the disk.
 */
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/invariants.h"
#include "tests/sim/world_internal.h"

#define RELOAD_HOOK    "etc/sidestep/renewal-hooks/reload/servers"
#define PATH_SIZE      512
#define STATUS_FAILED  1
#define STATUS_REFUSED 78 /* what a program in reload/ says of a configuration that is wrong */

/* --- the disk --------------------------------------------------------------------------------- */

static void path_of(char ret_path[PATH_SIZE], const char *name, const char *file)
{
	snprintf(ret_path, PATH_SIZE, "var/lib/sidestep/live/%s/%s", name, file);
}

static BIO *open_file(const char *name, const char *file, char **ret_text)
{
	char path[PATH_SIZE];

	path_of(path, name, file);
	*ret_text = sim_file_read(path);
	return *ret_text ? BIO_new_mem_buf(*ret_text, -1) : NULL;
}

static int64_t time_of(const ASN1_TIME *moment)
{
	struct tm utc;

	return ASN1_TIME_to_tm(moment, &utc) ? timegm(&utc) : 0;
}

static void describe(X509 *leaf, struct world_leaf *ret_leaf)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(leaf), NULL);
	char *serial = BN_bn2hex(number), *at;
	EVP_PKEY *key = X509_get0_pubkey(leaf);

	for (at = serial; *at; at++)
		*at = *at >= 'A' && *at <= 'F' ? (char)(*at + ('a' - 'A')) : *at;
	snprintf(ret_leaf->serial, sizeof(ret_leaf->serial), "%s", serial);
	ret_leaf->not_before_s = time_of(X509_get0_notBefore(leaf));
	ret_leaf->not_after_s = time_of(X509_get0_notAfter(leaf));
	ret_leaf->name_count = (size_t)sk_GENERAL_NAME_num(names);
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC)
		snprintf(ret_leaf->key_type, sizeof(ret_leaf->key_type), "p%d",
			 EVP_PKEY_get_bits(key));
	else
		snprintf(ret_leaf->key_type, sizeof(ret_leaf->key_type), "rsa%d",
			 EVP_PKEY_get_bits(key));
	OPENSSL_free(serial);
	BN_free(number);
	GENERAL_NAMES_free(names);
}

bool world_read_leaf(const char *name, struct world_leaf *ret_leaf)
{
	char *chain_text = NULL, *key_text = NULL;
	BIO *chain = open_file(name, "fullchain.pem", &chain_text);
	BIO *key_file = open_file(name, "privkey.pem", &key_text);
	X509 *leaf = chain ? PEM_read_bio_X509(chain, NULL, NULL, NULL) : NULL;
	EVP_PKEY *key = key_file ? PEM_read_bio_PrivateKey(key_file, NULL, NULL, NULL) : NULL;
	bool fits = leaf && key && X509_check_private_key(leaf, key) == 1;

	*ret_leaf = (struct world_leaf){0};
	if (fits)
		describe(leaf, ret_leaf);
	EVP_PKEY_free(key);
	X509_free(leaf);
	BIO_free(chain);
	BIO_free(key_file);
	free(chain_text);
	free(key_text);
	return fits;
}

/* Where the link leads: "" when there is no certificate. */
static void read_generation(const char *name, char ret_text[32])
{
	char path[PATH_SIZE];
	ssize_t size;

	snprintf(path, sizeof(path), "%s/var/lib/sidestep/archive/%s/current", sim_root(), name);
	size = readlink(path, ret_text, 31);
	ret_text[size > 0 ? size : 0] = '\0';
}

static void look_at(struct world *world, struct world_certificate *certificate)
{
	char generation[32];
	struct world_leaf leaf;

	read_generation(certificate->name, generation);
	if (strcmp(generation, certificate->generation) == 0 && certificate->disk.serial[0])
		return;
	strcpy(certificate->generation, generation);
	if (!generation[0]) {
		certificate->disk = (struct world_leaf){0};
		return;
	}
	if (!world_read_leaf(certificate->name, &leaf)) {
		if (!invariants_may_be_damaged(world))
			invariants_violated(world,
					    "%s: generation %s is in use and cannot be read, or "
					    "its key is another one's",
					    certificate->name, generation);
		return;
	}
	if (strcmp(leaf.serial, certificate->disk.serial) != 0)
		certificate->disk_s = sim_true_s();
	certificate->disk = leaf;
}

void world_look_at_disk(struct world *world)
{
	size_t i;

	for (i = 0; i < world->certificate_count; i++)
		look_at(world, &world->certificates[i]);
}

/* --- the servers ------------------------------------------------------------------------------ */

bool world_serves_disk(const struct world_certificate *certificate)
{
	return certificate->disk.serial[0] &&
	       strcmp(certificate->disk.serial, certificate->served.serial) == 0;
}

static void load(struct world *world, struct world_certificate *certificate)
{
	look_at(world, certificate);
	if (certificate->disk.serial[0])
		certificate->served = certificate->disk;
}

/* `name` NULL: the server that has all without a hook of their own. */
static void reload(struct world *world, const char *name)
{
	size_t i;

	for (i = 0; i < world->certificate_count; i++) {
		struct world_certificate *certificate = &world->certificates[i];

		if (name ? strcmp(name, certificate->name) == 0 : !certificate->has_own_hook)
			load(world, certificate);
	}
}

/* --- hooks ------------------------------------------------------------------------------------ */

struct run {
	struct world *world;
	struct sim_hook *hook;
	enum world_hooks kind;
	char name[WORLD_NAME_MAX]; /* of its own hook's certificate; "": the common one */
};

/* Whether the server that this hook reloads would get a certificate that it does not use. */
static bool brings_new(struct run *run)
{
	struct world *world = run->world;
	size_t i;

	for (i = 0; i < world->certificate_count; i++) {
		struct world_certificate *certificate = &world->certificates[i];

		if (run->name[0] ? strcmp(run->name, certificate->name) != 0
				 : certificate->has_own_hook)
			continue;
		look_at(world, certificate);
		if (certificate->disk.serial[0] && certificate->served.serial[0] &&
		    !world_serves_disk(certificate))
			return true;
	}
	return false;
}

static void end_hook(void *context)
{
	struct run *run = context;

	if (run->kind == HOOKS_REFUSE_NEW)
		run->kind = brings_new(run) ? HOOKS_REFUSE : HOOKS_RIGHT;
	if (run->kind == HOOKS_RIGHT)
		reload(run->world, run->name[0] ? run->name : NULL);
	if (run->kind == HOOKS_KILLED)
		sim_hook_end(run->hook, 0, SIGSEGV);
	else
		sim_hook_end(run->hook,
			     run->kind == HOOKS_RIGHT    ? 0
			     : run->kind == HOOKS_REFUSE ? STATUS_REFUSED
							 : STATUS_FAILED,
			     0);
	free(run);
}

/* The command of a certificate's own hook is "load NAME", which /bin/sh -c gets. */
static void read_name(const struct sim_hook *hook, char ret_name[WORLD_NAME_MAX])
{
	size_t i;

	ret_name[0] = '\0';
	for (i = 0; hook->arguments[i]; i++)
		if (strncmp(hook->arguments[i], "load ", strlen("load ")) == 0)
			snprintf(ret_name, WORLD_NAME_MAX, "%s",
				 hook->arguments[i] + strlen("load "));
}

int world_hook(void *context, struct sim_hook *hook)
{
	struct world *world = context;
	struct run *run;

	world->hook_runs++;
	if (world->hooks == HOOKS_ABSENT)
		return -ENOENT;
	if (world->hooks == HOOKS_HANG)
		return 0;
	run = calloc(1, sizeof(*run));
	if (!run)
		abort();
	*run = (struct run){.world = world, .hook = hook, .kind = world->hooks};
	read_name(hook, run->name);
	sim_log("%s: hook %s %s", sim_name(hook->from), hook->program, run->name);
	sim_after(world->hook_ms, end_hook, run);
	return 0;
}

void world_install_hooks(void)
{
	char path[PATH_SIZE];

	sim_file_write(RELOAD_HOOK, "#!/bin/sh\n");
	snprintf(path, sizeof(path), "%s/" RELOAD_HOOK, sim_root());
	if (chmod(path, 0755))
		sim_fail("%s: %s", path, strerror(errno));
}
