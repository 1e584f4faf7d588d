// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/store/store_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acme/crypto/certificate.h"
#include "acme/crypto/key.h"
#include "acme/store/store.h"
#include "acme/store/store_place.h"
#include "acme/store/store_staging.h"
#include "acme/util/failure.h"
#include "acme/util/file.h"

_Static_assert((int)STORE_WRITER_BUSY == (int)STORE_BUSY, "one number for one meaning");

struct store_writer {
	const struct paths *paths;
	struct store_place place;
	struct store_staging staging;
	bool has_bundle;
	int64_t generation;
};

/* --- opening ------------------------------------------------------------------------------- */

static int write_key(struct store_writer *writer, struct key *key)
{
	char pem[KEY_PEM_MAX];
	int size, err;

	size = key_to_pem(key, pem);
	err = size < 0 ? size
		       : store_staging_write(&writer->staging, store_file_names[STORE_PRIVKEY], pem,
					     (size_t)size);
	explicit_bzero(pem, sizeof(pem));
	return err ? err : file_sync_directory(writer->staging.fd);
}

/* Lock the name, with nothing of its next generation yet.  As store_writer_open(). */
static int writer_open(struct store_writer **ret_writer, const struct paths *paths,
		       const char *name, struct failure *failure)
{
	struct store_writer *writer = calloc(1, sizeof(*writer));
	int err;

	if (!writer) {
		failure_set_errno(failure, ENOMEM, "preparing the certificate's directory");
		return -1;
	}
	writer->paths = paths;
	writer->staging.fd = -1;
	err = store_place_open(&writer->place, paths, name, true, failure);
	if (err) {
		free(writer);
		return err;
	}
	*ret_writer = writer;
	return 0;
}

int store_writer_open(struct store_writer **ret_writer, const struct paths *paths, const char *name,
		      struct key *key, struct failure *failure)
{
	struct store_writer *writer;
	int err;

	err = writer_open(&writer, paths, name, failure);
	if (err)
		return err;
	err = store_staging_make(&writer->staging, &writer->place);
	if (!err && key)
		err = write_key(writer, key);
	if (!err)
		err = store_staging_reserve(&writer->staging);
	if (err) {
		store_place_explain(&writer->place, paths, err, failure);
		store_writer_free(writer);
		return -1;
	}
	*ret_writer = writer;
	return 0;
}

int store_writer_set_key(struct store_writer *writer, struct key *key, struct failure *failure)
{
	int err = write_key(writer, key);

	if (!err)
		return 0;
	store_place_explain(&writer->place, writer->paths, err, failure);
	return -1;
}

void store_writer_free(struct store_writer *writer)
{
	if (!writer)
		return;
	store_staging_remove(&writer->staging);
	/* Fails, as it should, when something is in it. */
	(void)unlinkat(writer->place.archive, writer->place.name, AT_REMOVEDIR);
	store_place_close(&writer->place);
	free(writer);
}

void store_writer_suspend(struct store_writer *writer)
{
	if (writer)
		store_staging_close(&writer->staging);
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
	err = store_staging_write(&writer->staging, store_file_names[file], text, used);
	free(text);
	return err;
}

static int complete_staging(struct store_writer *writer, const struct chain *chain,
			    const json_t *origin)
{
	int err;

	err = write_certificates(writer, STORE_CERT, chain, 0, 1);
	if (!err)
		err = write_certificates(writer, STORE_CHAIN, chain, 1, chain->count);
	if (!err)
		err = write_certificates(writer, STORE_FULLCHAIN, chain, 0, chain->count);
	if (!err && writer->has_bundle)
		err = store_staging_write_bundle(&writer->staging);
	return err ? err : store_staging_write_origin(&writer->staging, origin);
}

int store_writer_commit(struct store_writer *writer, const struct chain *chain,
			const json_t *origin, struct failure *failure)
{
	int err;

	err = store_staging_release(&writer->staging);
	if (!err)
		err = complete_staging(writer, chain, origin);
	if (!err)
		err = store_staging_finish(&writer->staging, &writer->generation);
	if (!err)
		err = store_place_switch(&writer->place, writer->generation);
	if (!err)
		return 0;
	failure_set_errno(failure, -err,
			  "the CA has issued the certificate, but it cannot be stored in %s",
			  writer->place.path);
	return -1;
}

int64_t store_writer_generation(const struct store_writer *writer)
{
	return writer->generation;
}

/* --- resuming the generation of a killed process ---------------------------------------------- */

/* The key of the staging, with the rest removed.  0 or -errno. */
static int resume_staging(struct store_writer *writer, struct key **ret_key)
{
	struct key *key;
	int err;

	err = store_staging_open(&writer->staging, &writer->place);
	if (err)
		return err;
	err = key_read(&key, writer->staging.fd, store_file_names[STORE_PRIVKEY]);
	if (err)
		return err;
	err = store_staging_clear(&writer->staging);
	if (err)
		key_free(key);
	else
		*ret_key = key;
	return err;
}

enum store_writer_found store_writer_resume(struct store_writer **ret_writer, struct key **ret_key,
					    const struct paths *paths, const char *name,
					    struct failure *failure)
{
	struct store_writer *writer;
	bool is_complete;
	int err;

	err = writer_open(&writer, paths, name, failure);
	if (err)
		return err;
	/* A generation gets its number when it is complete: only the switch was missing. */
	is_complete = writer->place.has_advanced;
	if (!is_complete && !resume_staging(writer, ret_key)) {
		*ret_writer = writer;
		return STORE_WRITER_KEY;
	}
	store_writer_suspend(writer);
	return is_complete ? STORE_WRITER_COMPLETE : STORE_WRITER_NOTHING;
}
