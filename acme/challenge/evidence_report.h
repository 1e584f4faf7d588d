/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Says what this host saw of a name's validation, from the responder's evidence
 * (common/evidence.h): the CA never arrived here, failed in the handshake, or got its answer.
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
 * Read the evidence of the name since it was last armed, if that was at or after `since_ns`
 * (CLOCK_BOOTTIME; 0: at any time).  0; -ENOENT: no connection came; or, when the evidence cannot
 * be read, -EACCES, -EPROTO, -EAGAIN, -EBADMSG or -errno.
 */
int evidence_report_read(struct evidence_of_name *ret_seen, const struct paths *paths,
			 const struct identifier *identifier, uint64_t since_ns);

/* Remove one connection from this host's own `address`.  Whether no connection is left. */
bool evidence_report_forget(struct evidence_of_name *seen, const struct dns_address *address);

/* Write one sentence without a full stop; `seen` is NULL when no connection came. */
void evidence_report_sum_up(char ret_text[EVIDENCE_REPORT_MAX],
			    const struct evidence_of_name *seen);

/* Print each record on a line of standard output, the oldest first. */
void evidence_report_show(const struct evidence_of_name *seen);

/* The same as a new object; `seen` may be NULL.  NULL when out of memory. */
struct json_t *evidence_report_to_json(const struct evidence_of_name *seen);

#endif
