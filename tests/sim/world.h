/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What surrounds the agent in the simulation: CAs (model_ca.h), servers that use a certificate only
 * after a hook has made them load it, the DNS, the configuration, the daemon, and the certificates
 * that somebody wants.  invariants.h says what must hold.
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/dice.h"
#include "tests/sim/model_ca.h"
#include "tests/sim/model_trouble.h"
#include "tests/sim/sim.h"

#define WORLD_CAS_MAX          4
#define WORLD_CERTIFICATES_MAX 192
#define WORLD_NAMES_MAX        8
#define WORLD_NAME_MAX         64
#define WORLD_TROUBLES_MAX     256
#define WORLD_START_S          INT64_C(1798761600) /* 2027-01-01 */
#define WORLD_DAY_S            INT64_C(86400)
#define WORLD_HOUR_S           INT64_C(3600)
#define WORLD_ALL              UINT64_MAX
#define WORLD_BIT(place)       (UINT64_C(1) << (place) % 64)

/* How the programs that reload servers end. */
enum world_hooks {
	HOOKS_RIGHT, /* the servers use what lies on the disk */
	HOOKS_REFUSE, /* the configuration test fails, whatever the certificates */
	HOOKS_REFUSE_NEW, /* it fails with a certificate that is not used already */
	HOOKS_FAIL, /* some other status: the server does not run, say */
	HOOKS_ABSENT, /* the program cannot be started */
	HOOKS_KILLED, /* a signal ends it */
	HOOKS_HANG, /* it never ends by itself */
	HOOKS_KINDS,
};

/* A certificate that is in use on the disk, or that a server uses. */
struct world_leaf {
	char serial[41]; /* "": there is none */
	int64_t not_before_s, not_after_s;
	char key_type[16];
	size_t name_count;
};

struct world_certificate {
	char name[WORLD_NAME_MAX];
	char names[WORLD_NAMES_MAX][WORLD_NAME_MAX];
	size_t name_count;
	size_t cas[WORLD_CAS_MAX]; /* in the order of preference */
	size_t ca_count;
	char key_type[16];
	char profile[16]; /* "": none */
	bool has_own_hook; /* a server of its own, which its own hook reloads */
	bool reuses_key;
	bool is_key_type_new; /* it was changed in the configuration: the next renewal has it */
	bool is_wanted; /* now */
	bool is_by_hand; /* by certonly, and not in the configuration */
	int64_t wanted_s; /* since when, as it is now; true time */
	struct world_leaf disk, served;
	char generation[32]; /* of `disk`: where the link "current" leads */
	int64_t disk_s; /* since when `disk` is in use */
	int64_t forced_s; /* until then somebody else may have it issued for other reasons */
	int64_t clear_s,
		any_clear_s; /* since when there is no trouble: with any of its CAs, with all */
};

/* Trouble that somebody else than the agent is to blame for: what it must do waits meanwhile. */
struct world_trouble {
	const char *what; /* for the log */
	int64_t from_s, until_s; /* true time */
	uint64_t certificates; /* WORLD_BIT of each that it concerns */
	size_t ca; /* of this one only; WORLD_CAS_MAX: whatever the CA */
};

struct world {
	uint64_t seed;
	struct dice dice;
	struct sim_world callbacks;
	struct model_ca *cas[WORLD_CAS_MAX];
	char ca_names[WORLD_CAS_MAX][WORLD_NAME_MAX]; /* in the configuration */
	size_t ca_count;
	struct world_certificate certificates[WORLD_CERTIFICATES_MAX];
	size_t certificate_count;
	struct world_trouble troubles[WORLD_TROUBLES_MAX];
	size_t trouble_count;
	struct sim_process *daemon; /* NULL: it was never started */
	bool daemon_is_wanted;
	enum world_hooks hooks;
	uint64_t hook_ms; /* how long one runs */
	uint64_t hook_runs;
	char missing[WORLD_NAME_MAX]; /* a name that the DNS does not have; "": none */
	char hidden[WORLD_NAME_MAX]; /* a name that this host's DNS does not have, but the CAs' */
	char forbidden[WORLD_NAME_MAX]; /* a name whose CAA records forbid all CAs; "": none */
	char unreachable[WORLD_NAME_MAX]; /* a name that validators cannot reach; "": none */
	char settings[1024]; /* more lines for [sidestep] */
	char ca_settings[WORLD_CAS_MAX][256]; /* and for a CA */
	bool responder_is_down;
	bool violations_are_fatal;
	/* What was written under a temporary name may still be there: the next writer of that name
	 * removes it when it is hours old. */
	bool was_killed_anywhere;
	int64_t ticked_s; /* when invariants were looked at last */
	uint64_t issued;
	/* A CA got a request, or has issued a certificate; NULL: nobody wants to know. */
	void (*on_request)(struct world *world, const char *url);
	void (*on_issued)(struct world *world, const struct model_certificate *certificate);
	const char *binding_file; /* EAB key file for a CA with a binding; NULL: none */
};

/* --- making it -------------------------------------------------------------------------------- */

/* Begins the simulation, too. */
struct world *world_begin(uint64_t seed);
void world_end(struct world *world);

/*
 * So many CAs called a.test, b.test ..., and so many certificates called c0.test, c1.test ..., each of
 * all CAs.  Neither the configuration nor the daemon is there yet.
 */
struct world *world_with(size_t cas, size_t certificates);
/* The same, and the daemon has got all certificates. */
struct world *world_ready(size_t cas, size_t certificates);

/* Like Let's Encrypt, without its limits and with certificates of 90 days; change as you like. */
struct model_options world_ca_options(struct world *world, const char *name);
/* Adds a CA and returns its place. */
size_t world_add_ca(struct world *world, const struct model_options *options);

/* Want a certificate, of the first CA; change what is returned before world_configure(). */
struct world_certificate *world_want(struct world *world, const char *name);
struct world_certificate *world_find(struct world *world, const char *name);

/* Write the configuration; a daemon that runs gets SIGHUP. */
void world_configure(struct world *world);

/* --- letting it run --------------------------------------------------------------------------- */

/* Start the daemon, and again whenever it has ended, as systemd does. */
void world_start_daemon(struct world *world);
/* SIGTERM or SIGKILL, and it stays down until world_start_daemon(). */
void world_stop_daemon(struct world *world, int signal);
/* SIGTERM or SIGKILL; it is started again soon. */
void world_restart_daemon(struct world *world, int signal);

/* Let the time pass and check the invariants each hour. */
void world_run_days(struct world *world, double days);
/* Until the certificate on the disk is another one; fails after `days`. */
void world_await_renewal(struct world *world, const struct world_certificate *certificate,
			 double days);
/* Until all wanted certificates are there and served; fails after `days`. */
void world_await_all(struct world *world, double days);

/* A verb, to its end: its exit status.  world_output() is what it said. */
int world_verb(struct world *world, const char *verb, ...) __attribute__((sentinel));
const char *world_output(void);

/* Start a verb and do not wait for it. */
struct sim_process *world_start_verb(const char *verb, ...) __attribute__((sentinel));

/* Somebody else may have it issued for other reasons during the next hours. */
void world_force(struct world_certificate *certificate, double hours);

/* --- trouble ---------------------------------------------------------------------------------- */

/* Note trouble that is made elsewhere, from now on, for the invariants. */
void world_note_trouble(struct world *world, const char *what, int64_t from_s, int64_t until_s,
			uint64_t certificates, size_t ca);
/* A CA makes trouble, `from` to `until` days from now. */
void world_ca_trouble(struct world *world, size_t ca, struct model_trouble trouble, double from,
		      double until);

/* --- looking ---------------------------------------------------------------------------------- */

/* Read what is in use on the disk.  False: it cannot be read, or key and certificate differ. */
bool world_read_leaf(const char *name, struct world_leaf *ret_leaf);
/* Read again what has changed on the disk. */
void world_look_at_disk(struct world *world);
bool world_serves_disk(const struct world_certificate *certificate);
/* Fail the seed. */
#define world_expect(condition, ...)           \
	do {                                   \
		if (!(condition))              \
			sim_fail(__VA_ARGS__); \
	} while (0)

#endif
