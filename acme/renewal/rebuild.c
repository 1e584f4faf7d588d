// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/rebuild.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "acme/renewal/consequence.h"
#include "acme/util/failure.h"
#include "acme/util/file.h"
#include "acme/config/identifiers.h"
#include "acme/util/output.h"
#include "acme/store/state.h"
#include "acme/store/store.h"
#include "acme/store/store_wanted.h"

/* With what was wanted of it, as its origin.json says.  0 or -errno; *ret_known: it says that. */
static int restore_wanted(struct state *state, const struct paths *paths,
			  const struct stored *stored, bool *ret_known)
{
	struct store_wanted wanted;
	int64_t id;
	int err = store_wanted_read(&wanted, paths, stored->name);

	*ret_known = !err;
	if (err)
		return 0;
	err = state_set_spec(state, &wanted.spec, &id);
	store_wanted_done(&wanted);
	return err ? err : consequence_of_found(state, id, stored);
}

/* 0 or -errno; what cannot be read is left out, with a warning. */
static int rebuild_one(struct state *state, const struct paths *paths, const char *name)
{
	struct certificate_spec spec = {.name = name, .source = "disk"};
	struct stored stored;
	bool is_known;
	int64_t id;
	int err;

	err = store_read(&stored, paths, name);
	if (err) {
		output_warning("the certificate %s is left out, for it cannot be read: %s", name,
			       strerror(-err));
		return 0;
	}
	err = restore_wanted(state, paths, &stored, &is_known);
	if (err || is_known) {
		stored_done(&stored);
		return err;
	}
	if (!stored.server || !stored.certificate.name_count) {
		output_warning("the certificate %s is left out: nothing tells which CA it is from; "
			       "`sidestep certonly` with its names makes it known",
			       name);
	} else {
		spec.cas = STRING_LIST(stored.server);
		err = identifiers_to_list(&spec.identifiers, stored.certificate.names,
					  stored.certificate.name_count);
		if (!err)
			err = state_set_spec(state, &spec, &id);
		string_list_done(&spec.identifiers);
		if (!err)
			err = consequence_of_found(state, id, &stored);
	}
	stored_done(&stored);
	return err;
}

static int rebuild_all(struct state *state, const struct paths *paths, char *const *names,
		       size_t count)
{
	int err = state_begin(state);
	size_t i;

	if (err)
		return err;
	for (i = 0; !err && i < count; i++)
		err = rebuild_one(state, paths, names[i]);
	if (!err)
		return state_commit(state);
	state_rollback(state);
	return err;
}

int rebuild(struct state *state, const struct paths *paths, struct failure *failure)
{
	int64_t known;
	size_t count;
	char **names;
	int err;

	err = state_lineage_count(state, &known);
	if (!err && known)
		return 0;
	if (!err) {
		err = store_names(&names, &count, paths);
		if (err) {
			failure_set_errno(failure, -err, "cannot list the certificates");
			return -1;
		}
		err = rebuild_all(state, paths, names, count);
		file_list_free(names, count);
	}
	if (err)
		state_explain(state, err, failure);
	return err ? -1 : 0;
}
