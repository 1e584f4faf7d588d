/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the machinery share; scenarios and worlds use sim.h alone. */
#ifndef TESTS_SIM_INTERNAL_H
#define TESTS_SIM_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "tests/sim/sim.h"

#define NS_PER_MS UINT64_C(1000000)
#define NEVER_NS  UINT64_MAX

struct loop;
struct sqlite3_file;

/* --- events.c ------------------------------------------------------------------------------------ */

void events_begin(uint64_t seed, int64_t wall_s);
void events_end(void);
struct sim_event *event_at(uint64_t at_ns, void (*fire)(void *context), void *context);
/* When the world of this clock began. */
uint64_t events_start_ns(void);
/* Run events until the moment, or until `is_true`, which may be NULL. */
bool events_run(uint64_t until_ns, bool (*is_true)(void *context), void *context);

/* --- process.c ----------------------------------------------------------------------------------- */

const struct sim_world *world_of(void);
pid_t process_pid(const struct sim_process *process);
/* The process stops here until the moment, or until somebody wakes it. */
void process_block(uint64_t until_ns);
void process_wake(struct sim_process *process);
bool process_is_alive(const struct sim_process *process);
/* Around what the world does while a process runs, whose seams are nobody's. */
struct sim_process *process_step_out(void);
void process_step_in(struct sim_process *process);
/* The process that runs ends here, as by this signal.  It does not return. */
void process_die(int signal) __attribute__((noreturn));
void process_write(struct sim_process *process, int fd, const char *text, size_t size);
/* Signals: those that the loop wants, as a mask of 1 << number; others end the process. */
void process_catch(struct sim_process *process, uint64_t mask);
/* The next caught signal that has come; 0: none. */
int process_take_signal(struct sim_process *process);
/* Counts a seam; may not return. */
uint64_t process_count_seam(struct sim_process *process);

/* What each process has said last, and where it stands. */
void process_report(FILE *file);

/* --- faults.c ------------------------------------------------------------------------------------ */

/*
 * Every seam calls this first.  0: go on; or a positive errno, with errno set: the call fails
 * with it.  It does not return when the process is killed here.
 */
int seam(enum sim_seam kind, const char *path);
/* How many seams of these kinds there were. */
uint64_t sim_seams_of(unsigned int seams);
void faults_begin(void);

/* --- files.c ------------------------------------------------------------------------------------- */

void files_begin(uint64_t seed);
void files_end(void);
/* Close what the process has left open.  Returns how many. */
size_t files_close(const struct sim_process *process);

/* --- database.c ---------------------------------------------------------------------------------- */

void database_init(void);
void database_begin(void);
/* Release what a killed process holds. */
void database_drop(const struct sim_process *process);

/* --- table.c ------------------------------------------------------------------------------------- */

void table_begin(void);
void table_end(void);

/* --- http.c -------------------------------------------------------------------------------------- */

void http_begin(void);
void http_end(void);

/* --- runner.c ------------------------------------------------------------------------------------ */

/* Wait for any child.  Whether it ended well. */
bool runner_reap(pid_t *ret_pid);
/* What comes is too much to log. */
void runner_stop_logging(void);
/* The only seam to try (everywhere.h); 0: all. */
uint64_t runner_seam(void);
/* What to say when this run, or a child, fails: how it is replayed.  0: without a seam. */
void runner_set_seam(uint64_t seam);

#endif
