// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/store/store_examine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acme/crypto/certificate.h"
#include "acme/crypto/key.h"
#include "acme/store/store.h"
#include "acme/util/file.h"

/* Of the generation in use. */
static void archive_path(char ret_path[STORE_PATH_MAX + 64], const struct paths *paths,
			 const char *name, const char *file)
{
	snprintf(ret_path, STORE_PATH_MAX + 64, "%s/archive/%s/" STORE_CURRENT "/%s", paths->state,
		 name, file);
}

/* Whether all links below live/ lead to files. */
static bool live_is_complete(const struct paths *paths, const char *name)
{
	char live[STORE_PATH_MAX + 1], path[STORE_PATH_MAX + 64];
	int file;

	store_live_path(live, paths, name);
	for (file = 0; file < STORE_FILES; file++) {
		snprintf(path, sizeof(path), "%s/%s", live, store_file_names[file]);
		if (faccessat(AT_FDCWD, path, F_OK, 0))
			return false;
	}
	return true;
}

/* The first file that the generation in use lacks, in words; NULL: it has all. */
static const char *missing_file(const struct paths *paths, const char *name)
{
	static const char *const faults[STORE_FILES] = {
		[STORE_PRIVKEY] = "privkey.pem is missing",
		[STORE_CERT] = "cert.pem is missing",
		[STORE_CHAIN] = "chain.pem is missing",
		[STORE_FULLCHAIN] = "fullchain.pem is missing",
	};
	char path[STORE_PATH_MAX + 64];
	int file;

	for (file = 0; file < STORE_FILES; file++) {
		archive_path(path, paths, name, store_file_names[file]);
		if (faccessat(AT_FDCWD, path, F_OK, 0))
			return faults[file];
	}
	return NULL;
}

/* What the host cannot do now says nothing of the files. */
static bool is_of_host(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOMEM || err == -EACCES ||
	       err == -EPERM || err == -EINTR;
}

/* NULL: it is a chain; else what is wrong.  *ret_err is set when the host is to blame. */
static const char *check_full_chain(const struct paths *paths, const char *name,
				    const struct stored *stored, struct key *key, int *ret_err)
{
	char path[STORE_PATH_MAX + 64], *pem;
	struct certificate leaf;
	const char *fault = NULL;
	struct chain chain;
	size_t size;
	int err;

	archive_path(path, paths, name, store_file_names[STORE_FULLCHAIN]);
	err = file_read(AT_FDCWD, path, STORE_PEM_MAX, &pem, &size);
	if (err) {
		*ret_err = is_of_host(err) ? err : 0;
		return "fullchain.pem cannot be read";
	}
	if (chain_read(&chain, pem, size))
		fault = "fullchain.pem is damaged";
	else if (!certificate_is_for_key(pem + chain.certificates[0].offset,
					 chain.certificates[0].size, key))
		fault = "privkey.pem and fullchain.pem do not fit";
	else if (certificate_read(&leaf, pem + chain.certificates[0].offset,
				  chain.certificates[0].size))
		fault = "fullchain.pem is damaged";
	else {
		if (strcmp(leaf.serial, stored->certificate.serial) != 0)
			fault = "cert.pem and fullchain.pem are different certificates";
		certificate_done(&leaf);
	}
	free(pem);
	return fault;
}

/* The same for all files. */
static const char *check_files(const struct paths *paths, const char *name,
			       const struct stored *stored, int *ret_err)
{
	char path[STORE_PATH_MAX + 64];
	const char *fault;
	struct key *key;
	int err;

	archive_path(path, paths, name, store_file_names[STORE_PRIVKEY]);
	err = key_read(&key, AT_FDCWD, path);
	/* The administrator may keep keys from this process: then they cannot be judged. */
	if (err == -EACCES || err == -EPERM)
		return NULL;
	if (err) {
		*ret_err = is_of_host(err) ? err : 0;
		return "privkey.pem is damaged";
	}
	fault = check_full_chain(paths, name, stored, key, ret_err);
	key_free(key);
	return fault;
}

enum store_condition store_examine(struct stored *ret_stored, const struct paths *paths,
				   const char *name, const char **ret_fault, int *ret_err)
{
	struct stored stored;
	int err = 0;

	if (!store_generation(paths, name))
		return STORE_MISSING;
	/* It is read by way of live/. */
	if (!live_is_complete(paths, name)) {
		*ret_fault = missing_file(paths, name);
		return *ret_fault ? STORE_DAMAGED : STORE_INCOMPLETE;
	}
	err = store_read(&stored, paths, name);
	if (err && is_of_host(err)) {
		*ret_err = err;
		return STORE_UNKNOWN;
	}
	if (err) {
		*ret_fault = "cert.pem is damaged";
		return STORE_DAMAGED;
	}
	*ret_fault = check_files(paths, name, &stored, &err);
	if (!*ret_fault) {
		*ret_stored = stored;
		return STORE_WHOLE;
	}
	stored_done(&stored);
	*ret_err = err;
	return err ? STORE_UNKNOWN : STORE_DAMAGED;
}
