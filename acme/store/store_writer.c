// SPDX-License-Identifier: GPL-3.0-or-later
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
#include "acme/crypto/key.h"
#include "acme/store/store.h"

#define STAGING        "staging"
#define RESERVE        "reserve"
#define NEW_CURRENT    "current.new"
#define REFUSED        "refused"
#define NEW_LIVE       ".new" /* no certificate's name begins with a dot */
#define LINK_MAX       (CERTIFICATE_NAME_MAX + 64)
#define TOP_MODE       0700 /* of live/ and archive/, as with Certbot */
#define DIRECTORY_MODE 0755

/* The chain twice, as chain.pem and fullchain.pem, and the rest. */
#define RESERVE_SIZE (2 * STORE_PEM_MAX + 65536)

static const mode_t default_modes[STORE_FILES] = {
	[STORE_PRIVKEY] = 0600,
	[STORE_CERT] = 0644,
	[STORE_CHAIN] = 0644,
	[STORE_FULLCHAIN] = 0644,
};

struct store_writer {
	char name[CERTIFICATE_NAME_MAX + 1];
	char path[STORE_PATH_MAX + 1];
	int live; /* live/ */
	int archive; /* archive/ */
	int directory; /* archive/<name>/, locked */
	int staging; /* archive/<name>/staging/; -1 when there is none */
	bool has_bundle;
};

/* --- opening ------------------------------------------------------------------------------- */

static void link_target(char ret_target[LINK_MAX], const struct store_writer *writer,
			enum store_file file)
{
	snprintf(ret_target, LINK_MAX, "../../archive/%s/" STORE_CURRENT "/%s", writer->name,
		 store_file_names[file]);
}

/* Whether live/<name> is Sidestep's or missing: never overwrite another program's. */
static int check_live(const struct store_writer *writer)
{
	char target[LINK_MAX], found[LINK_MAX];
	int directory, file;
	ssize_t length;

	directory =
		openat(writer->live, writer->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (directory < 0)
		return errno == ENOENT ? 0 : errno == ELOOP || errno == ENOTDIR ? -EEXIST : -errno;
	for (file = 0; file < STORE_FILES; file++) {
		link_target(target, writer, file);
		length = readlinkat(directory, store_file_names[file], found, sizeof(found));
		if (length < 0 || (size_t)length != strlen(target) ||
		    memcmp(found, target, (size_t)length) != 0)
			break;
	}
	close(directory);
	return file == STORE_FILES ? 0 : -EEXIST;
}

/* *ret_place tells on an error which one it was, below the state directory. */
static int open_directories(struct store_writer *writer, const struct paths *paths,
			    const char **ret_place)
{
	int state, err;

	err = file_open_path(paths->state, DIRECTORY_MODE, &state);
	if (err)
		return err;
	*ret_place = "/live";
	err = file_open_directory(state, "live", TOP_MODE, &writer->live);
	if (!err)
		err = check_live(writer);
	if (!err) {
		*ret_place = "/archive";
		err = file_open_directory(state, "archive", TOP_MODE, &writer->archive);
	}
	close(state);
	if (!err)
		err = file_open_directory(writer->archive, writer->name, DIRECTORY_MODE,
					  &writer->directory);
	if (!err && flock(writer->directory, LOCK_EX | LOCK_NB))
		err = -errno;
	return err;
}

/* Owner and mode as they are in the generation in use: an administrator may have set them. */
static struct file_access kept_access(const struct store_writer *writer, const char *name,
				      mode_t mode)
{
	char path[64];
	struct stat status;

	snprintf(path, sizeof(path), STORE_CURRENT "/%s", name);
	if (fstatat(writer->directory, path, &status, 0))
		return file_access_own(mode);
	return (struct file_access){
		.uid = status.st_uid, .gid = status.st_gid, .mode = status.st_mode & 07777};
}

static int make_staging(struct store_writer *writer)
{
	struct file_access access = kept_access(writer, ".", DIRECTORY_MODE);
	int err;

	/* A killed process may have left its staging directory. */
	err = file_remove_directory(writer->directory, STAGING);
	if (!err)
		err = file_open_directory(writer->directory, STAGING, 0700, &writer->staging);
	if (err)
		return err;
	if (fchown(writer->staging, access.uid, access.gid) || fchmod(writer->staging, access.mode))
		return -errno;
	return 0;
}

static int write_file(const struct store_writer *writer, enum store_file file, const char *data,
		      size_t size)
{
	struct file_access access =
		kept_access(writer, store_file_names[file], default_modes[file]);

	return file_create(writer->staging, store_file_names[file], &access, data, size);
}

static int write_key(struct store_writer *writer, struct key *key)
{
	char pem[KEY_PEM_MAX];
	int size, err;

	size = key_to_pem(key, pem);
	err = size < 0 ? size : write_file(writer, STORE_PRIVKEY, pem, (size_t)size);
	explicit_bzero(pem, sizeof(pem));
	return err ? err : file_sync_directory(writer->staging);
}

/*
 * Reserve the space of the whole generation, so that a full disk fails before the order and not
 * after the CA has issued.
 */
static int reserve_space(const struct store_writer *writer)
{
	int fd, err;

	fd = openat(writer->staging, RESERVE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = -posix_fallocate(fd, 0, RESERVE_SIZE);
	close(fd);
	return err;
}

static void writer_explain_open(struct failure *failure, int err, const struct store_writer *writer,
				const struct paths *paths, const char *place)
{
	switch (err) {
	case -EWOULDBLOCK:
		failure_set(failure, "wait until it has finished, then run this again",
			    "another sidestep process works on the certificate %s", writer->name);
		break;
	case -EEXIST:
		failure_set(failure, "choose another name with --cert-name, or move it away",
			    "%s exists and was not made by sidestep", writer->path);
		break;
	default:
		failure_set_errno(failure, -err, "cannot write certificates into %s%s",
				  paths->state, place);
	}
}

/* Lock the name, with nothing of its next generation yet.  As store_writer_open(). */
static int writer_open(struct store_writer **ret_writer, const struct paths *paths,
		       const char *name, struct failure *failure)
{
	struct store_writer *writer = calloc(1, sizeof(*writer));
	const char *place = "";
	int err;

	if (!writer) {
		failure_set_errno(failure, ENOMEM, "preparing the certificate's directory");
		return -1;
	}
	writer->live = writer->archive = writer->directory = writer->staging = -1;
	snprintf(writer->name, sizeof(writer->name), "%s", name);
	store_live_path(writer->path, paths, name);
	err = open_directories(writer, paths, &place);
	if (!err) {
		*ret_writer = writer;
		return 0;
	}
	writer_explain_open(failure, err, writer, paths, place);
	store_writer_free(writer);
	return err == -EWOULDBLOCK ? STORE_WRITER_BUSY : STORE_WRITER_FAILED;
}

int store_writer_open(struct store_writer **ret_writer, const struct paths *paths, const char *name,
		      struct key *key, struct failure *failure)
{
	struct store_writer *writer;
	int err;

	err = writer_open(&writer, paths, name, failure);
	if (err)
		return err;
	err = make_staging(writer);
	if (!err)
		err = write_key(writer, key);
	if (!err)
		err = reserve_space(writer);
	if (err) {
		writer_explain_open(failure, err, writer, paths, "/archive");
		store_writer_free(writer);
		return -1;
	}
	*ret_writer = writer;
	return 0;
}

void store_writer_free(struct store_writer *writer)
{
	if (!writer)
		return;
	if (writer->staging >= 0) {
		close(writer->staging);
		/* What cannot be removed now is removed when the next generation begins. */
		(void)file_remove_directory(writer->directory, STAGING);
		/* Fails, as it should, when there are generations. */
		(void)unlinkat(writer->archive, writer->name, AT_REMOVEDIR);
	}
	if (writer->directory >= 0)
		close(writer->directory);
	if (writer->archive >= 0)
		close(writer->archive);
	if (writer->live >= 0)
		close(writer->live);
	free(writer);
}

void store_writer_suspend(struct store_writer *writer)
{
	if (writer && writer->staging >= 0) {
		close(writer->staging);
		writer->staging = -1;
	}
	store_writer_free(writer);
}

void store_writer_want_bundle(struct store_writer *writer)
{
	writer->has_bundle = true;
}

/* --- committing ------------------------------------------------------------------------------ */

/* Certificates of the chain from `first` on, less than `end`, one after the other. */
static int write_certificates(struct store_writer *writer, enum store_file file,
			      const struct chain *chain, size_t first, size_t end)
{
	size_t size = 0, used = 0, i;
	char *text;
	int err;

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
	err = write_file(writer, file, text, used);
	free(text);
	return err;
}

/* Full chain and key: who may read the key may read this. */
static int write_bundle(const struct store_writer *writer)
{
	const char *const parts[] = {store_file_names[STORE_FULLCHAIN],
				     store_file_names[STORE_PRIVKEY]};
	const size_t max = STORE_PEM_MAX + KEY_PEM_MAX;
	struct file_access access =
		kept_access(writer, store_file_names[STORE_PRIVKEY], default_modes[STORE_PRIVKEY]);
	char *text = malloc(max), *part;
	size_t used = 0, size, i;
	int err = text ? 0 : -ENOMEM;

	access = kept_access(writer, STORE_BUNDLE_FILE, access.mode);
	for (i = 0; !err && i < sizeof(parts) / sizeof(*parts); i++) {
		err = file_read(writer->staging, parts[i], max - used, &part, &size);
		if (err)
			break;
		memcpy(text + used, part, size);
		used += size;
		explicit_bzero(part, size);
		free(part);
	}
	if (!err)
		err = file_create(writer->staging, STORE_BUNDLE_FILE, &access, text, used);
	if (text)
		explicit_bzero(text, used);
	free(text);
	return err;
}

static int write_origin(struct store_writer *writer, const json_t *origin)
{
	struct file_access access = kept_access(writer, STORE_ORIGIN_FILE, 0644);
	char *text = json_dumps(origin, JSON_INDENT(2));
	int err;

	if (!text)
		return -ENOMEM;
	err = file_create(writer->staging, STORE_ORIGIN_FILE, &access, text, strlen(text));
	free(text);
	return err;
}

static int complete_staging(struct store_writer *writer, const struct chain *chain,
			    const json_t *origin)
{
	int err;

	if (unlinkat(writer->staging, RESERVE, 0))
		return -errno;
	err = write_certificates(writer, STORE_CERT, chain, 0, 1);
	if (!err)
		err = write_certificates(writer, STORE_CHAIN, chain, 1, chain->count);
	if (!err)
		err = write_certificates(writer, STORE_FULLCHAIN, chain, 0, chain->count);
	if (!err && writer->has_bundle)
		err = write_bundle(writer);
	if (!err)
		err = write_origin(writer, origin);
	return err ? err : file_sync_directory(writer->staging);
}

/* One more than any that is there. */
static int next_generation(const struct store_writer *writer, unsigned long *ret_number)
{
	int fd = openat(writer->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
static int number_staging(struct store_writer *writer, char ret_number[32])
{
	unsigned long number = 0;
	int err;

	err = next_generation(writer, &number);
	if (err)
		return err;
	snprintf(ret_number, 32, "%lu", number);
	if (renameat(writer->directory, STAGING, writer->directory, ret_number))
		return -errno;
	close(writer->staging);
	writer->staging = -1;
	return file_sync_directory(writer->directory);
}

/* The one step that switches all four files. */
static int switch_current(struct store_writer *writer, const char *number)
{
	if (unlinkat(writer->directory, NEW_CURRENT, 0) && errno != ENOENT)
		return -errno;
	if (symlinkat(number, writer->directory, NEW_CURRENT) ||
	    renameat(writer->directory, NEW_CURRENT, writer->directory, STORE_CURRENT))
		return -errno;
	return file_sync_directory(writer->directory);
}

static int make_links(const struct store_writer *writer, int directory)
{
	char target[LINK_MAX];
	int file;

	for (file = 0; file < STORE_FILES; file++) {
		link_target(target, writer, file);
		if (symlinkat(target, directory, store_file_names[file]))
			return -errno;
	}
	return file_sync_directory(directory);
}

/* The directory below live/, when it is not there yet: it appears with all of its links. */
static int publish_live(struct store_writer *writer)
{
	int directory, err;

	if (faccessat(writer->live, writer->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	/* A name may be too long to get a suffix, so all are made in one place, in turn. */
	if (flock(writer->live, LOCK_EX))
		return -errno;
	err = file_remove_directory(writer->live, NEW_LIVE);
	if (!err)
		err = file_open_directory(writer->live, NEW_LIVE, DIRECTORY_MODE, &directory);
	if (!err) {
		err = make_links(writer, directory);
		close(directory);
	}
	if (!err && renameat(writer->live, NEW_LIVE, writer->live, writer->name))
		err = -errno;
	flock(writer->live, LOCK_UN);
	return err ? err : file_sync_directory(writer->live);
}

/* The link to the bundle comes and goes with it; the others are always there. */
static int link_bundle(const struct store_writer *writer)
{
	char path[CERTIFICATE_NAME_MAX + sizeof("/" STORE_BUNDLE_FILE)], target[LINK_MAX];

	snprintf(path, sizeof(path), "%s/" STORE_BUNDLE_FILE, writer->name);
	snprintf(target, sizeof(target), "../../archive/%s/" STORE_CURRENT "/" STORE_BUNDLE_FILE,
		 writer->name);
	if (!writer->has_bundle)
		return unlinkat(writer->live, path, 0) && errno != ENOENT ? -errno : 0;
	return symlinkat(target, writer->live, path) && errno != EEXIST ? -errno : 0;
}

int store_writer_commit(struct store_writer *writer, const struct chain *chain,
			const json_t *origin, struct failure *failure)
{
	char number[32];
	int err;

	err = complete_staging(writer, chain, origin);
	if (!err)
		err = number_staging(writer, number);
	if (!err)
		err = switch_current(writer, number);
	if (!err)
		err = publish_live(writer);
	if (!err)
		err = link_bundle(writer);
	if (!err)
		return 0;
	failure_set_errno(failure, -err,
			  "the CA has issued the certificate, but it cannot be stored in %s",
			  writer->path);
	return -1;
}

/* --- resuming the generation of a killed process ---------------------------------------------- */

/* The generation in use; 0: none. */
static unsigned long current_generation(const struct store_writer *writer)
{
	char target[32] = "";

	if (readlinkat(writer->directory, STORE_CURRENT, target, sizeof(target) - 1) < 0)
		return 0;
	return strtoul(target, NULL, 10);
}

/* A generation gets its number when it is complete: what lacks is the switch.  1: it was so. */
static int finish_switch(struct store_writer *writer)
{
	unsigned long next = 0;
	char number[32];
	int err;

	err = next_generation(writer, &next);
	if (err || next - 1 <= current_generation(writer))
		return err;
	snprintf(number, sizeof(number), "%lu", next - 1);
	err = switch_current(writer, number);
	if (!err)
		err = publish_live(writer);
	return err ? err : 1;
}

static int load_staged_key(struct store_writer *writer, struct key **ret_key)
{
	writer->staging =
		openat(writer->directory, STAGING, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (writer->staging < 0)
		return -errno;
	return key_read(ret_key, writer->staging, store_file_names[STORE_PRIVKEY]);
}

/* Write again what the killed process wrote after the key. */
static int clear_staging(const struct store_writer *writer)
{
	const char *const names[] = {RESERVE,
				     store_file_names[STORE_CERT],
				     store_file_names[STORE_CHAIN],
				     store_file_names[STORE_FULLCHAIN],
				     STORE_BUNDLE_FILE,
				     STORE_ORIGIN_FILE};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (unlinkat(writer->staging, names[i], 0) && errno != ENOENT)
			return -errno;
	return reserve_space(writer);
}

enum store_writer_found store_writer_resume(struct store_writer **ret_writer, struct key **ret_key,
					    const struct paths *paths, const char *name,
					    struct failure *failure)
{
	struct store_writer *writer;
	int result;

	result = writer_open(&writer, paths, name, failure);
	if (result)
		return result;
	result = finish_switch(writer);
	if (result) {
		if (result < 0)
			failure_set_errno(failure, -result, "cannot complete %s", writer->path);
		store_writer_suspend(writer);
		return result < 0 ? STORE_WRITER_FAILED : STORE_WRITER_COMPLETE;
	}
	result = load_staged_key(writer, ret_key);
	if (!result) {
		result = clear_staging(writer);
		if (!result) {
			*ret_writer = writer;
			return STORE_WRITER_KEY;
		}
		key_free(*ret_key);
	}
	store_writer_suspend(writer);
	return STORE_WRITER_NOTHING;
}

/* --- going back ------------------------------------------------------------------------------- */

/* 0, -ENOENT: there is no generation before, or -errno. */
static int roll_back(const struct store_writer *writer)
{
	unsigned long current = current_generation(writer), before = current;
	char number[32];
	int err;

	do {
		snprintf(number, sizeof(number), "%lu", --before);
	} while (before && faccessat(writer->directory, number, F_OK, AT_SYMLINK_NOFOLLOW));
	if (!current || !before)
		return -ENOENT;
	err = switch_current((struct store_writer *)writer, number);
	if (!err)
		err = file_remove_directory(writer->directory, REFUSED);
	/* Under its number it would be taken for one whose switch a killed process has not made. */
	snprintf(number, sizeof(number), "%lu", current);
	if (!err && renameat(writer->directory, number, writer->directory, REFUSED))
		err = -errno;
	return err ? err : file_sync_directory(writer->directory);
}

int store_roll_back(const struct paths *paths, const char *name, struct failure *failure)
{
	struct store_writer *writer;
	int err;

	err = writer_open(&writer, paths, name, failure);
	if (err)
		return err;
	err = roll_back(writer);
	if (err && err != -ENOENT)
		failure_set_errno(failure, -err, "cannot go back to the previous certificate in %s",
				  writer->path);
	store_writer_free(writer);
	return err && err != -ENOENT ? STORE_WRITER_FAILED : err;
}

/* --- deleting and freeing --------------------------------------------------------------------- */

/* Remove live/<name> first: a server that starts meanwhile finds all files or none. */
static int remove_all(const struct store_writer *writer)
{
	unsigned long next = 0;
	char number[32];
	int err;

	err = file_remove_directory(writer->live, writer->name);
	if (!err)
		err = file_sync_directory(writer->live);
	if (!err)
		err = next_generation(writer, &next);
	if (!err && unlinkat(writer->directory, STORE_CURRENT, 0) && errno != ENOENT)
		err = -errno;
	while (!err && --next) {
		snprintf(number, sizeof(number), "%lu", next);
		err = file_remove_directory(writer->directory, number);
	}
	if (!err)
		err = file_remove_directory(writer->directory, STAGING);
	if (!err)
		err = file_remove_directory(writer->directory, REFUSED);
	if (!err && unlinkat(writer->archive, writer->name, AT_REMOVEDIR))
		err = -errno;
	return err ? err : file_sync_directory(writer->archive);
}

int store_delete(const struct paths *paths, const char *name, struct failure *failure)
{
	struct store_writer *writer;
	int err;

	err = writer_open(&writer, paths, name, failure);
	if (err)
		return err;
	err = remove_all(writer);
	if (err)
		failure_set_errno(failure, -err, "cannot remove all of %s", writer->path);
	store_writer_free(writer);
	return err ? STORE_WRITER_FAILED : 0;
}
