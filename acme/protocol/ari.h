/* SPDX-License-Identifier: GPL-3.0-or-later */
/* When the CA suggests to renew a certificate: ACME Renewal Information (ARI), RFC 9773. */
#ifndef ACME_PROTOCOL_ARI_H
#define ACME_PROTOCOL_ARI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ari_request;
struct ca;

/* What the CA suggests.  Valid during the callback only. */
struct ari_answer {
	bool has_window; /* false: the CA gave none */
	int64_t start_s, end_s; /* Unix time */
	const char *explanation_url; /* NULL: none */
	int64_t retry_after_s; /* 0: the CA gave none */
	bool is_silent; /* there was no answer at all */
};

/*
 * Ask at `url`, the directory's renewalInfo, about the certificate with this identifier (section
 * 4.1).  `done` is called once, later, unless the request is cancelled before; the request is freed
 * then.  NULL: out of memory.
 */
struct ari_request *ari_ask(struct ca *ca, const char *url, const char *certificate_id,
			    void (*done)(void *context, const struct ari_answer *answer),
			    void *context);
void ari_cancel(struct ari_request *request);

/* Read the body of an answer; pure.  False: it is not renewal information. */
bool ari_read(struct ari_answer *ret_answer, const char *body, size_t size,
	      char ret_explanation_url[2048]);

/* Read an RFC 3339 time, with any offset and fraction, as Unix time; false: it is not one. */
bool ari_read_time(int64_t *ret_unix_s, const char *text);

#endif
