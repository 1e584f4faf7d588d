// SPDX-License-Identifier: GPL-3.0-or-later
/* `sidestep run`: the daemon.  It renews each certificate when it is due, until it is stopped. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/config/config.h"
#include "acme/renewal/engine.h"
#include "acme/util/failure.h"
#include "acme/util/file.h"
#include "acme/net/loop.h"
#include "acme/util/output.h"
#include "acme/renewal/agent.h"
#include "acme/store/state.h"
#include "acme/store/state_deploy.h"
#include "acme/cmd/verbs.h"
#include "acme/renewal/reconcile.h"
#include "acme/renewal/ari_poll.h"
#include "common/clock.h"
#include "common/notify.h"

#define LOCK_FILE "run.lock" /* below the state directory */
/* The longest pause between two looks: other processes may have made something due. */
#define LOOK_MAX_S 60
/* The pause after a look that could not take all that is due. */
#define AGAIN_S 5
/* The longest rest while the state does not change. */
#define REST_MAX_S  3600
#define MS_PER_S    1000
#define US_PER_MS   1000
#define LOCK_MODE   0600
#define WATCHDOG_MS 10000
/* After a failure of this host or the state kept a configuration out. */
#define CONFIG_AGAIN_S 60
#define STEP_MS        20 /* of reading the configuration, before the loop goes on */

/* The shortest pause between two reloads of a server. */
#define RELOAD_PAUSE_MS 10000

/* Nothing is due before `until_s`, unless the state changes. */
struct rest {
	int64_t version; /* of the state */
	int64_t from_s, until_s; /* Unix time; both 0: there is no rest */
};

struct daemon {
	const struct arguments *arguments;
	const struct settings *first; /* that main.c loaded, and frees */
	struct agent agent;
	struct timer look, watchdog, step;
	struct rest rest;
	struct reconcile *reconcile; /* under way; else NULL */
	const struct settings *next; /* that are being brought into the state */
	bool is_ready;
	uint64_t watchdog_ms; /* 0: the service manager wants no watchdog messages */
	struct failure failure;
};

static void look_for_due(void *context);

/* --- when to look for due certificates -------------------------------------------------------- */

/* The sooner of two moments; 0: there is none. */
static int64_t sooner_of(int64_t a_s, int64_t b_s)
{
	return !a_s || (b_s && b_s < a_s) ? b_s : a_s;
}

/* When something is due, perhaps in the past; 0: that is not known. */
static int64_t next_moment_s(struct agent *agent)
{
	int64_t order_s = engine_next_order_s(agent->engine), check_s = 0, deploy_s = 0;

	if (!order_s || state_next_check(agent->state, &check_s) ||
	    state_next_deploy(agent->state, &deploy_s))
		return 0;
	/* Hooks that are due and not run by now wait for something else: a look each second is no use. */
	if (deploy_s && deploy_s <= clock_now_s())
		deploy_s = clock_now_s() + LOOK_MAX_S;
	return sooner_of(sooner_of(order_s, check_s), deploy_s);
}

/* Rest when nothing is under way and the next moment is known. */
static void set_rest(struct daemon *daemon, int64_t next_s)
{
	struct agent *agent = &daemon->agent;
	int64_t now_s = clock_now_s();

	daemon->rest = (struct rest){0};
	if (!next_s || engine_count(agent->engine) ||
	    state_version(agent->state, &daemon->rest.version))
		return;
	daemon->rest.from_s = now_s;
	daemon->rest.until_s = next_s < now_s + REST_MAX_S ? next_s : now_s + REST_MAX_S;
}

/* Another look would find what the last one found. */
static bool is_at_rest(const struct daemon *daemon)
{
	int64_t now_s = clock_now_s(), version;

	return now_s >= daemon->rest.from_s && now_s < daemon->rest.until_s &&
	       !state_version(daemon->agent.state, &version) && version == daemon->rest.version;
}

static void on_look_timer(void *context);

/* Look again at that moment, in LOOK_MAX_S at the latest. */
static void look_at(struct daemon *daemon, int64_t moment_s)
{
	int64_t pause_s = moment_s - clock_now_s();

	if (!moment_s || pause_s > LOOK_MAX_S)
		pause_s = LOOK_MAX_S;
	else if (pause_s <= 0)
		pause_s = AGAIN_S;
	loop_timer_start(daemon->agent.net.loop, &daemon->look, (uint64_t)pause_s * MS_PER_S,
			 on_look_timer, daemon);
}

static void look_later(struct daemon *daemon)
{
	int64_t next_s = next_moment_s(&daemon->agent);

	set_rest(daemon, next_s);
	look_at(daemon, next_s);
}

static void on_look_timer(void *context)
{
	struct daemon *daemon = context;

	agent_compare(&daemon->agent, false);
	if (is_at_rest(daemon))
		look_at(daemon, daemon->rest.until_s);
	else
		look_for_due(daemon);
}

/* A failure here concerns the host: a full disk, a wrong clock.  The next look may succeed. */
static void look_for_due(void *context)
{
	struct failure failure = {0};
	struct daemon *daemon = context;

	ari_poll_start(daemon->agent.ari_poll);
	if (engine_take_due(daemon->agent.engine, &failure))
		output_failure(NULL, &failure);
	failure_done(&failure);
	agent_deploy(&daemon->agent);
	look_later(daemon);
	/* Nothing that it says can be relied on: that must be seen, and not only logged. */
	if (agent_is_damaged(&daemon->agent, &daemon->failure))
		loop_stop(daemon->agent.net.loop);
}

/* State and disk have been compared: something may be due. */
static void on_run_compared(void *context)
{
	look_for_due(context);
}

/* The answers to the ARI polling may have made something due. */
static void on_run_polled(void *context)
{
	look_for_due(context);
}

static void on_run_idle(void *context)
{
	look_later(context);
}

/* --- the service manager ---------------------------------------------------------------------- */

/* Half the interval that the service manager asks for, as sd_watchdog_enabled(3) advises. */
static uint64_t watchdog_pause_ms(void)
{
	const char *text = getenv("WATCHDOG_USEC");
	uint64_t pause_ms = text ? strtoull(text, NULL, 10) / US_PER_MS / 2 : 0;

	return pause_ms && pause_ms < WATCHDOG_MS ? pause_ms : pause_ms ? WATCHDOG_MS : 0;
}

static void tell_manager(const char *state)
{
	int err = notify_send(state);

	if (err)
		output_warning("cannot send '%s' to the service manager: %s", state,
			       strerror(-err));
}

static void on_watchdog(void *context)
{
	struct daemon *daemon = context;

	tell_manager("WATCHDOG=1");
	loop_timer_start(daemon->agent.net.loop, &daemon->watchdog, daemon->watchdog_ms,
			 on_watchdog, daemon);
}

/* --- the configuration ------------------------------------------------------------------------ */

/* Those that main.c loaded are main.c's. */
static void free_settings(const struct daemon *daemon, const struct settings *settings)
{
	if (settings != daemon->first)
		settings_free((struct settings *)settings);
}

static void end_reconcile(struct daemon *daemon)
{
	reconcile_free(daemon->reconcile);
	daemon->reconcile = NULL;
	daemon->next = NULL;
	if (!daemon->is_ready) {
		output_line("ready");
		daemon->is_ready = true;
		agent_compare(&daemon->agent, true);
	}
	tell_manager("READY=1");
	look_for_due(daemon);
}

static void reload_config(void *context);

/* Say what is wrong.  Where this host or the state is to blame, try again: nobody sends a signal. */
static void explain_refusal(struct daemon *daemon, const char *subject, struct failure *failure)
{
	bool passes = failure->owner == FAILURE_OF_HOST || failure->owner == FAILURE_OF_STATE;

	output_failure(subject, failure);
	failure_done(failure);
	if (!passes)
		return;
	output_warning("the configuration is read again in %d s", CONFIG_AGAIN_S);
	loop_timer_start(daemon->agent.net.loop, &daemon->step, CONFIG_AGAIN_S * MS_PER_S,
			 reload_config, daemon);
}

/* What is wrong changes nothing: what the state has is renewed all the same. */
static void refuse_config(struct daemon *daemon, struct failure *failure)
{
	const struct settings *next = daemon->next;

	explain_refusal(daemon, daemon->is_ready ? "the previous configuration stays in use" : NULL,
			failure);
	daemon->agent.failed += !daemon->is_ready;
	end_reconcile(daemon);
	if (next && next != daemon->agent.settings)
		free_settings(daemon, next);
}

static void accept_config(struct daemon *daemon)
{
	const struct settings *before = daemon->agent.settings, *next = daemon->next;
	struct reconcile_report report;

	if (daemon->reconcile) {
		reconcile_report(daemon->reconcile, &report);
		output_line("the configuration has %zu certificates: %zu new or changed, %zu no "
			    "longer in it (%u ms, at most %u ms at once)",
			    report.certificates, report.changed, report.retired, report.took_ms,
			    report.longest_step_ms);
	}
	if (next != before) {
		agent_settings_changed(&daemon->agent, next);
		free_settings(daemon, before);
	}
	if (daemon->is_ready)
		output_line("the new configuration is in use");
	end_reconcile(daemon);
}

/* A little of it, and then whatever else waits in the loop. */
static void on_reconcile(void *context)
{
	struct daemon *daemon = context;
	struct failure failure = {0};
	int result = reconcile_step(daemon->reconcile, STEP_MS, &failure);

	if (result > 0)
		loop_timer_start(daemon->agent.net.loop, &daemon->step, 0, on_reconcile, daemon);
	else if (result)
		refuse_config(daemon, &failure);
	else
		accept_config(daemon);
}

/* Bring the configuration into the state; one that is on its way gives way. */
static void start_reconcile(struct daemon *daemon, const struct settings *settings)
{
	struct failure failure = {0};

	loop_timer_stop(daemon->agent.net.loop, &daemon->step);
	reconcile_free(daemon->reconcile);
	if (daemon->next && daemon->next != daemon->agent.settings)
		free_settings(daemon, daemon->next);
	daemon->next = settings;
	if (reconcile_new(&daemon->reconcile, daemon->agent.state, settings, &failure))
		refuse_config(daemon, &failure);
	else if (daemon->reconcile)
		on_reconcile(daemon);
	else
		accept_config(daemon);
}

/* SIGHUP: load the configuration again.  A configuration with errors changes nothing. */
static void reload_config(void *context)
{
	struct failure failure = {0};
	struct daemon *daemon = context;
	struct settings *settings;

	tell_manager("RELOADING=1");
	if (!settings_load(&settings, daemon->arguments, &failure)) {
		start_reconcile(daemon, settings);
		return;
	}
	explain_refusal(daemon, "the previous configuration stays in use", &failure);
	tell_manager("READY=1");
}

/* --- only one daemon -------------------------------------------------------------------------- */

/* The lock's descriptor, or -1 with `failure` filled in. */
static int lock_state(const struct paths *paths, struct failure *failure)
{
	int directory, fd, err;

	err = file_open_path(paths->state, 0755, &directory);
	if (!err) {
		fd = openat(directory, LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
			    LOCK_MODE);
		err = fd < 0 ? -errno : 0;
		close(directory);
	}
	if (!err && flock(fd, LOCK_EX | LOCK_NB)) {
		err = -errno;
		close(fd);
	}
	if (!err)
		return fd;
	if (err == -EWOULDBLOCK)
		failure_set(failure, "stop it first, or give this instance another --root",
			    "another `sidestep run` uses %s already", paths->state);
	else
		failure_set_errno(failure, -err, "cannot lock %s/" LOCK_FILE, paths->state);
	return -1;
}

static void run_serve(struct daemon *daemon)
{
	int err;

	daemon->watchdog_ms = watchdog_pause_ms();
	if (daemon->watchdog_ms)
		on_watchdog(daemon);
	err = loop_on_hangup(daemon->agent.net.loop, reload_config, daemon);
	if (err)
		output_warning("a reload by SIGHUP will not work: %s", strerror(-err));
	start_reconcile(daemon, daemon->first);
	/* SIGTERM and SIGINT end it; that is no failure. */
	if (net_run(&daemon->agent.net, &daemon->failure))
		failure_done(&daemon->failure);
	tell_manager("STOPPING=1");
	loop_timer_stop(daemon->agent.net.loop, &daemon->step);
	reconcile_free(daemon->reconcile);
	if (daemon->next && daemon->next != daemon->agent.settings)
		free_settings(daemon, daemon->next);
	loop_timer_stop(daemon->agent.net.loop, &daemon->look);
	loop_timer_stop(daemon->agent.net.loop, &daemon->watchdog);
	output_line("stopped: %zu renewed, %zu failed, %zu put off", daemon->agent.renewed,
		    daemon->agent.failed, daemon->agent.postponed);
}

int verb_run(const struct arguments *arguments, const struct settings *settings)
{
	struct daemon daemon = {.arguments = arguments,
				.first = settings,
				.agent = {.settings = settings,
					  .reconciles_later = true,
					  .reload_pause_ms = RELOAD_PAUSE_MS,
					  .idle = on_run_idle,
					  .compared = on_run_compared,
					  .polled = on_run_polled}};
	int status = EXIT_FAILED, fd;

	daemon.agent.context = &daemon;
	/* Write each line at once, not when a buffer is full. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	fd = lock_state(settings->paths, &daemon.failure);
	if (fd >= 0 && !agent_open(&daemon.agent, &daemon.failure)) {
		run_serve(&daemon);
		agent_close(&daemon.agent);
		if (!failure_is_set(&daemon.failure))
			status = EXIT_DONE;
	}
	if (fd >= 0)
		close(fd);
	if (daemon.agent.settings != settings)
		settings_free((struct settings *)daemon.agent.settings);
	if (status != EXIT_DONE)
		output_fatal(&daemon.failure);
	failure_done(&daemon.failure);
	return status;
}
