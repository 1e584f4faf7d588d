/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Says in words what this host saw of a name's validation, from the responder's evidence
 * (common/evidence.h): whether a CA that failed never arrived here, or failed in the handshake, or
 * was answered.
 */
#ifndef ACME_CHALLENGE_EVIDENCE_REPORT_H
#define ACME_CHALLENGE_EVIDENCE_REPORT_H

#include <stdbool.h>
#include <stdint.h>

struct dns_address;
struct evidence_of_name;
struct identifier;
struct json_t;
struct paths;

#define EVIDENCE_REPORT_MAX 384

/*
 * Read what came for the name since it was armed, which was not before `since_ns`
 * (CLOCK_BOOTTIME; 0: whenever).  0; -ENOENT: nothing came; or why that cannot be known: -EACCES,
 * -EPROTO, -EAGAIN, -EBADMSG or -errno.
 */
int evidence_report_read(struct evidence_of_name *ret_seen, const struct paths *paths,
			 const struct identifier *identifier, uint64_t since_ns);

/* Take out one visit from `address`, this host's own, if there was one.  Whether none is left. */
bool evidence_report_forget(struct evidence_of_name *seen, const struct dns_address *address);

/* One sentence without a full stop; `seen` is NULL when nothing came. */
void evidence_report_sum_up(char ret_text[EVIDENCE_REPORT_MAX],
			    const struct evidence_of_name *seen);

/* Each record on a line of standard output, the first to come first. */
void evidence_report_show(const struct evidence_of_name *seen);

/* The same as a new object; `seen` may be NULL.  NULL when out of memory. */
struct json_t *evidence_report_to_json(const struct evidence_of_name *seen);

#endif
