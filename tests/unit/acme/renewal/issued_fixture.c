// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/unit/acme/renewal/issued_fixture.h"

#include <fcntl.h>
#include <jansson.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <cmocka.h>

#include "acme/crypto/certificate.h"
#include "acme/crypto/key.h"
#include "acme/renewal/certificate_facts.h"
#include "acme/store/state.h"
#include "acme/store/store.h"
#include "acme/store/store_wanted.h"
#include "acme/store/store_writer.h"
#include "acme/util/failure.h"
#include "common/clock.h"
#include "common/paths.h"
#include "tests/unit/fixture.h"

int issued_enter_namespace(void **context)
{
	(void)context;
	return unshare(CLONE_NEWNS) || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) ||
	       mount("none", "/tmp", "tmpfs", 0, NULL);
}

/* The chain as PEM, to be freed; *ret_key is the caller's. */
static char *make_certificate(const char *const *names, size_t count, struct key **ret_key)
{
	FILE *file = fopen("/tmp/req", "w");
	char *pem;
	size_t i;

	assert_non_null(file);
	fprintf(file, "[req]\ndistinguished_name=d\n[d]\n[e]\nsubjectAltName=@n\n[n]\n");
	for (i = 0; i < count; i++)
		fprintf(file, "DNS.%zu=%s\n", i, names[i]);
	fclose(file);
	pem = fixture_run(NULL, "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
				"-nodes -keyout /tmp/key -subj /CN=x -days 90 -extensions e "
				"-config /tmp/req 2>/dev/null");
	assert_int_equal(key_read(ret_key, AT_FDCWD, "/tmp/key"), 0);
	return pem;
}

static void store_certificate(const struct paths *paths, const struct certificate_spec *spec,
			      const char *const *names, size_t count)
{
	json_t *origin = json_pack("{s:s, s:o}", "server", ISSUED_SERVER, "wanted",
				   store_wanted_to_json(spec));
	struct failure failure = {0};
	struct store_writer *writer;
	struct chain chain;
	struct key *key;
	char *pem;

	pem = make_certificate(names, count, &key);
	assert_int_equal(chain_read(&chain, pem, strlen(pem)), 0);
	if (store_writer_open(&writer, paths, spec->name, key, &failure) ||
	    store_writer_commit(writer, &chain, origin, &failure))
		fail_msg("%s", failure.cause);
	store_writer_free(writer);
	key_free(key);
	json_decref(origin);
	free(pem);
}

int64_t issued_new(struct state *state, const struct paths *paths,
		   const struct certificate_spec *wanted, const char *const *names, size_t count)
{
	struct state_order order = {.ca = ISSUED_SERVER, .server = ISSUED_SERVER};
	struct certificate_spec spec = *wanted;
	struct state_certificate certificate;
	struct stored stored;

	spec.identifiers = (struct string_list){.items = (char **)names, .count = count};
	spec.cas = STRING_LIST(ISSUED_SERVER);
	spec.source = "cli";
	order.identifiers = spec.identifiers;
	store_certificate(paths, &spec, names, count);
	assert_int_equal(state_set_spec(state, &spec, &order.lineage), 0);
	assert_int_equal(state_order_begin(state, &order), 0);
	assert_int_equal(store_read(&stored, paths, spec.name), 0);
	certificate_facts_fill(&certificate, &stored, NULL);
	assert_int_equal(state_order_succeeded(state, order.lineage, &certificate, clock_now_s()),
			 0);
	stored_done(&stored);
	return order.lineage;
}
