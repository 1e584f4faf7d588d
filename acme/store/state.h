/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the agent remembers: <state>/state.db, an SQLite database.  Keys, accounts
 * and certificates are PEM files and not in here; if the database is lost, it is
 * rebuilt from live/ (renewal/rebuild.h).  Only state*.c call SQLite.
 *
 * A row is a *lineage*: a certificate's name on disk, its specification, the certificate that
 * exists, and when the next action is due.  Queries for due rows use an index: their cost depends
 * on how much is due, not on how much is stored.
 *
 * Opened by every verb that changes something; several processes (certonly beside
 * run) are normal.  Not for several threads.  All times are Unix time in seconds, the
 * wall clock's.
 *
 * Every function returns 0 or -errno: -ENOSPC (disk or quota full), -EBUSY (another
 * process kept the database for longer than STATE_BUSY_MS), -EIO, -EROFS, -EBADMSG
 * (damaged), -ENOMEM; state_explain() puts that into words.  After an error nothing of
 * the call, or of the batch that it was in, is kept.  A function that writes outside of
 * a batch has its rows on the disk when it returns: that costs one sync, some
 * milliseconds on a real disk.
 *
 * The life of an order, for the engine:
 *
 *	state_due_orders()      which lineages to order for, at the CAs that may be asked
 *	state_order_begin()     on the disk before newOrder is sent; the lineage is no longer due
 *	state_order_created()   the CA has told the order's URL; on the disk before all that follows
 *	state_order_succeeded() with the certificate's data: the order is gone and the next
 *	                        renewal set, in one transaction
 *	state_order_failed()    the order is gone and the next attempt set
 *	state_orders()          what was in flight when the last process died
 */
#ifndef ACME_STORE_STATE_H
#define ACME_STORE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acme/util/certificate_spec.h"
#include "acme/util/string_list.h"

struct failure;
struct paths;
struct state;

#define STATE_FILE     "state.db"
#define STATE_BUSY_MS  10000
#define STATE_ATTEMPTS 20 /* that are remembered of a lineage */

/* --- opening, batches ------------------------------------------------------------------------ */

/*
 * Open the database below paths->state; make it when it is not there (renewal/rebuild.h
 * fills it).  0, or -1 with `failure` filled in: not writable, damaged, of a newer version.
 */
int state_open(struct state **ret_state, const struct paths *paths, struct failure *failure);

/* What was not committed is rolled back. */
void state_free(struct state *state);

/* Say why a call failed (`err` is what it returned) and what to do about it. */
void state_explain(const struct state *state, int err, struct failure *failure);

/* Whether a call has found that the database is damaged (-EBADMSG). */
bool state_is_damaged(const struct state *state);

/*
 * Several writes that are kept together or not at all, with one sync.  Batches do not
 * nest.  state_commit() fails, and nothing is kept, when any write within failed.
 */
int state_begin(struct state *state);
int state_commit(struct state *state);
void state_rollback(struct state *state);

/*
 * A number that differs whenever this process, or another one, has changed the state since it was
 * asked for last.  Cheap: it reads no page.  0 or -errno.
 */
int state_version(struct state *state, int64_t *ret_version);

/* --- lineages -------------------------------------------------------------------------------- */

/* How soon one due lineage is taken before another.  The database has the numbers. */
enum state_priority {
	STATE_NORMAL,
	STATE_EARLY, /* the CA wants it replaced: its ARI window is in the past */
	STATE_ENDANGERED, /* a sixth of its life is left, or less (state_correct()) */
	STATE_URGENT, /* revoked, or about to be */
};

/* What a lineage does now: one of these, since a moment, for a reason.  The database has the numbers. */
enum state_status {
	STATE_WAITING, /* for renew_at_s; at first it is 0: at once */
	STATE_RETRYING, /* after a failure, for next_attempt_s */
	STATE_HELD, /* for next_attempt_s, for no fault of its own: a limit, a CA that asks to wait */
	STATE_ORDERING, /* an order is in flight */
	STATE_PAUSED, /* until an operator acts */
	STATE_RETIRED, /* no longer in the configuration: kept, not renewed */
};

/* "waiting", "retrying", and so on. */
const char *state_status_name(enum state_status status);

struct state_lineage {
	int64_t id; /* never used again for another */
	struct certificate_spec spec;

	/* The certificate that there is; all zero or NULL when there is none. */
	const char *server; /* directory URL of the CA that issued it; NULL: unknown */
	const char *ari_id; /* RFC 9773 section 4.1; NULL: unknown */
	int64_t not_before_s;
	int64_t not_after_s;

	/* What the CA suggests (ARI); zero: it has not been asked. */
	int64_t window_start_s;
	int64_t window_end_s;
	const char *explanation_url;
	int64_t check_at_s; /* when to ask it again; 0: never */

	/* What is next. */
	const char *ca; /* of spec.cas, to be asked next */
	int64_t renew_at_s; /* 0: at once */
	int64_t next_attempt_s; /* not before this, after failures; 0: none */
	int64_t issue_at_s; /* the later of both, and of the end of the pause after an issuance; at
			       least 1; 0: never: it is ordering, paused or retired */
	unsigned int failures; /* in a row */
	const char *last_failure; /* in words; NULL: none since the last certificate */
	const char *last_problem; /* its ACME error type; NULL: none */
	enum state_priority priority;
	enum state_status status;
	const char
		*status_reason; /* in words; NULL: the status says it all.  A retired one that has a
				      reason was paused for it, and will be again */
	int64_t status_since_s;
	int64_t revision; /* grows with each change of the row: state_expect() */
	int64_t issued_at_s; /* the last issuance for these names; 0: none, or it holds nothing off */

	/* What servers use: state_deploy.h. */
	int64_t generation; /* in use on the disk; 0: unknown, or there is none */
	int64_t deployed_generation; /* whose hooks have run */
	int64_t refused_generation; /* that a server did not accept; 0: none */
	unsigned int deploy_failures; /* in a row */
	int64_t refused_next_s; /* try the refused one again, which is later than that in use; 0: never */
	int64_t deploy_next_s; /* run the hooks not before; 0: at once */
	const char *deploy_failure; /* in words; NULL: none */

	void *storage; /* what the texts are kept in; state_lineage_done() frees it */
};

/*
 * Insert the lineage, or change its specification; the same specification writes nothing.  Other
 * identifiers make it due at once.  Other identifiers or other CAs reset its failures and end a
 * pause.  A retired lineage becomes active again.  What the configuration (source "config") has is
 * changed by the configuration only: for another source the row stays as it is.  *ret_id may be
 * NULL.
 */
int state_set_spec(struct state *state, const struct certificate_spec *spec, int64_t *ret_id);

/* -ENOENT: there is none. */
int state_lineage_read(struct state *state, int64_t id, struct state_lineage *ret_lineage);
int state_lineage_find(struct state *state, const char *name, struct state_lineage *ret_lineage);

/* The first whose id is higher than `after`: to go through all of them, in steps. */
int state_lineage_next(struct state *state, int64_t after, struct state_lineage *ret_lineage);
void state_lineage_done(struct state_lineage *lineage);

/*
 * Whether the row is still as it was read, within a batch: so that what follows from it may be
 * written.  -EAGAIN: it has changed, or is gone: roll back, read it again and decide again.
 */
int state_expect(struct state *state, const struct state_lineage *lineage);

/* With its attempts and its order.  -ENOENT. */
int state_lineage_delete(struct state *state, int64_t id);

int state_lineage_count(struct state *state, int64_t *ret_count);

/* A certificate that is there; `certificate` texts may be NULL. */
struct state_certificate {
	const char *server;
	const char *ari_id;
	int64_t not_before_s;
	int64_t not_after_s;
	int64_t renew_at_s; /* of renewal_time_next() */
	int64_t check_at_s; /* when to ask for the ARI window first; 0: never */
	int64_t generation; /* on the disk; 0: unknown */
};

/* Note a certificate that no order of state.h brought: found on disk, imported.  Servers are taken to
 * use it: its hooks are not due (state_deploy.h). */
int state_set_certificate(struct state *state, int64_t id,
			  const struct state_certificate *certificate);

/* Due at this moment at the earliest, for another reason than a failure: 0 is at once. */
int state_set_renewal(struct state *state, int64_t id, int64_t renew_at_s,
		      enum state_priority priority);

/*
 * Not before this moment, for this reason (in words; may be NULL), and perhaps at another of its CAs
 * (NULL: the same); no failure is counted.  What is ordering, paused or retired stays so.
 */
int state_postpone(struct state *state, int64_t id, int64_t until_s, const char *ca,
		   const char *reason);

/*
 * Pause the lineage until an operator acts as `reason` says; NULL: continue.  The next order of it
 * that begins, because somebody asks for it, also ends the pause.
 */
int state_pause(struct state *state, int64_t id, const char *reason);

/* The CA's answer to an ARI query. */
struct state_window {
	int64_t start_s;
	int64_t end_s;
	const char *explanation_url; /* NULL: none */
	int64_t check_at_s;
	int64_t renew_at_s;
	enum state_priority priority;
};

/* For the certificate that was asked about: -ENOENT: the lineage has another by now. */
int state_set_window(struct state *state, int64_t id, const char *ari_id,
		     const struct state_window *window);

/* The CA gave no answer: ask again at this moment; 0: never.  -ENOENT: likewise. */
int state_set_check(struct state *state, int64_t id, const char *ari_id, int64_t check_at_s);

/*
 * Make due now what the filter chooses, most urgent first: after a mass revocation.  One
 * statement, whatever their number.  All that is zero or NULL chooses everything.  Neither a
 * failure nor an issuance of a moment ago holds it back.
 */
struct state_filter {
	const char *ca; /* that would be asked next */
	const char *server; /* that issued it */
	int64_t issued_after_s;
	int64_t issued_before_s;
	int64_t window_before_s; /* its ARI window ended before this */
};

int state_mark_due(struct state *state, const struct state_filter *filter,
		   enum state_priority priority, int64_t *ret_count);

/*
 * To be called at each look, before anything is asked for that is due.  Moments that lie further
 * ahead than their kind allows (moment.h) were written by a clock that was wrong: they are brought
 * near.  What has a sixth of its life left becomes STATE_ENDANGERED.  Two seeks when there is
 * nothing to change.
 */
int state_correct(struct state *state, int64_t now_s);

/* --- what is due ------------------------------------------------------------------------------ */

/*
 * Lists go through a callback.  Texts live until it returns; it must not call state.h.  It
 * returns 0 to go on, anything else to end, which the list then returns.
 */
struct state_due {
	int64_t id;
	const char *tenant; /* never NULL */
	const char *ari_id; /* of state_due_checks(): or NULL */
	const char *server; /* of state_due_checks() */
	enum state_priority priority;
	int64_t due_at_s;
	int64_t not_after_s; /* 0: there is no certificate */
};

/*
 * At most `max` lineages whose next order would go to `ca` and is due: the highest
 * priority first, then new names, then what has the smallest share of its life left.  When more
 * than `max` are due, each tenant gets the same share of `max`.  Lineages with an order in flight
 * are not among them; those that the engine has taken and not begun are.
 */
int state_due_orders(struct state *state, const char *ca, int64_t now_s, size_t max,
		     int (*each)(void *context, const struct state_due *due), void *context);

/*
 * Of the same those whose certificate is of this CA, which suggests to replace it now (ARI).
 */
int state_due_replacements(struct state *state, const char *ca, int64_t now_s, size_t max,
			   int (*each)(void *context, const struct state_due *due), void *context);

/* Of the same those that have another CA, too; what expires first comes first. */
int state_due_with_other_cas(struct state *state, const char *ca, int64_t now_s, size_t max,
			     int (*each)(void *context, const struct state_due *due),
			     void *context);

/* At most `max` lineages whose ARI window is to be asked for, the longest due first. */
int state_due_checks(struct state *state, int64_t now_s, size_t max,
		     int (*each)(void *context, const struct state_due *due), void *context);

/* When the next order at `ca`, or the next check, will be due, perhaps in the past; 0: never. */
int state_next_order(struct state *state, const char *ca, int64_t *ret_at_s);
int state_next_check(struct state *state, int64_t *ret_at_s);

/* Every CA that a lineage would be ordered from next. */
int state_cas(struct state *state, int (*each)(void *context, const char *ca), void *context);

/*
 * At most `max` lineages for `plan`: first those that are never due by themselves (ordering, paused,
 * retired), then the others in the order in which they are due, up to `until_s`.
 */
int state_plan(struct state *state, int64_t until_s, size_t max,
	       int (*each)(void *context, const struct state_lineage *lineage), void *context);

/* Every lineage, by name. */
int state_lineages(struct state *state,
		   int (*each)(void *context, const struct state_lineage *lineage), void *context);

/*
 * A certificate that begins after this moment: *ret_name is its lineage and *ret_server its CA (NULL:
 * unknown), as new strings.  -ENOENT: there is none.  Mostly one small look; else all are read.
 */
int state_begins_after(struct state *state, int64_t moment_s, char **ret_name, char **ret_server);

/* --- orders in flight ------------------------------------------------------------------------- */

struct state_order {
	int64_t lineage;
	const char *name; /* the lineage's */
	const char *ca; /* as in certificate_spec.cas */
	const char *server; /* directory URL */
	const char *account; /* as in certificate_spec; NULL: the default */
	struct string_list identifiers; /* as ordered: the spec may have changed since */
	const char *url; /* NULL: the CA had not told it when the process died, if it ever heard */
	int64_t made_at_s;
	int64_t next_attempt_s; /* the lineage's; of state_orders() */
};

/*
 * To be called before newOrder is sent.  -EEXIST: there is one of this lineage already.  `name`
 * and `url` are not looked at.  Take from the rate limits in the same batch.
 */
int state_order_begin(struct state *state, const struct state_order *order);

/* As soon as the CA has told the URL.  -ENOENT: there is no order of this lineage. */
int state_order_created(struct state *state, int64_t lineage, const char *url);

/*
 * Record the new certificate, reset failures and window, and delete the order.  The next is not
 * ordered for a twentieth of the certificate's life (at least an hour), whatever the other moments
 * say; but at once when other identifiers are wanted by now than were ordered.  A lineage that was
 * paused or retired meanwhile stays so.  Its hooks are due (state_deploy.h).
 */
int state_order_succeeded(struct state *state, int64_t lineage,
			  const struct state_certificate *certificate, int64_t now_s);

/* How an attempt failed.  Texts may be NULL. */
struct state_failure {
	const char *text; /* in words */
	const char *problem; /* ACME error type */
	int64_t next_attempt_s; /* of renewal_time_retry() */
	const char *next_ca; /* to be asked then, if the lineage still has it; NULL: the same */
};

/*
 * Also for a lineage of which no order was begun: a preflight failed.  When other identifiers are
 * wanted by now than were ordered, the failure says nothing of these: it is only remembered, and
 * they are due at once.  A lineage that was paused or retired meanwhile stays so.
 */
int state_order_failed(struct state *state, int64_t lineage, const struct state_failure *failure,
		       int64_t now_s);

/* Delete a void order and nothing else: the lineage stays as due as it was. */
int state_order_drop(struct state *state, int64_t lineage);

/* Every order in flight of a lineage that is STATE_ORDERING, the oldest first.  Those of other living
 * processes are among them: their lineages are locked (store_writer.h). */
int state_orders(struct state *state, int (*each)(void *context, const struct state_order *order),
		 void *context);

/*
 * When the next of these orders is to be looked at that may have lost its process: when its time has
 * come that it was put off to, else when it is so many seconds old.  0: there is none.
 */
int state_next_in_flight(struct state *state, int64_t age_s, int64_t *ret_at_s);

/* An attempt that was ended, of state_order_succeeded() and state_order_failed(). */
struct state_attempt {
	int64_t at_s;
	const char *ca; /* NULL: no order was begun */
	const char *url; /* the order's; NULL: none */
	const char *failure; /* NULL: it succeeded */
	const char *problem;
};

/* The last STATE_ATTEMPTS of a lineage, the newest first. */
int state_attempts(struct state *state, int64_t lineage,
		   int (*each)(void *context, const struct state_attempt *attempt), void *context);

/* --- limits of CAs ---------------------------------------------------------------------------- */

/*
 * A bucket of token_bucket.h: the moment, in microseconds of Unix time, at which it is full again.  0:
 * it is full, as it is when there is no row.
 */
int state_bucket_read(struct state *state, const char *server, const char *account,
		      const char *limit, const char *scope, int64_t *ret_full_at_us);
int state_bucket_write(struct state *state, const char *server, const char *account,
		       const char *limit, const char *scope, int64_t full_at_us);
/* Remove those that are full.  Cheap: once in a while. */
int state_buckets_prune(struct state *state, int64_t now_us);

/* The CA told this account to wait (Retry-After); `account` "" is all of them.  0: it need not wait.  A
 * pause that is longer than MOMENT_HOLD_MAX_S was written by a wrong clock, and is none (moment.h). */
int state_hold_read(struct state *state, const char *server, const char *account,
		    int64_t *ret_until_s);
int state_hold_write(struct state *state, const char *server, const char *account, int64_t until_s);

/* --- configuration files ---------------------------------------------------------------------- */

/* The fingerprint under which a file was last read; *ret_fingerprint is "" when it never was, and the
 * caller's to free. */
int state_fingerprint_read(struct state *state, const char *path, char **ret_fingerprint);
int state_fingerprint_write(struct state *state, const char *path, const char *fingerprint);

#endif
