/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/renewal/ari_poll.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "acme/protocol/ari.h"
#include "acme/protocol/client.h"
#include "acme/config/settings.h"
#include "acme/protocol/directory.h"
#include "acme/util/failure.h"
#include "acme/net/loop.h"
#include "acme/net/net.h"
#include "acme/util/output.h"
#include "acme/renewal/renewal_time.h"
#include "acme/store/state.h"

#define QUESTIONS_MAX 50

struct question {
	TAILQ_ENTRY(question) link;
	struct authority *authority;
	int64_t lineage;
	char *certificate_id;
	struct ari_request *request; /* NULL: the directory is awaited */
};

TAILQ_HEAD(questions, question);

/* One CA, of which only the directory is needed: renewal information is public. */
struct authority {
	TAILQ_ENTRY(authority) link;
	struct windows *windows;
	struct ca *ca;
	bool is_known, is_asked;
	struct questions questions;
};

struct windows {
	const struct arguments *arguments;
	struct net *net;
	struct state *state;
	void (*idle)(void *context);
	void *context;
	TAILQ_HEAD(authorities, authority) authorities;
	size_t count; /* questions under way */
	struct timer timer;
};

/* --- answers ---------------------------------------------------------------------------------- */

static void on_timer(void *context)
{
	struct windows *windows = context;

	if (!windows_ask_due(windows))
		windows->idle(windows->context);
}

static void end(struct question *question)
{
	struct windows *windows = question->authority->windows;

	TAILQ_REMOVE(&question->authority->questions, question, link);
	free(question->certificate_id);
	free(question);
	/* There may be more than were asked at once. */
	if (!--windows->count)
		loop_timer_start(windows->net->loop, &windows->timer, 0, on_timer, windows);
}

/* What the CA says becomes the moment of renewal. */
static int note(struct state *state, const struct state_lineage *lineage,
		const struct ari_answer *answer)
{
	const struct schedule_facts facts = {
		.now_s = time(NULL),
		.not_before_s = lineage->not_before_s,
		.not_after_s = lineage->not_after_s,
		.has_window = answer->has_window,
		.window_start_s = answer->start_s,
		.window_end_s = answer->end_s,
	};
	const int64_t check_at_s = schedule_check(&facts, answer->retry_after_s, schedule_draw());
	struct state_window window = {
		.start_s = answer->start_s,
		.end_s = answer->end_s,
		.explanation_url = answer->explanation_url,
		.check_at_s = check_at_s,
		.renew_at_s = lineage->renew_at_s,
		.priority = schedule_is_early(&facts) ? STATE_EARLY : STATE_NORMAL,
	};

	if (!answer->has_window)
		return state_set_check(state, lineage->id, check_at_s);
	/* RFC 9773 section 4.2: the moment is chosen once for each window. */
	if (lineage->window_start_s != window.start_s || lineage->window_end_s != window.end_s)
		window.renew_at_s = schedule_renewal(&facts, schedule_draw());
	if (window.priority == STATE_EARLY)
		output_warning("%s: the CA wants it renewed now%s%s", lineage->wish.name,
			       window.explanation_url ? ": see " : "",
			       window.explanation_url ? window.explanation_url : "");
	return state_set_window(state, lineage->id, &window);
}

static void tell(struct windows *windows, int64_t id, const struct ari_answer *answer)
{
	struct state_lineage lineage;
	int error = state_lineage_read(windows->state, id, &lineage);

	if (!error) {
		error = note(windows->state, &lineage, answer);
		state_lineage_done(&lineage);
	}
	/* It was deleted meanwhile. */
	if (error && error != -ENOENT)
		output_warning("a renewal window could not be written down: %s", strerror(-error));
}

static void on_answer(void *context, const struct ari_answer *answer)
{
	struct question *question = context;

	question->request = NULL;
	tell(question->authority->windows, question->lineage, answer);
	end(question);
}

/* --- questions -------------------------------------------------------------------------------- */

/* The CA has no renewal information: its certificates need not be asked about again. */
static void give_up(struct question *question)
{
	struct windows *windows = question->authority->windows;
	int error = state_set_check(windows->state, question->lineage, 0);

	if (error && error != -ENOENT)
		output_warning("a renewal window could not be written down: %s", strerror(-error));
	end(question);
}

static void ask(struct question *question)
{
	const struct authority *authority = question->authority;
	const char *url = ca_directory(authority->ca)->renewal_info;

	if (!url) {
		give_up(question);
		return;
	}
	question->request =
		ari_ask(authority->ca, url, question->certificate_id, on_answer, question);
	if (!question->request)
		on_answer(question, &(struct ari_answer){.has_window = false});
}

static void ask_all(struct authority *authority);

static void on_connected(void *context, struct failure *failure)
{
	struct authority *authority = context;
	struct question *question, *next;

	authority->is_asked = false;
	authority->is_known = !failure_is_set(failure);
	if (authority->is_known) {
		ask_all(authority);
		return;
	}
	for (question = TAILQ_FIRST(&authority->questions); question; question = next) {
		next = TAILQ_NEXT(question, link);
		on_answer(question, &(struct ari_answer){.has_window = false});
	}
}

static struct authority *find_authority(struct windows *windows, const char *server)
{
	struct authority *authority = TAILQ_FIRST(&windows->authorities);
	struct choices_ca settings;

	while (authority && strcmp(ca_server(authority->ca), server) != 0)
		authority = TAILQ_NEXT(authority, link);
	if (authority)
		return authority;
	authority = calloc(1, sizeof(*authority));
	choices_of_ca(&settings, windows->arguments, server);
	if (!authority || ca_new(&authority->ca, windows->net->http, server, settings.cacert)) {
		free(authority);
		return NULL;
	}
	authority->windows = windows;
	TAILQ_INIT(&authority->questions);
	TAILQ_INSERT_TAIL(&windows->authorities, authority, link);
	return authority;
}

static int add(void *context, const struct state_due *due)
{
	struct windows *windows = context;
	struct question *question = calloc(1, sizeof(*question));

	if (!question)
		return -ENOMEM;
	question->lineage = due->id;
	question->certificate_id = due->ari_id ? strdup(due->ari_id) : NULL;
	question->authority = due->server ? find_authority(windows, due->server) : NULL;
	if (!question->certificate_id || !question->authority) {
		free(question->certificate_id);
		free(question);
		return due->ari_id && due->server ? -ENOMEM : 0;
	}
	TAILQ_INSERT_TAIL(&question->authority->questions, question, link);
	windows->count++;
	return 0;
}

static void ask_all(struct authority *authority)
{
	struct question *question, *next;

	if (TAILQ_EMPTY(&authority->questions) || authority->is_asked)
		return;
	if (!authority->is_known) {
		authority->is_asked = true;
		ca_connect(authority->ca, on_connected, authority);
		return;
	}
	for (question = TAILQ_FIRST(&authority->questions); question; question = next) {
		next = TAILQ_NEXT(question, link);
		if (!question->request)
			ask(question);
	}
}

bool windows_ask_due(struct windows *windows)
{
	struct authority *authority;
	int error;

	if (windows->count)
		return true;
	error = state_due_checks(windows->state, time(NULL), QUESTIONS_MAX, add, windows);
	if (error)
		output_warning("cannot look for renewal windows to ask about: %s",
			       strerror(error < 0 ? -error : EIO));
	authority = TAILQ_FIRST(&windows->authorities);
	for (; authority; authority = TAILQ_NEXT(authority, link))
		ask_all(authority);
	return windows->count || windows->timer.running;
}

/* --- as a whole ------------------------------------------------------------------------------- */

int windows_new(struct windows **ret_windows, const struct arguments *arguments, struct net *net,
		struct state *state, void (*idle)(void *context), void *context)
{
	struct windows *windows = calloc(1, sizeof(*windows));

	if (!windows)
		return -ENOMEM;
	windows->arguments = arguments;
	windows->net = net;
	windows->state = state;
	windows->idle = idle;
	windows->context = context;
	TAILQ_INIT(&windows->authorities);
	*ret_windows = windows;
	return 0;
}

static void authority_free(struct authority *authority)
{
	struct question *question;

	while ((question = TAILQ_FIRST(&authority->questions))) {
		TAILQ_REMOVE(&authority->questions, question, link);
		ari_cancel(question->request);
		free(question->certificate_id);
		free(question);
	}
	ca_free(authority->ca);
	free(authority);
}

void windows_settings_changed(struct windows *windows)
{
	struct authority *authority;

	loop_timer_stop(windows->net->loop, &windows->timer);
	windows->count = 0;
	while ((authority = TAILQ_FIRST(&windows->authorities))) {
		TAILQ_REMOVE(&windows->authorities, authority, link);
		authority_free(authority);
	}
}

void windows_free(struct windows *windows)
{
	if (!windows)
		return;
	windows_settings_changed(windows);
	free(windows);
}
