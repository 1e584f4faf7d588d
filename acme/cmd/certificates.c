// SPDX-License-Identifier: GPL-3.0-or-later
/* `sidestep certificates`. */
#include <errno.h>
#include <jansson.h>
#include <stddef.h>

#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/cmd/show.h"
#include "acme/util/failure.h"
#include "acme/util/file.h"
#include "acme/util/output.h"
#include "acme/store/store.h"
#include "acme/cmd/verbs.h"
#include "common/clock.h"

static void explain_unreadable(struct failure *failure, int err, const char *path)
{
	if (err == -EBADMSG)
		failure_set(failure, "restore it from archive/, or get a new one with certonly",
			    "%s contains no certificate that sidestep can read", path);
	else if (err == -ENOENT)
		failure_set(failure, "remove it, or get a new certificate with certonly",
			    "%s is a link that leads to no certificate", path);
	else
		failure_set_errno(failure, -err, "cannot read %s", path);
}

/* Show one certificate and append it to the array; false: it cannot be read. */
static bool show_certificate(const struct settings *settings, const char *name, json_t *array)
{
	char path[STORE_PATH_MAX + 1];
	struct failure failure = {0};
	struct stored stored;
	int err;

	err = store_read(&stored, settings->paths, name);
	if (err) {
		store_live_path(path, settings->paths, name);
		explain_unreadable(&failure, err, path);
		output_failure(NULL, &failure);
		json_array_append_new(array, json_pack("{s:s, s:o}", "name", name, "error",
						       failure_to_json(&failure)));
		failure_done(&failure);
		return false;
	}
	show_text(&stored, clock_now_s());
	json_array_append_new(array, show_json(&stored));
	stored_done(&stored);
	return true;
}

int verb_certificates(const struct arguments *arguments, const struct settings *settings)
{
	json_t *array = json_array();
	struct failure failure = {0};
	size_t count, i;
	char **names;
	bool ok = true;
	int err;

	(void)arguments;
	err = store_names(&names, &count, settings->paths);
	if (err) {
		json_decref(array);
		failure_set_errno(&failure, -err, "cannot read %s/live", settings->paths->state);
		return output_fatal(&failure);
	}
	for (i = 0; i < count; i++)
		ok = show_certificate(settings, names[i], array) && ok;
	if (count == 0)
		output_line("There are no certificates in %s/live.", settings->paths->state);
	file_list_free(names, count);
	output_document(json_pack("{s:b, s:o}", "ok", ok, "certificates", array));
	return ok ? EXIT_DONE : EXIT_FAILED;
}
