// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/reconcile.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/config/settings.h"
#include "acme/config/config.h"
#include "acme/config/domains_file.h"
#include "acme/util/failure.h"
#include "acme/config/identifiers.h"
#include "acme/crypto/csr.h"
#include "acme/util/output.h"
#include "acme/store/state.h"
#include "acme/store/store.h"

#define SOURCE         "config"
#define FINGERPRINT_OF "configuration" /* what it is called in the state */
#define LINES_TOLD     20 /* of those that are wrong in one file */

struct taking {
	struct state *state;
	const struct settings *settings;
	const struct config_section *section; /* under way */
	struct certificate_spec spec; /* what holds for all of the section */
	unsigned int wrong_lines;
	struct failure *failure;
};

/* --- one section -------------------------------------------------------------------------------- */

/* What the section wants of its certificates; the list of CAs is to be freed behind it. */
static int begin_section(struct taking *taking)
{
	if (settings_of_section(&taking->spec, taking->settings, taking->section, taking->failure))
		return -1;
	taking->spec.source = SOURCE;
	return 0;
}

/* 0, -EEXIST: the configuration has a certificate of this name already, or -errno. */
static int set_spec(const struct taking *taking, const char *cert_name,
		    const struct identifier *names, size_t count)
{
	struct certificate_spec spec = taking->spec;
	int err = identifiers_to_list(&spec.identifiers, names, count);

	spec.name = cert_name;
	if (!err)
		err = state_set_spec(taking->state, &spec, NULL);
	string_list_done(&spec.identifiers);
	return err;
}

static void refuse_twice(struct failure *failure, const char *cert_name)
{
	failure_set(failure, "remove one of them, or give it another name",
		    "the configuration has another certificate called %s", cert_name);
}

/* A failure without its place gets that of the setting. */
static void fail_at(struct taking *taking, const char *setting, struct failure *failure)
{
	failure_set(taking->failure, failure->next_step, "%s: %s",
		    config_place(taking->section, setting), failure->cause);
	failure_done(failure);
}

static int take_certificate(struct taking *taking)
{
	const struct config_section *section = taking->section;
	const char *cert_name = section->cert_name ? section->cert_name : section->label;
	const char *named_by = section->cert_name ? "cert-name" : "names";
	struct identifier *names = NULL;
	struct failure failure = {0};
	size_t count = 0;
	int err = 0;

	if (!certificate_name_is_valid(cert_name))
		failure_set(&failure,
			    "use letters, digits and \"._-:\", with no dot at the beginning",
			    "a certificate cannot be called '%s'", cert_name);
	if (failure_is_set(&failure)) {
		fail_at(taking, named_by, &failure);
		return 0;
	}
	if (!identifiers_parse(&names, &count, (const char *const *)section->names.items,
			       section->names.count, &failure))
		err = set_spec(taking, cert_name, names, count);
	else
		fail_at(taking, "names", &failure);
	if (err == -EEXIST) {
		err = 0;
		refuse_twice(&failure, cert_name);
		fail_at(taking, named_by, &failure);
	}
	free(names);
	return err;
}

/* --- one file of many --------------------------------------------------------------------------- */

static void on_wrong_line(void *context, unsigned int number, const struct failure *failure)
{
	struct taking *taking = context;

	if (taking->wrong_lines++ < LINES_TOLD)
		output_warning("%s:%u: %s", taking->section->file, number, failure->cause);
}

static int on_domains_line(void *context, const struct domains_file_line *line)
{
	struct taking *taking = context;
	struct failure failure = {0};
	int err = set_spec(taking, line->cert_name, line->names, line->name_count);

	if (err != -EEXIST)
		return err;
	refuse_twice(&failure, line->cert_name);
	on_wrong_line(taking, line->number, &failure);
	failure_done(&failure);
	return 0;
}

static int take_domains(struct taking *taking)
{
	const char *path = taking->section->file;
	FILE *file = fopen(path, "re");
	int err;

	if (!file) {
		failure_set_errno(taking->failure, errno, "%s: cannot read %s",
				  config_place(taking->section, "file"), path);
		return 0;
	}
	taking->wrong_lines = 0;
	err = domains_file_read(file, on_domains_line, on_wrong_line, taking);
	fclose(file);
	if (taking->wrong_lines)
		failure_set(taking->failure,
			    "correct them, then reload (systemctl reload sidestep); until then the "
			    "previous configuration stays in use",
			    "%u line%s of %s cannot be used", taking->wrong_lines,
			    taking->wrong_lines == 1 ? "" : "s", path);
	return err;
}

/* --- all ---------------------------------------------------------------------------------------- */

/* 0 or -errno of the state; what is wrong in the files is in the failure. */
static int take_section(struct taking *taking)
{
	int err;

	if (begin_section(taking))
		return 0;
	err = taking->section->kind == CONFIG_CERTIFICATE ? take_certificate(taking)
							  : take_domains(taking);
	string_list_done(&taking->spec.cas);
	return err;
}

static int reconcile_all(struct taking *taking, const char *fingerprint)
{
	int64_t retired;
	int err;
	size_t i;

	err = state_source_begin(taking->state, SOURCE);
	for (i = 0; !err && (taking->section = config_section(taking->settings->config, i)); i++)
		if (taking->section->kind != CONFIG_CA)
			err = take_section(taking);
	if (!err)
		err = state_source_end(taking->state, &retired);
	if (!err)
		err = state_fingerprint_write(taking->state, FINGERPRINT_OF, fingerprint);
	if (!err && !failure_is_set(taking->failure) && retired)
		output_warning(
			"%lld certificate%s %s no longer in the configuration: kept on disk, "
			"not renewed",
			(long long)retired, retired == 1 ? "" : "s", retired == 1 ? "is" : "are");
	return err;
}

/* Whether the files are as they were when they were last taken. */
static int has_changed(struct state *state, const char *fingerprint, bool *ret_changed)
{
	char *before = NULL;
	int err = state_fingerprint_read(state, FINGERPRINT_OF, &before);

	if (!err)
		*ret_changed = strcmp(before, fingerprint) != 0;
	free(before);
	return err;
}

int reconcile(struct state *state, const struct settings *settings, struct failure *failure)
{
	struct taking taking = {.state = state, .settings = settings, .failure = failure};
	const char *fingerprint = config_fingerprint(settings->config);
	bool changed = false;
	int err = has_changed(state, fingerprint, &changed);

	if (!err && changed) {
		err = state_begin(state);
		if (!err)
			err = reconcile_all(&taking, fingerprint);
		if (!err && !failure_is_set(failure))
			err = state_commit(state);
		else
			state_rollback(state);
	}
	if (err && !failure_is_set(failure))
		state_explain(state, err, failure);
	return failure_is_set(failure) ? -1 : 0;
}
