/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The simulation's machinery: one world with one clock, simulated processes that run the real verbs
 * of `sidestep`, and a queue of events.  A seed decides everything that happens.  README.md explains
 * the seams.
 *
 * There is one world at a time.  The caller (a scenario) runs outside of all processes: it starts
 * them, lets time pass with sim_run_*(), and answers what they ask in the callbacks of struct
 * sim_world, which run outside of all processes, too.
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acme/challenge/probe.h"
#include "acme/net/caa.h"
#include "acme/net/dns_answer.h"
#include "acme/net/http.h"
#include "common/challenge_cert.h"

#define SIM_MS     UINT64_C(1)
#define SIM_SECOND (1000 * SIM_MS)
#define SIM_MINUTE (60 * SIM_SECOND)
#define SIM_HOUR   (60 * SIM_MINUTE)
#define SIM_DAY    (24 * SIM_HOUR)

struct sim_process;
struct identifier;

/* --- HTTP -------------------------------------------------------------------------------------- */

/* One request that has arrived; valid until it is answered, or the world ends. */
struct sim_call {
	struct sim_process *from;
	enum http_method method;
	const char *url;
	const char *body; /* of a POST, or NULL */
	const char *accept, *cacert; /* as in struct http_call */
};

/* As struct http_response; strings are copied.  With an error the rest does not count. */
struct sim_reply {
	enum http_error error;
	long status;
	const char *content_type, *location, *nonce;
	const char *links[HTTP_LINKS_MAX];
	const char *body; /* NULL: empty */
	size_t body_size; /* 0: strlen(body) */
	int64_t retry_after_s;
	int64_t date_s; /* 0: the true time; -1: no Date header */
};

/*
 * Answer once; the client sees it `delay_ms` from now.  A call that is never answered times out at
 * the client.  The client may be dead or have given up: the answer is lost then.
 */
void sim_answer(struct sim_call *call, uint64_t delay_ms, const struct sim_reply *reply);

/* Whether the client still waits. */
bool sim_call_is_awaited(const struct sim_call *call);

/* --- hooks ------------------------------------------------------------------------------------- */

/* A program that runs; valid until sim_hook_end(). */
struct sim_hook {
	struct sim_process *from;
	const char *program; /* as in struct hook_process_options */
	char *const *arguments;
	char *const *variables;
	bool is_late; /* the agent has sent it SIGTERM */
	void *user; /* the world's own */
};

/* The value of a variable of the hook; NULL: it has none. */
const char *sim_hook_variable(const struct sim_hook *hook, const char *name);

/* It ends, now, by a signal (0: by itself) or with a status.  The agent may be dead by then. */
void sim_hook_end(struct sim_hook *hook, int status, int signal);

/* --- DNS --------------------------------------------------------------------------------------- */

struct sim_question {
	struct sim_process *from;
	const char *name;
	enum dns_type type;
};

struct sim_dns {
	enum dns_status status;
	size_t count; /* of what the question asks for */
	const struct dns_address *addresses; /* copied */
	const struct caa_record *caa; /* copied */
	bool is_lost; /* no answer comes: the client times out */
	uint64_t delay_ms;
};

/* --- the world --------------------------------------------------------------------------------- */

struct sim_world {
	void *context; /* of all callbacks */
	/* A request has arrived.  It is answered by sim_answer(), now or later. */
	void (*transport)(void *context, struct sim_call *call);
	/*
	 * A hook starts: 0, and it ends by sim_hook_end() later, never during this call; or -errno:
	 * it does not run.
	 */
	int (*hook)(void *context, struct sim_hook *hook);
	/* Somebody asks the DNS.  Fill in `ret_answer`. */
	void (*dns)(void *context, const struct sim_question *question, struct sim_dns *ret_answer);
	/* A probe of this host's port 443: what it sees, `*ret_delay_ms` (1) from now. */
	enum probe_kind (*probe)(void *context, struct sim_process *from,
				 const struct identifier *identifier,
				 const uint8_t digest[CHALLENGE_DIGEST_SIZE],
				 uint64_t *ret_delay_ms);
	/* A process has ended or was killed.  May be NULL. */
	void (*ended)(void *context, struct sim_process *process);
	/* After each event, for invariants.  May be NULL. */
	void (*looked)(void *context);
};

/* Begin: an empty directory of its own, the wall clock at `wall_s`.  `world` must outlive it. */
void sim_begin(uint64_t seed, int64_t wall_s, const struct sim_world *world);

/* Kill all processes and remove the directory. */
void sim_end(void);

/* The directory that the processes get as --root; absolute. */
const char *sim_root(void);

/* Give up this seed: prints the message and the way to replay it, and does not return. */
void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* A line of the log, with the time; formatted only if somebody reads it. */
#define sim_log(...)                               \
	do {                                       \
		if (sim_logs())                    \
			sim_log_line(__VA_ARGS__); \
	} while (0)
bool sim_logs(void);
void sim_log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Random numbers of the seed; the machinery draws from the same row. */
uint64_t sim_random(void);
uint64_t sim_random_below(uint64_t limit);

/* --- time and events ----------------------------------------------------------------------------- */

/* Since the world began; what the processes' monotonic clock counts, less a constant. */
uint64_t sim_now_ms(void);
/* What the processes see as Unix time, and the true time, which no jump changes. */
int64_t sim_wall_s(void);
int64_t sim_true_s(void);

/* Set the processes' wall clock forward or back; to the true time. */
void sim_clock_jump(int64_t by_s);
void sim_clock_correct(void);

/* The machine sleeps: no event happens meanwhile; wall clock and CLOCK_BOOTTIME go on. */
void sim_suspend(uint64_t ms);

/* Call `fire` once, `delay_ms` from now, outside of all processes. */
struct sim_event;
struct sim_event *sim_after(uint64_t delay_ms, void (*fire)(void *context), void *context);
/* It must not have fired. */
void sim_event_cancel(struct sim_event *event);

/* Let that much time pass. */
void sim_run_for(uint64_t ms);
/* Until `is_true` (asked after each event) or `max_ms` have passed: false. */
bool sim_run_until(bool (*is_true)(void *context), void *context, uint64_t max_ms);

/* --- processes ----------------------------------------------------------------------------------- */

/*
 * Start `sidestep VERB --root ROOT ...`: `arguments` begin with the verb, and NULL ends them.  It
 * runs when time passes next.  `name` is for the log.  The process stays valid until sim_end().
 */
struct sim_process *sim_start(const char *name, const char *const *arguments);

/* The same with arguments in a row: sim_verb("renew", "--force-renewal", NULL). */
struct sim_process *sim_verb(const char *verb, ...) __attribute__((sentinel));

/* SIGTERM, SIGINT, SIGHUP or SIGKILL, as an event that comes at once. */
void sim_signal(struct sim_process *process, int signal);

/* Let time pass until it has ended.  Its exit status; -signal when a signal ended it. */
int sim_wait(struct sim_process *process, uint64_t max_ms);

bool sim_is_running(const struct sim_process *process);
const char *sim_name(const struct sim_process *process);
/* The process that runs now; NULL: none does. */
struct sim_process *sim_current(void);
/* Once it has ended: its exit status, or -signal. */
int sim_status(const struct sim_process *process);
/* What it has written to standard output and standard error so far. */
const char *sim_output(const struct sim_process *process);
const char *sim_errors(const struct sim_process *process);
/* Forget both, so that a daemon of years does not keep everything. */
void sim_forget_output(struct sim_process *process);

/* --- the responder's table ----------------------------------------------------------------------- */

/* The digests that are armed for a name; how many (at most `max` are returned). */
size_t sim_table_find(const char *name, uint8_t (*ret_digests)[CHALLENGE_DIGEST_SIZE], size_t max);
size_t sim_table_count(void);
/* The responder stops, or runs again; it runs at the beginning. */
void sim_responder_set(bool is_running);
/* The responder creates a new table: open ones are stale. */
void sim_table_renew(void);

/* --- faults -------------------------------------------------------------------------------------- */

/* What a seam does: where a process can be killed, or told of an error. */
enum sim_seam {
	SIM_OPEN = 1 << 0, /* of an existing file or directory */
	SIM_CREATE = 1 << 1, /* of a file, directory, link or symbolic link */
	SIM_WRITE = 1 << 2,
	SIM_SYNC = 1 << 3,
	SIM_RENAME = 1 << 4,
	SIM_REMOVE = 1 << 5,
	SIM_ACCESS = 1 << 6, /* chmod, chown */
	SIM_SQL_READ = 1 << 7,
	SIM_SQL_WRITE = 1 << 8,
	SIM_SQL_SYNC = 1 << 9,
	SIM_SQL_LOCK = 1 << 10, /* another process holds it: use EBUSY */
	SIM_HTTP = 1 << 11, /* a request is sent, or its answer taken */
	SIM_HOOK = 1 << 12, /* a hook starts, or its end is taken */
	SIM_TABLE = 1 << 13, /* publish or withdraw */
	SIM_SLEEP = 1 << 14,
};
#define SIM_FILES (SIM_CREATE | SIM_WRITE | SIM_SYNC | SIM_RENAME | SIM_REMOVE | SIM_ACCESS)
#define SIM_SQL   (SIM_SQL_READ | SIM_SQL_WRITE | SIM_SQL_SYNC | SIM_SQL_LOCK)
/* What a full disk refuses. */
#define SIM_SPACE (SIM_CREATE | SIM_WRITE | SIM_SQL_WRITE)

struct sim_fault {
	unsigned int seams; /* SIM_* that fail */
	int error; /* a positive errno */
	const char *path; /* only where the path contains this; NULL: anywhere; not copied */
	uint64_t skip; /* so many matching seams pass first */
	uint64_t count; /* then so many fail; 0: all */
};

/* Returns a number for sim_fault_remove(). */
unsigned int sim_fault_add(const struct sim_fault *fault);
void sim_fault_remove(unsigned int number);

/* The seams of all processes so far, and those of one. */
uint64_t sim_seams(void);
uint64_t sim_process_seams(const struct sim_process *process);

/* Kill the process when it comes to its seam of this number (from 1). */
void sim_kill_at(struct sim_process *process, uint64_t seam);

/* --- files --------------------------------------------------------------------------------------- */

/* Below the root.  Write replaces in one step and makes the directories; fails the seed on errors. */
void sim_file_write(const char *path, const char *text);
/* A new string, or NULL: it cannot be read. */
char *sim_file_read(const char *path);

#endif
