// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/reconcile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/config/settings.h"
#include "acme/config/config.h"
#include "acme/config/domains_file.h"
#include "acme/util/failure.h"
#include "acme/config/identifiers.h"
#include "acme/crypto/digest.h"
#include "acme/renewal/dry_run.h"
#include "acme/renewal/wanted.h"
#include "acme/util/output.h"
#include "acme/store/state.h"
#include "acme/store/state_source.h"
#include "acme/store/store.h"
#include "common/clock.h"

#define FINGERPRINT_OF "configuration" /* what it is called in the state */
#define LINES_TOLD     20 /* of those that are wrong in one file */
#define NAMES_TOLD     3 /* of those that would be retired */
#define AT_ONCE        128 /* lines or rows between two looks at the clock */
#define LOG_ROWS       4096 /* written between two checkpoints */
#define TENTH          10
#define LONG_STEP_MS   200 /* when nothing else waits */
#define NS_PER_MS      UINT64_C(1000000)

enum phase {
	PHASE_KNOWN, /* what the state has */
	PHASE_READ, /* what the files say */
	PHASE_JUDGE,
	PHASE_SORT,
	PHASE_WRITE,
	PHASE_RETIRE,
	PHASE_DONE,
};

struct reconcile {
	struct state *state;
	const struct settings *settings;
	enum phase phase;
	struct wanted *wanted;
	size_t in_log; /* rows since the last checkpoint */
	int64_t last_id; /* of the rows that were read */

	/* The section under way. */
	size_t index;
	const struct config_section *section;
	struct domains_file *domains; /* NULL: not a [domains], or not opened yet */
	unsigned int wrong_lines;
	char digest_of_section[2 * DIGEST_SIZE + 1];

	struct certificate_spec *specs; /* of each section, all but what is a certificate's own */
	size_t section_count;
	struct failure *failure; /* the step's */
	struct failure wrong; /* the first thing that is wrong in the files */
	uint64_t began_ns, until_ns, longest_ns;
};

/* --- what the state has --------------------------------------------------------------------------- */

static int on_row(void *context, const struct state_source_row *row)
{
	return wanted_add_known(context, row->id, row->digest, row->name);
}

static int read_known(struct reconcile *reconcile)
{
	int err = state_source_rows(reconcile->state, RECONCILE_SOURCE, &reconcile->last_id,
				    AT_ONCE, on_row, reconcile->wanted);

	if (!err && !reconcile->last_id)
		reconcile->phase = PHASE_READ;
	return err;
}

/* --- one certificate ------------------------------------------------------------------------------ */

/* A number for a text that stands in the section under way; never 0, which stands for none. */
static int make_digest(const struct reconcile *reconcile, const char *text, int64_t *ret_digest)
{
	uint8_t bytes[DIGEST_SIZE];
	int err =
		digest_sha256_texts(bytes, (const char *[]){reconcile->digest_of_section, text}, 2);

	if (err)
		return err;
	memcpy(ret_digest, bytes, sizeof(*ret_digest));
	*ret_digest |= !*ret_digest;
	return 0;
}

static void refuse_twice(struct failure *failure, const char *cert_name)
{
	failure_set(failure, "remove one of them, or give it another name",
		    "the configuration has another certificate called %s", cert_name);
}

/* 0, -EEXIST: the configuration has a certificate of this name already, or -errno. */
static int add_change(const struct reconcile *reconcile, const char *cert_name,
		      const struct identifier *names, size_t count, int64_t digest)
{
	struct string_list list;
	char *joined = NULL;
	int err = identifiers_to_list(&list, names, count);

	if (!err)
		joined = string_list_join(&list, ' ');
	string_list_done(&list);
	if (joined)
		err = wanted_add_change(reconcile->wanted,
					&(struct wanted_change){.name = cert_name,
								.identifiers = joined,
								.section = reconcile->index,
								.digest = digest});
	else
		err = -ENOMEM;
	free(joined);
	return err;
}

/* A failure without its place gets that of the setting. */
static void fail_at(struct reconcile *reconcile, const char *setting, struct failure *failure)
{
	failure_set(&reconcile->wrong, failure->next_step, "%s: %s",
		    config_place(reconcile->section, setting), failure->cause);
	failure_done(failure);
}

/* Parse the names of a [certificate] that has changed.  0, or -errno. */
static int change_certificate(struct reconcile *reconcile, const char *cert_name, int64_t digest)
{
	const struct config_section *section = reconcile->section;
	const char *named_by = section->cert_name ? "cert-name" : "names";
	struct identifier *names = NULL;
	struct failure failure = {0};
	size_t count = 0;
	int err;

	if (!certificate_name_is_valid(cert_name)) {
		failure_set(&failure,
			    "use letters, digits and \"._-:\", with no dot at the beginning",
			    "a certificate cannot be called '%s'", cert_name);
		fail_at(reconcile, named_by, &failure);
		return 0;
	}
	if (identifiers_parse(&names, &count, (const char *const *)section->names.items,
			      section->names.count, &failure)) {
		fail_at(reconcile, "names", &failure);
		return 0;
	}
	err = add_change(reconcile, cert_name, names, count, digest);
	free(names);
	return err;
}

static int read_certificate(struct reconcile *reconcile)
{
	const struct config_section *section = reconcile->section;
	const char *cert_name = section->cert_name ? section->cert_name : section->label;
	char *names = string_list_join(&section->names, ' '), *text = NULL;
	struct failure failure = {0};
	int64_t digest = 0;
	int err = -ENOMEM;

	if (names && asprintf(&text, "%s > %s", names, cert_name) < 0)
		text = NULL;
	if (text)
		err = make_digest(reconcile, text, &digest);
	if (!err)
		err = wanted_keep(reconcile->wanted, digest);
	if (!err)
		err = change_certificate(reconcile, cert_name, digest);
	if (err == -EEXIST) {
		refuse_twice(&failure, cert_name);
		fail_at(reconcile, section->cert_name ? "cert-name" : "names", &failure);
		err = 0;
	}
	free(text);
	free(names);
	return err < 0 ? err : 0;
}

/* --- one file of many ----------------------------------------------------------------------------- */

static void tell_wrong_line(struct reconcile *reconcile, unsigned int number,
			    struct failure *failure)
{
	if (reconcile->wrong_lines++ < LINES_TOLD)
		output_warning("%s:%u: %s", reconcile->section->file, number, failure->cause);
	failure_done(failure);
}

static int read_line(struct reconcile *reconcile, const struct domains_file_text *text)
{
	struct domains_file_line line = {0};
	struct failure failure = {0};
	int64_t digest = 0;
	int err = make_digest(reconcile, text->text, &digest);

	if (!err)
		err = wanted_keep(reconcile->wanted, digest);
	if ((!err || err == -EEXIST) && domains_file_parse(reconcile->domains, &line, &failure)) {
		tell_wrong_line(reconcile, text->number, &failure);
		return 0;
	}
	if (!err)
		err = add_change(reconcile, line.cert_name, line.names, line.name_count, digest);
	if (err == -EEXIST) {
		refuse_twice(&failure, line.cert_name);
		tell_wrong_line(reconcile, text->number, &failure);
		err = 0;
	}
	return err < 0 ? err : 0;
}

static void end_list(struct reconcile *reconcile)
{
	domains_file_free(reconcile->domains);
	reconcile->domains = NULL;
	if (reconcile->wrong_lines)
		failure_set(&reconcile->wrong,
			    "correct them, then reload (systemctl reload sidestep); until then the "
			    "previous configuration stays in use",
			    "%u line%s of %s cannot be used", reconcile->wrong_lines,
			    reconcile->wrong_lines == 1 ? "" : "s", reconcile->section->file);
	reconcile->wrong_lines = 0;
}

static void fail_to_read(struct reconcile *reconcile, int err)
{
	failure_set_errno(&reconcile->wrong, -err, "%s: cannot read %s",
			  config_place(reconcile->section, "file"), reconcile->section->file);
}

/* Some lines of the list; 0 or -errno. */
static int read_lines(struct reconcile *reconcile)
{
	struct domains_file_text text;
	int result = 1, err = 0;
	size_t i;

	for (i = 0; i < AT_ONCE && !err && result > 0; i++) {
		result = domains_file_next(reconcile->domains, &text);
		if (result > 0)
			err = read_line(reconcile, &text);
	}
	if (result < 0)
		fail_to_read(reconcile, result);
	if (result <= 0)
		end_list(reconcile);
	return err;
}

/* --- all sections --------------------------------------------------------------------------------- */

#define DIGESTED_TEXT(text)     fputs((text) ? (text) : "", out);
#define DIGESTED_FLAG(flag)     fputc('0' + (flag), out);
#define DIGESTED_NUMBER(number) fprintf(out, "%" PRIu32, number);
#define DIGESTED_SETTING(kind, member, ...)     \
	DIGESTED_##kind(spec->settings.member); \
	fputc('\0', out);

/* What all certificates of a section have in common. */
static int digest_section(struct reconcile *reconcile, const struct certificate_spec *spec)
{
	char *text = NULL;
	size_t size, i;
	FILE *out = open_memstream(&text, &size);
	uint8_t bytes[DIGEST_SIZE];
	int err = -ENOMEM;

	if (!out)
		return err;
	for (i = 0; i < spec->cas.count; i++)
		fprintf(out, "%s ", spec->cas.items[i]);
	fprintf(out, "%c%s%c%s%c", 0, spec->account ? spec->account : "", 0,
		spec->tenant ? spec->tenant : "", 0);
	CERTIFICATE_SETTINGS(DIGESTED_SETTING)
	if (!fclose(out))
		err = digest_sha256(bytes, text, size);
	free(text);
	for (i = 0; !err && i < sizeof(bytes); i++)
		sprintf(reconcile->digest_of_section + 2 * i, "%02x", bytes[i]);
	return err;
}

static int make_dry(struct certificate_spec *spec)
{
	struct string_list cas = spec->cas;
	int err = dry_run_make_spec(spec, &cas);

	string_list_done(&cas);
	return err;
}

/* The section under way begins.  0 or -errno; what is wrong in it is noted. */
static int begin_section(struct reconcile *reconcile)
{
	struct certificate_spec *spec = &reconcile->specs[reconcile->index];
	int err = 0;

	if (settings_of_section(spec, reconcile->settings, reconcile->section, &reconcile->wrong))
		return 0;
	spec->source = RECONCILE_SOURCE;
	if (reconcile->settings->dry_run)
		err = make_dry(spec);
	if (!err)
		err = digest_section(reconcile, spec);
	if (err)
		return err;
	if (reconcile->section->kind == CONFIG_CERTIFICATE)
		return read_certificate(reconcile);
	err = domains_file_open(&reconcile->domains, reconcile->section->file);
	if (err)
		fail_to_read(reconcile, err);
	return 0;
}

static int read_sections(struct reconcile *reconcile)
{
	const struct config *config = reconcile->settings->config;
	int err = 0;

	if (reconcile->domains) {
		err = read_lines(reconcile);
	} else {
		reconcile->section = config_section(config, reconcile->index);
		if (!reconcile->section)
			reconcile->phase = PHASE_JUDGE;
		else if (reconcile->section->kind != CONFIG_CA)
			err = begin_section(reconcile);
	}
	if (!reconcile->domains)
		reconcile->index++;
	return err;
}

/* --- writing -------------------------------------------------------------------------------------- */

static void refuse_to_retire(struct reconcile *reconcile)
{
	struct wanted *wanted = reconcile->wanted;
	char names[256] = "";
	const char *name;
	size_t told;

	for (told = 0; told < NAMES_TOLD && wanted_next_gone(wanted, &name); told++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%.60s",
			 told ? ", " : "", name);
	failure_set(&reconcile->wrong,
		    "restore what is missing; or, if they are to be renewed no more, run `sidestep "
		    "plan --retire-many`",
		    "%zu of %zu certificates are no longer in the configuration (%s, ...): a file "
		    "of it may be missing, so nothing of it is used",
		    wanted_gone(wanted), wanted_known(wanted), names);
}

/* Whether what was read may be written. */
static int judge(struct reconcile *reconcile)
{
	size_t gone = wanted_gone(reconcile->wanted);

	if (!failure_is_set(&reconcile->wrong) && !reconcile->settings->retire_many &&
	    gone > RECONCILE_FEW && gone > wanted_known(reconcile->wanted) / TENTH)
		refuse_to_retire(reconcile);
	if (failure_is_set(&reconcile->wrong))
		failure_move(reconcile->failure, &reconcile->wrong);
	reconcile->phase = PHASE_SORT;
	return 0;
}

/* In the order of names the database's pages are written once each. */
static int sort_changes(struct reconcile *reconcile)
{
	int result = wanted_sort(reconcile->wanted);

	if (!result)
		reconcile->phase = PHASE_WRITE;
	return result < 0 ? result : 0;
}

static int write_change(struct reconcile *reconcile, const struct wanted_change *change)
{
	struct certificate_spec spec = reconcile->specs[change->section];
	int err;

	spec.name = change->name;
	spec.digest = change->digest;
	err = string_list_split(&spec.identifiers, change->identifiers, " ");
	if (!err)
		err = state_set_spec(reconcile->state, &spec, NULL);
	string_list_done(&spec.identifiers);
	return err;
}

static bool has_time(const struct reconcile *reconcile)
{
	return clock_monotonic_ns() < reconcile->until_ns;
}

/* As many as there is time for, in one transaction. */
static int write_changes(struct reconcile *reconcile)
{
	const struct wanted_change *change = NULL;
	int err = 0;
	size_t i;

	do {
		for (i = 0; !err && i < AT_ONCE; i++) {
			change = wanted_next_change(reconcile->wanted);
			if (!change)
				break;
			err = write_change(reconcile, change);
		}
		reconcile->in_log += i;
	} while (!err && change && has_time(reconcile));
	if (!change)
		reconcile->phase = PHASE_RETIRE;
	return err;
}

static void tell_retired(size_t retired)
{
	if (retired)
		output_warning(
			"%zu certificate%s %s no longer in the configuration: kept on disk, not "
			"renewed",
			retired, retired == 1 ? "" : "s", retired == 1 ? "is" : "are");
}

static int retire_gone(struct reconcile *reconcile)
{
	const char *name;
	int64_t id = 0;
	int err = 0;
	size_t i;

	do {
		for (i = 0; !err && i < AT_ONCE; i++) {
			id = wanted_next_gone(reconcile->wanted, &name);
			if (!id)
				break;
			err = state_source_retire(reconcile->state, RECONCILE_SOURCE, id);
		}
	} while (!err && id && has_time(reconcile));
	if (!err && !id)
		err = state_fingerprint_write(reconcile->state, FINGERPRINT_OF,
					      config_fingerprint(reconcile->settings->config));
	if (!id)
		reconcile->phase = PHASE_DONE;
	return err;
}

/* On the disk with the last of retire_batch(). */
static int write_batch(struct reconcile *reconcile)
{
	int err;

	if (reconcile->in_log >= LOG_ROWS) {
		reconcile->in_log = 0;
		return state_source_checkpoint(reconcile->state);
	}
	err = state_source_begin(reconcile->state);

	return err ? err : state_source_end(reconcile->state, write_changes(reconcile));
}

static int retire_batch(struct reconcile *reconcile)
{
	int err = state_begin(reconcile->state);

	if (!err)
		err = retire_gone(reconcile);
	if (!err)
		return state_commit(reconcile->state);
	state_rollback(reconcile->state);
	return err;
}

/* --- steps ---------------------------------------------------------------------------------------- */

/* A part of the phase. */
static int take_part(struct reconcile *reconcile)
{
	switch (reconcile->phase) {
	case PHASE_KNOWN:
		return read_known(reconcile);
	case PHASE_READ:
		return read_sections(reconcile);
	case PHASE_JUDGE:
		return judge(reconcile);
	case PHASE_SORT:
		return sort_changes(reconcile);
	case PHASE_WRITE:
		return write_batch(reconcile);
	case PHASE_RETIRE:
		return retire_batch(reconcile);
	case PHASE_DONE:
		break;
	}
	return 0;
}

int reconcile_step(struct reconcile *reconcile, uint32_t budget_ms, struct failure *failure)
{
	uint64_t began_ns = clock_monotonic_ns(), took_ns;
	int err;

	reconcile->until_ns = began_ns + budget_ms * NS_PER_MS;
	reconcile->failure = failure;
	do {
		err = take_part(reconcile);
	} while (!err && !failure_is_set(failure) && reconcile->phase != PHASE_DONE &&
		 has_time(reconcile));
	took_ns = clock_monotonic_ns() - began_ns;
	if (took_ns > reconcile->longest_ns)
		reconcile->longest_ns = took_ns;
	if (err == -ENOMEM)
		failure_set_errno(failure, ENOMEM, "reading the configuration");
	else if (err)
		state_explain(reconcile->state, err, failure);
	if (reconcile->phase == PHASE_DONE)
		tell_retired(wanted_gone(reconcile->wanted));
	return failure_is_set(failure) ? -1 : reconcile->phase != PHASE_DONE;
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

static size_t count_sections(const struct config *config)
{
	size_t count = 0;

	while (config_section(config, count))
		count++;
	return count;
}

int reconcile_new(struct reconcile **ret_reconcile, struct state *state,
		  const struct settings *settings, struct failure *failure)
{
	struct reconcile *reconcile;
	bool changed = false;
	int err = has_changed(state, config_fingerprint(settings->config), &changed);

	*ret_reconcile = NULL;
	if (err) {
		state_explain(state, err, failure);
		return -1;
	}
	if (!changed)
		return 0;
	reconcile = calloc(1, sizeof(*reconcile));
	if (reconcile) {
		reconcile->state = state;
		reconcile->settings = settings;
		reconcile->began_ns = clock_monotonic_ns();
		reconcile->section_count = count_sections(settings->config);
		reconcile->specs = calloc(reconcile->section_count + 1, sizeof(*reconcile->specs));
	}
	if (!reconcile || !reconcile->specs || wanted_new(&reconcile->wanted)) {
		reconcile_free(reconcile);
		failure_set_errno(failure, ENOMEM, "reading the configuration");
		return -1;
	}
	*ret_reconcile = reconcile;
	return 0;
}

void reconcile_report(const struct reconcile *reconcile, struct reconcile_report *ret_report)
{
	const struct wanted *wanted = reconcile->wanted;

	*ret_report = (struct reconcile_report){
		.certificates = wanted_named(wanted),
		.changed = wanted_changed(wanted),
		.retired = wanted_gone(wanted),
		.took_ms = (uint32_t)((clock_monotonic_ns() - reconcile->began_ns) / NS_PER_MS),
		.longest_step_ms = (uint32_t)(reconcile->longest_ns / NS_PER_MS),
	};
}

void reconcile_free(struct reconcile *reconcile)
{
	size_t i;

	if (!reconcile)
		return;
	for (i = 0; i < reconcile->section_count; i++)
		string_list_done(&reconcile->specs[i].cas);
	free(reconcile->specs);
	domains_file_free(reconcile->domains);
	wanted_free(reconcile->wanted);
	failure_done(&reconcile->wrong);
	free(reconcile);
}

int reconcile(struct state *state, const struct settings *settings, struct failure *failure)
{
	struct reconcile *steps;
	int result;

	if (reconcile_new(&steps, state, settings, failure))
		return -1;
	if (!steps)
		return 0;
	do {
		result = reconcile_step(steps, LONG_STEP_MS, failure);
	} while (result > 0);
	reconcile_free(steps);
	return result;
}
