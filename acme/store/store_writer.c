/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/store/store_writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acme/crypto/certificate.h"
#include "acme/util/failure.h"
#include "acme/util/file.h"
#include "acme/net/http.h"
#include "acme/crypto/key.h"
#include "acme/store/store.h"

#define STAGING      "staging"
#define RESERVE      "reserve"
#define NEW_CURRENT  "current.new"
#define REFUSED      "refused"
#define NEW_LIVE     ".new" /* no certificate's name begins with a dot */
#define LINK_MAX     (STORE_NAME_MAX + 64)
#define TOP_MODE     0700 /* of live/ and archive/, as with Certbot */
#define LINEAGE_MODE 0755

/* The chain twice, as chain.pem and fullchain.pem, and the rest. */
#define RESERVE_SIZE (2 * HTTP_BODY_MAX + 65536)

static const mode_t default_modes[STORE_FILES] = {
	[STORE_PRIVKEY] = 0600,
	[STORE_CERT] = 0644,
	[STORE_CHAIN] = 0644,
	[STORE_FULLCHAIN] = 0644,
};

struct lineage {
	char name[STORE_NAME_MAX + 1];
	char path[STORE_PATH_MAX + 1];
	int live; /* live/ */
	int archive; /* archive/ */
	int directory; /* archive/<name>/, locked */
	int staging; /* archive/<name>/staging/; -1 when there is none */
	bool has_bundle;
};

/* --- beginning ----------------------------------------------------------------------------- */

static void link_target(char ret_target[LINK_MAX], const struct lineage *lineage,
			enum store_file file)
{
	snprintf(ret_target, LINK_MAX, "../../archive/%s/" STORE_CURRENT "/%s", lineage->name,
		 store_file_names[file]);
}

/* Whether live/<name> is ours, or not there.  What others made is never overwritten. */
static int check_live(const struct lineage *lineage)
{
	char target[LINK_MAX], found[LINK_MAX];
	int directory, file;
	ssize_t length;

	directory = openat(lineage->live, lineage->name,
			   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (directory < 0)
		return errno == ENOENT ? 0 : errno == ELOOP || errno == ENOTDIR ? -EEXIST : -errno;
	for (file = 0; file < STORE_FILES; file++) {
		link_target(target, lineage, file);
		length = readlinkat(directory, store_file_names[file], found, sizeof(found));
		if (length < 0 || (size_t)length != strlen(target) ||
		    memcmp(found, target, (size_t)length) != 0)
			break;
	}
	close(directory);
	return file == STORE_FILES ? 0 : -EEXIST;
}

/* *ret_place tells on an error which one it was, below the state directory. */
static int open_directories(struct lineage *lineage, const struct paths *paths,
			    const char **ret_place)
{
	int state, error;

	error = file_open_path(paths->state, LINEAGE_MODE, &state);
	if (error)
		return error;
	*ret_place = "/live";
	error = file_open_directory(state, "live", TOP_MODE, &lineage->live);
	if (!error)
		error = check_live(lineage);
	if (!error) {
		*ret_place = "/archive";
		error = file_open_directory(state, "archive", TOP_MODE, &lineage->archive);
	}
	close(state);
	if (!error)
		error = file_open_directory(lineage->archive, lineage->name, LINEAGE_MODE,
					    &lineage->directory);
	if (!error && flock(lineage->directory, LOCK_EX | LOCK_NB))
		error = -errno;
	return error;
}

/* Owner and mode as they are in the generation in use: an administrator may have set them. */
static struct file_access kept_access(const struct lineage *lineage, const char *name, mode_t mode)
{
	char path[64];
	struct stat status;

	snprintf(path, sizeof(path), STORE_CURRENT "/%s", name);
	if (fstatat(lineage->directory, path, &status, 0))
		return file_access_own(mode);
	return (struct file_access){
		.uid = status.st_uid, .gid = status.st_gid, .mode = status.st_mode & 07777};
}

static int make_staging(struct lineage *lineage)
{
	struct file_access access = kept_access(lineage, ".", LINEAGE_MODE);
	int error;

	/* A process that was killed may have left its own. */
	error = file_remove_directory(lineage->directory, STAGING);
	if (!error)
		error = file_open_directory(lineage->directory, STAGING, 0700, &lineage->staging);
	if (error)
		return error;
	if (fchown(lineage->staging, access.uid, access.gid) ||
	    fchmod(lineage->staging, access.mode))
		return -errno;
	return 0;
}

static int write_file(const struct lineage *lineage, enum store_file file, const char *data,
		      size_t size)
{
	struct file_access access =
		kept_access(lineage, store_file_names[file], default_modes[file]);

	return file_create(lineage->staging, store_file_names[file], &access, data, size);
}

static int write_key(struct lineage *lineage, struct key *key)
{
	char pem[KEY_PEM_MAX];
	int size, error;

	size = key_to_pem(key, pem);
	error = size < 0 ? size : write_file(lineage, STORE_PRIVKEY, pem, (size_t)size);
	explicit_bzero(pem, sizeof(pem));
	return error ? error : file_sync_directory(lineage->staging);
}

/*
 * Room for all that is to come, so that a full disk is found before the CA is
 * asked and not after it has issued.
 */
static int reserve_space(const struct lineage *lineage)
{
	int fd, error;

	fd = openat(lineage->staging, RESERVE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	error = -posix_fallocate(fd, 0, RESERVE_SIZE);
	close(fd);
	return error;
}

static void explain_begin(struct failure *failure, int error, const struct lineage *lineage,
			  const struct paths *paths, const char *place)
{
	switch (error) {
	case -EWOULDBLOCK:
		failure_set(failure, "wait until it is done",
			    "another sidestep is at work on the certificate %s", lineage->name);
		break;
	case -EEXIST:
		failure_set(failure, "choose another name with --cert-name, or move it away",
			    "%s is there already, and was not made by sidestep", lineage->path);
		break;
	default:
		failure_set_errno(failure, -error, "cannot write certificates into %s%s",
				  paths->state, place);
	}
}

/* Lock the name, with nothing of its next generation yet.  As lineage_begin(). */
static int open_lineage(struct lineage **ret_lineage, const struct paths *paths, const char *name,
			struct failure *failure)
{
	struct lineage *lineage = calloc(1, sizeof(*lineage));
	const char *place = "";
	int error;

	if (!lineage) {
		failure_set_errno(failure, ENOMEM, "preparing the certificate's directory");
		return -1;
	}
	lineage->live = lineage->archive = lineage->directory = lineage->staging = -1;
	snprintf(lineage->name, sizeof(lineage->name), "%s", name);
	store_live_path(lineage->path, paths, name);
	error = open_directories(lineage, paths, &place);
	if (!error) {
		*ret_lineage = lineage;
		return 0;
	}
	explain_begin(failure, error, lineage, paths, place);
	lineage_free(lineage);
	return error == -EWOULDBLOCK ? LINEAGE_BUSY : LINEAGE_FAILED;
}

int lineage_begin(struct lineage **ret_lineage, const struct paths *paths, const char *name,
		  struct key *key, struct failure *failure)
{
	struct lineage *lineage;
	int error;

	error = open_lineage(&lineage, paths, name, failure);
	if (error)
		return error;
	error = make_staging(lineage);
	if (!error)
		error = write_key(lineage, key);
	if (!error)
		error = reserve_space(lineage);
	if (error) {
		explain_begin(failure, error, lineage, paths, "/archive");
		lineage_free(lineage);
		return -1;
	}
	*ret_lineage = lineage;
	return 0;
}

void lineage_free(struct lineage *lineage)
{
	if (!lineage)
		return;
	if (lineage->staging >= 0) {
		close(lineage->staging);
		/* What cannot be removed now is removed when the next generation begins. */
		(void)file_remove_directory(lineage->directory, STAGING);
		/* Fails, as it should, when there are generations. */
		(void)unlinkat(lineage->archive, lineage->name, AT_REMOVEDIR);
	}
	if (lineage->directory >= 0)
		close(lineage->directory);
	if (lineage->archive >= 0)
		close(lineage->archive);
	if (lineage->live >= 0)
		close(lineage->live);
	free(lineage);
}

void lineage_suspend(struct lineage *lineage)
{
	if (lineage && lineage->staging >= 0) {
		close(lineage->staging);
		lineage->staging = -1;
	}
	lineage_free(lineage);
}

void lineage_want_bundle(struct lineage *lineage)
{
	lineage->has_bundle = true;
}

const char *lineage_path(const struct lineage *lineage)
{
	return lineage->path;
}

/* --- committing ------------------------------------------------------------------------------ */

/* Certificates of the chain from `first` on, less than `end`, one after the other. */
static int write_certificates(struct lineage *lineage, enum store_file file,
			      const struct chain *chain, size_t first, size_t end)
{
	size_t size = 0, used = 0, i;
	char *text;
	int error;

	for (i = first; i < end; i++)
		size += chain->certificates[i].size + 1;
	text = malloc(size + 1);
	if (!text)
		return -ENOMEM;
	for (i = first; i < end; i++) {
		memcpy(text + used, chain->text + chain->certificates[i].offset,
		       chain->certificates[i].size);
		used += chain->certificates[i].size;
		if (text[used - 1] != '\n')
			text[used++] = '\n';
	}
	error = write_file(lineage, file, text, used);
	free(text);
	return error;
}

/* Full chain and key: who may read the key may read this. */
static int write_bundle(const struct lineage *lineage)
{
	const char *const parts[] = {store_file_names[STORE_FULLCHAIN],
				     store_file_names[STORE_PRIVKEY]};
	const size_t max = STORE_PEM_MAX + KEY_PEM_MAX;
	struct file_access access =
		kept_access(lineage, store_file_names[STORE_PRIVKEY], default_modes[STORE_PRIVKEY]);
	char *text = malloc(max), *part;
	size_t used = 0, size, i;
	int error = text ? 0 : -ENOMEM;

	access = kept_access(lineage, STORE_BUNDLE_FILE, access.mode);
	for (i = 0; !error && i < sizeof(parts) / sizeof(*parts); i++) {
		error = file_read(lineage->staging, parts[i], max - used, &part, &size);
		if (error)
			break;
		memcpy(text + used, part, size);
		used += size;
		explicit_bzero(part, size);
		free(part);
	}
	if (!error)
		error = file_create(lineage->staging, STORE_BUNDLE_FILE, &access, text, used);
	if (text)
		explicit_bzero(text, used);
	free(text);
	return error;
}

static int write_origin(struct lineage *lineage, const json_t *origin)
{
	struct file_access access = kept_access(lineage, STORE_ORIGIN_FILE, 0644);
	char *text = json_dumps(origin, JSON_INDENT(2));
	int error;

	if (!text)
		return -ENOMEM;
	error = file_create(lineage->staging, STORE_ORIGIN_FILE, &access, text, strlen(text));
	free(text);
	return error;
}

static int complete_staging(struct lineage *lineage, const struct chain *chain,
			    const json_t *origin)
{
	int error;

	if (unlinkat(lineage->staging, RESERVE, 0))
		return -errno;
	error = write_certificates(lineage, STORE_CERT, chain, 0, 1);
	if (!error)
		error = write_certificates(lineage, STORE_CHAIN, chain, 1, chain->count);
	if (!error)
		error = write_certificates(lineage, STORE_FULLCHAIN, chain, 0, chain->count);
	if (!error && lineage->has_bundle)
		error = write_bundle(lineage);
	if (!error)
		error = write_origin(lineage, origin);
	return error ? error : file_sync_directory(lineage->staging);
}

/* One more than any that is there. */
static int next_generation(const struct lineage *lineage, unsigned long *ret_number)
{
	int fd = openat(lineage->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned long number, highest = 0;
	struct dirent *entry;
	DIR *stream;
	char *end;

	if (fd < 0)
		return -errno;
	stream = fdopendir(fd);
	if (!stream) {
		close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(stream))) {
		number = strtoul(entry->d_name, &end, 10);
		if (*end == '\0' && number > highest)
			highest = number;
	}
	closedir(stream);
	*ret_number = highest + 1;
	return 0;
}

/* The staging gets its number: from here on it is a generation, complete and never changed. */
static int number_staging(struct lineage *lineage, char ret_number[32])
{
	unsigned long number = 0;
	int error;

	error = next_generation(lineage, &number);
	if (error)
		return error;
	snprintf(ret_number, 32, "%lu", number);
	if (renameat(lineage->directory, STAGING, lineage->directory, ret_number))
		return -errno;
	close(lineage->staging);
	lineage->staging = -1;
	return file_sync_directory(lineage->directory);
}

/* The one step that switches all four files. */
static int switch_current(struct lineage *lineage, const char *number)
{
	if (unlinkat(lineage->directory, NEW_CURRENT, 0) && errno != ENOENT)
		return -errno;
	if (symlinkat(number, lineage->directory, NEW_CURRENT) ||
	    renameat(lineage->directory, NEW_CURRENT, lineage->directory, STORE_CURRENT))
		return -errno;
	return file_sync_directory(lineage->directory);
}

static int make_links(const struct lineage *lineage, int directory)
{
	char target[LINK_MAX];
	int file;

	for (file = 0; file < STORE_FILES; file++) {
		link_target(target, lineage, file);
		if (symlinkat(target, directory, store_file_names[file]))
			return -errno;
	}
	return file_sync_directory(directory);
}

/* The directory below live/, when it is not there yet: it appears with all of its links. */
static int publish_live(struct lineage *lineage)
{
	int directory, error;

	if (faccessat(lineage->live, lineage->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	/* A name may be too long to get a suffix, so all are made in one place, in turn. */
	if (flock(lineage->live, LOCK_EX))
		return -errno;
	error = file_remove_directory(lineage->live, NEW_LIVE);
	if (!error)
		error = file_open_directory(lineage->live, NEW_LIVE, LINEAGE_MODE, &directory);
	if (!error) {
		error = make_links(lineage, directory);
		close(directory);
	}
	if (!error && renameat(lineage->live, NEW_LIVE, lineage->live, lineage->name))
		error = -errno;
	flock(lineage->live, LOCK_UN);
	return error ? error : file_sync_directory(lineage->live);
}

/* The link to the bundle comes and goes with it; the others are always there. */
static int link_bundle(const struct lineage *lineage)
{
	char path[STORE_NAME_MAX + sizeof("/" STORE_BUNDLE_FILE)], target[LINK_MAX];

	snprintf(path, sizeof(path), "%s/" STORE_BUNDLE_FILE, lineage->name);
	snprintf(target, sizeof(target), "../../archive/%s/" STORE_CURRENT "/" STORE_BUNDLE_FILE,
		 lineage->name);
	if (!lineage->has_bundle)
		return unlinkat(lineage->live, path, 0) && errno != ENOENT ? -errno : 0;
	return symlinkat(target, lineage->live, path) && errno != EEXIST ? -errno : 0;
}

int lineage_commit(struct lineage *lineage, const struct chain *chain, const json_t *origin,
		   struct failure *failure)
{
	char number[32];
	int error;

	error = complete_staging(lineage, chain, origin);
	if (!error)
		error = number_staging(lineage, number);
	if (!error)
		error = switch_current(lineage, number);
	if (!error)
		error = publish_live(lineage);
	if (!error)
		error = link_bundle(lineage);
	if (!error)
		return 0;
	failure_set_errno(failure, -error,
			  "the certificate is there, but it could not be stored for %s",
			  lineage->path);
	return -1;
}

/* --- going on with what a killed process has begun --------------------------------------------- */

/* The generation in use; 0: none. */
static unsigned long current_generation(const struct lineage *lineage)
{
	char target[32] = "";

	if (readlinkat(lineage->directory, STORE_CURRENT, target, sizeof(target) - 1) < 0)
		return 0;
	return strtoul(target, NULL, 10);
}

/* A generation gets its number when it is complete: what lacks is the switch.  1: it was so. */
static int finish_switch(struct lineage *lineage)
{
	unsigned long next = 0;
	char number[32];
	int error;

	error = next_generation(lineage, &next);
	if (error || next - 1 <= current_generation(lineage))
		return error;
	snprintf(number, sizeof(number), "%lu", next - 1);
	error = switch_current(lineage, number);
	if (!error)
		error = publish_live(lineage);
	return error ? error : 1;
}

static int load_staged_key(struct lineage *lineage, struct key **ret_key)
{
	char *pem;
	size_t size;
	int error;

	lineage->staging = openat(lineage->directory, STAGING,
				  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (lineage->staging < 0)
		return -errno;
	error = file_read(lineage->staging, store_file_names[STORE_PRIVKEY], KEY_PEM_MAX, &pem,
			  &size);
	if (error)
		return error;
	error = key_from_pem(ret_key, pem, size);
	explicit_bzero(pem, size);
	free(pem);
	return error;
}

/* What the killed process wrote behind the key is written again. */
static int clear_staging(const struct lineage *lineage)
{
	const char *const names[] = {RESERVE,
				     store_file_names[STORE_CERT],
				     store_file_names[STORE_CHAIN],
				     store_file_names[STORE_FULLCHAIN],
				     STORE_BUNDLE_FILE,
				     STORE_ORIGIN_FILE};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (unlinkat(lineage->staging, names[i], 0) && errno != ENOENT)
			return -errno;
	return reserve_space(lineage);
}

enum lineage_found lineage_resume(struct lineage **ret_lineage, struct key **ret_key,
				  const struct paths *paths, const char *name,
				  struct failure *failure)
{
	struct lineage *lineage;
	int result;

	result = open_lineage(&lineage, paths, name, failure);
	if (result)
		return result;
	result = finish_switch(lineage);
	if (result) {
		if (result < 0)
			failure_set_errno(failure, -result, "cannot complete %s", lineage->path);
		lineage_suspend(lineage);
		return result < 0 ? LINEAGE_FAILED : LINEAGE_COMPLETE;
	}
	result = load_staged_key(lineage, ret_key);
	if (!result) {
		result = clear_staging(lineage);
		if (!result) {
			*ret_lineage = lineage;
			return LINEAGE_KEY;
		}
		key_free(*ret_key);
	}
	lineage_suspend(lineage);
	return LINEAGE_NOTHING;
}

/* --- going back ---------------------------------------------------------------------------------- */

/* 0, -ENOENT: there is no generation before, or -errno. */
static int roll_back(const struct lineage *lineage)
{
	unsigned long current = current_generation(lineage), before = current;
	char number[32];
	int error;

	do {
		snprintf(number, sizeof(number), "%lu", --before);
	} while (before && faccessat(lineage->directory, number, F_OK, AT_SYMLINK_NOFOLLOW));
	if (!current || !before)
		return -ENOENT;
	error = switch_current((struct lineage *)lineage, number);
	if (!error)
		error = file_remove_directory(lineage->directory, REFUSED);
	/* Under its number it would be taken for one whose switch a killed process has not made. */
	snprintf(number, sizeof(number), "%lu", current);
	if (!error && renameat(lineage->directory, number, lineage->directory, REFUSED))
		error = -errno;
	return error ? error : file_sync_directory(lineage->directory);
}

int lineage_roll_back(const struct paths *paths, const char *name, struct failure *failure)
{
	struct lineage *lineage;
	int error;

	error = open_lineage(&lineage, paths, name, failure);
	if (error)
		return error;
	error = roll_back(lineage);
	if (error && error != -ENOENT)
		failure_set_errno(failure, -error, "cannot go back to the certificate before in %s",
				  lineage->path);
	lineage_free(lineage);
	return error && error != -ENOENT ? LINEAGE_FAILED : error;
}

/* --- the end ------------------------------------------------------------------------------------ */

/* What is configured goes first: a server that is started meanwhile finds all of it or nothing. */
static int remove_all(const struct lineage *lineage)
{
	unsigned long next = 0;
	char number[32];
	int error;

	error = file_remove_directory(lineage->live, lineage->name);
	if (!error)
		error = file_sync_directory(lineage->live);
	if (!error)
		error = next_generation(lineage, &next);
	if (!error && unlinkat(lineage->directory, STORE_CURRENT, 0) && errno != ENOENT)
		error = -errno;
	while (!error && --next) {
		snprintf(number, sizeof(number), "%lu", next);
		error = file_remove_directory(lineage->directory, number);
	}
	if (!error)
		error = file_remove_directory(lineage->directory, STAGING);
	if (!error)
		error = file_remove_directory(lineage->directory, REFUSED);
	if (!error && unlinkat(lineage->archive, lineage->name, AT_REMOVEDIR))
		error = -errno;
	return error ? error : file_sync_directory(lineage->archive);
}

int lineage_delete(const struct paths *paths, const char *name, struct failure *failure)
{
	struct lineage *lineage;
	int error;

	error = open_lineage(&lineage, paths, name, failure);
	if (error)
		return error;
	error = remove_all(lineage);
	if (error)
		failure_set_errno(failure, -error, "cannot remove all of %s", lineage->path);
	lineage_free(lineage);
	return error ? LINEAGE_FAILED : 0;
}
