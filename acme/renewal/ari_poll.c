// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/ari_poll.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "acme/protocol/ari.h"
#include "acme/protocol/client.h"
#include "acme/renewal/ca_pool.h"
#include "acme/protocol/directory.h"
#include "acme/util/failure.h"
#include "acme/net/loop.h"
#include "acme/util/output.h"
#include "acme/renewal/renewal_time.h"
#include "acme/store/state.h"
#include "common/clock.h"
#include "common/random.h"

#define QUERIES_MAX 50

/* An answer that cannot be written down is worth nothing: nobody is asked for this long. */
#define REST_NS (UINT64_C(60) * CLOCK_NS_PER_S)

/* A CA that has not answered is not asked for this long. */
#define SILENCE_NS (UINT64_C(600) * CLOCK_NS_PER_S)

struct query {
	TAILQ_ENTRY(query) link;
	struct ca_entry *ca_entry;
	int64_t lineage;
	char *certificate_id;
	struct ari_request *request; /* NULL: the directory is awaited */
};

TAILQ_HEAD(queries, query);

/* One CA, of which only the directory is needed: renewal information is public. */
struct ca_entry {
	TAILQ_ENTRY(ca_entry) link;
	struct ari_poll *poll;
	char *server;
	struct ca_lease lease;
	struct ca *ca; /* NULL: its directory is not known */
	uint64_t silent_until_ns; /* of clock_monotonic_ns(): not asked before */
	struct queries queries;
};

struct ari_poll {
	struct ca_pool *ca_pool;
	struct loop *loop;
	struct state *state;
	void (*idle)(void *context);
	void *context;
	TAILQ_HEAD(ca_entries, ca_entry) ca_entries;
	size_t count; /* queries under way */
	uint64_t rests_until_ns; /* of clock_monotonic_ns() */
	bool is_late; /* `idle` was called while some are still under way */
	struct timer timer;
	struct timer patience;
};

/* --- answers ---------------------------------------------------------------------------------- */

static void on_poll_timer(void *context)
{
	struct ari_poll *poll = context;

	if (ari_poll_start(poll))
		return;
	loop_timer_stop(poll->loop, &poll->patience);
	poll->is_late = false;
	poll->idle(poll->context);
}

static void on_patience_over(void *context)
{
	struct ari_poll *poll = context;

	poll->is_late = true;
	poll->idle(poll->context);
}

static void query_end(struct query *query)
{
	struct ari_poll *poll = query->ca_entry->poll;

	TAILQ_REMOVE(&query->ca_entry->queries, query, link);
	free(query->certificate_id);
	free(query);
	/* There may be more than were asked at once. */
	if (!--poll->count)
		loop_timer_start(poll->loop, &poll->timer, 0, on_poll_timer, poll);
}

/* What the CA says becomes the moment of renewal. */
static int note_answer(struct state *state, const struct state_lineage *lineage,
		       const struct ari_answer *answer)
{
	const struct renewal_facts facts = {
		.now_s = clock_now_s(),
		.not_before_s = lineage->not_before_s,
		.not_after_s = lineage->not_after_s,
		.has_window = answer->has_window,
		.window_start_s = answer->start_s,
		.window_end_s = answer->end_s,
		.before_s = renewal_time_before(lineage->spec.settings.renew_before),
	};
	const int64_t check_at_s = renewal_time_check(&facts, answer->retry_after_s, random_unit());
	struct state_window window = {
		.start_s = answer->start_s,
		.end_s = answer->end_s,
		.explanation_url = answer->explanation_url,
		.check_at_s = check_at_s,
		.renew_at_s = lineage->renew_at_s,
		.priority = renewal_time_is_early(&facts) ? STATE_EARLY : STATE_NORMAL,
	};

	if (!answer->has_window)
		return state_set_check(state, lineage->id, lineage->ari_id, check_at_s);
	/* RFC 9773 section 4.2: the moment is chosen once for each window. */
	if (lineage->window_start_s != window.start_s || lineage->window_end_s != window.end_s)
		window.renew_at_s = renewal_time_next(&facts, random_unit());
	if (window.priority != STATE_NORMAL)
		output_warning("%s: the CA wants it renewed now%s%s", lineage->spec.name,
			       window.explanation_url ? ": see " : "",
			       window.explanation_url ? window.explanation_url : "");
	return state_set_window(state, lineage->id, lineage->ari_id, &window);
}

/* The state cannot be read or written: say so once a rest. */
static void ari_poll_rest(struct ari_poll *poll, int err)
{
	const uint64_t now_ns = clock_monotonic_ns();

	if (now_ns >= poll->rests_until_ns)
		output_warning("renewal windows cannot be written down: %s", strerror(-err));
	poll->rests_until_ns = now_ns + REST_NS;
}

static void take_answer(const struct query *query, const struct ari_answer *answer)
{
	struct state *state = query->ca_entry->poll->state;
	struct state_lineage lineage;
	int err = state_lineage_read(state, query->lineage, &lineage);

	if (!err) {
		/* The answer is about a certificate that may have been replaced meanwhile. */
		if (lineage.ari_id && strcmp(lineage.ari_id, query->certificate_id) == 0)
			err = note_answer(state, &lineage, answer);
		state_lineage_done(&lineage);
	}
	/* It was deleted meanwhile. */
	if (err && err != -ENOENT)
		ari_poll_rest(query->ca_entry->poll, err);
}

static void on_query_answer(void *context, const struct ari_answer *answer)
{
	struct query *query = context;

	query->request = NULL;
	if (answer->is_silent)
		query->ca_entry->silent_until_ns = clock_monotonic_ns() + SILENCE_NS;
	take_answer(query, answer);
	query_end(query);
}

/* --- queries -------------------------------------------------------------------------------- */

/* The CA has no renewal information: its certificates need not be asked about again. */
static void query_give_up(struct query *query)
{
	struct ari_poll *poll = query->ca_entry->poll;
	int err = state_set_check(poll->state, query->lineage, query->certificate_id, 0);

	if (err && err != -ENOENT)
		ari_poll_rest(poll, err);
	query_end(query);
}

static void query_send(struct query *query)
{
	struct ca *ca = query->ca_entry->ca;
	const char *url = ca_directory(ca)->renewal_info;

	if (!url) {
		query_give_up(query);
		return;
	}
	query->request = ari_ask(ca, url, query->certificate_id, on_query_answer, query);
	if (!query->request)
		on_query_answer(query, &(struct ari_answer){.has_window = false});
}

static void fail_queries(struct ca_entry *ca_entry)
{
	struct query *query, *next;

	for (query = TAILQ_FIRST(&ca_entry->queries); query; query = next) {
		next = TAILQ_NEXT(query, link);
		if (!query->request)
			on_query_answer(query, &(struct ari_answer){.has_window = false});
	}
}

static void send_queries(struct ca_entry *ca_entry)
{
	struct query *query, *next;

	for (query = TAILQ_FIRST(&ca_entry->queries); query; query = next) {
		next = TAILQ_NEXT(query, link);
		if (!query->request)
			query_send(query);
	}
}

static void on_ca_connected(void *context, struct ca *ca, const struct failure *failure)
{
	struct ca_entry *ca_entry = context;

	(void)failure;
	ca_entry->ca = ca;
	if (!ca)
		ca_entry->silent_until_ns = clock_monotonic_ns() + SILENCE_NS;
	if (ca)
		send_queries(ca_entry);
	else
		fail_queries(ca_entry);
}

static struct ca_entry *find_ca(struct ari_poll *poll, const char *server)
{
	struct ca_entry *ca_entry = TAILQ_FIRST(&poll->ca_entries);

	while (ca_entry && strcmp(ca_entry->server, server) != 0)
		ca_entry = TAILQ_NEXT(ca_entry, link);
	if (ca_entry)
		return ca_entry;
	ca_entry = calloc(1, sizeof(*ca_entry));
	if (ca_entry)
		ca_entry->server = strdup(server);
	if (!ca_entry || !ca_entry->server) {
		free(ca_entry);
		return NULL;
	}
	ca_entry->poll = poll;
	ca_entry->lease.ready = on_ca_connected;
	ca_entry->lease.context = ca_entry;
	TAILQ_INIT(&ca_entry->queries);
	TAILQ_INSERT_TAIL(&poll->ca_entries, ca_entry, link);
	return ca_entry;
}

static int query_add(void *context, const struct state_due *due)
{
	struct ari_poll *poll = context;
	struct query *query = calloc(1, sizeof(*query));

	if (!query)
		return -ENOMEM;
	query->lineage = due->id;
	query->certificate_id = due->ari_id ? strdup(due->ari_id) : NULL;
	query->ca_entry = due->server ? find_ca(poll, due->server) : NULL;
	if (!query->certificate_id || !query->ca_entry) {
		free(query->certificate_id);
		free(query);
		return due->ari_id && due->server ? -ENOMEM : 0;
	}
	TAILQ_INSERT_TAIL(&query->ca_entry->queries, query, link);
	poll->count++;
	return 0;
}

/* A CA that could not be reached is leased again. */
static void start_queries(struct ca_entry *ca_entry)
{
	struct failure failure = {0};

	if (TAILQ_EMPTY(&ca_entry->queries) || ca_entry->lease.is_waiting)
		return;
	if (ca_entry->silent_until_ns > clock_monotonic_ns()) {
		fail_queries(ca_entry);
		return;
	}
	if (ca_entry->ca) {
		send_queries(ca_entry);
		return;
	}
	ca_lease_end(&ca_entry->lease);
	if (ca_pool_lease_directory(ca_entry->poll->ca_pool, ca_entry->server, &ca_entry->lease,
				    &failure))
		fail_queries(ca_entry);
	failure_done(&failure);
}

bool ari_poll_start(struct ari_poll *poll)
{
	struct ca_entry *ca_entry;
	int err;

	if (poll->count)
		return true;
	if (poll->rests_until_ns > clock_monotonic_ns())
		return false;
	err = state_due_checks(poll->state, clock_now_s(), QUERIES_MAX, query_add, poll);
	if (err)
		ari_poll_rest(poll, err < 0 ? err : -EIO);
	ca_entry = TAILQ_FIRST(&poll->ca_entries);
	for (; ca_entry; ca_entry = TAILQ_NEXT(ca_entry, link))
		start_queries(ca_entry);
	if (!poll->count && !poll->timer.running)
		return false;
	if (!poll->is_late && !poll->patience.running)
		loop_timer_start(poll->loop, &poll->patience, ARI_POLL_PATIENCE_MS,
				 on_patience_over, poll);
	return true;
}

/* --- as a whole ------------------------------------------------------------------------------- */

int ari_poll_new(struct ari_poll **ret_poll, struct ca_pool *ca_pool, struct loop *loop,
		 struct state *state, void (*idle)(void *context), void *context)
{
	struct ari_poll *poll = calloc(1, sizeof(*poll));

	if (!poll)
		return -ENOMEM;
	poll->ca_pool = ca_pool;
	poll->loop = loop;
	poll->state = state;
	poll->idle = idle;
	poll->context = context;
	TAILQ_INIT(&poll->ca_entries);
	*ret_poll = poll;
	return 0;
}

static void ca_entry_free(struct ca_entry *ca_entry)
{
	struct query *query;

	while ((query = TAILQ_FIRST(&ca_entry->queries))) {
		TAILQ_REMOVE(&ca_entry->queries, query, link);
		ari_cancel(query->request);
		free(query->certificate_id);
		free(query);
	}
	ca_lease_end(&ca_entry->lease);
	free(ca_entry->server);
	free(ca_entry);
}

/* Drop all questions. */
static void ari_poll_clear(struct ari_poll *poll)
{
	struct ca_entry *ca_entry;

	loop_timer_stop(poll->loop, &poll->timer);
	loop_timer_stop(poll->loop, &poll->patience);
	poll->is_late = false;
	poll->count = 0;
	while ((ca_entry = TAILQ_FIRST(&poll->ca_entries))) {
		TAILQ_REMOVE(&poll->ca_entries, ca_entry, link);
		ca_entry_free(ca_entry);
	}
}

void ari_poll_settings_changed(struct ari_poll *poll)
{
	ari_poll_clear(poll);
}

void ari_poll_free(struct ari_poll *poll)
{
	if (!poll)
		return;
	ari_poll_clear(poll);
	free(poll);
}
