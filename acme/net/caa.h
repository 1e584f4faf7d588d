/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What CAA records (RFC 8659, with the parameters of RFC 8657) say to a CA that is
 * asked for a certificate of one domain name, wildcards aside.  Pure: dns_lookup.c
 * asks the DNS.
 */
#ifndef ACME_NET_CAA_H
#define ACME_NET_CAA_H

#include <stddef.h>
#include <stdint.h>

/* One record as it came.  Strings end in a zero; `value` may hold others: value_size counts. */
struct caa_record {
	uint8_t flags;
	char *tag;
	char *value;
	size_t value_size;
};

/* The CA, the method and the account that the records may name. */
struct caa_question {
	const char *const *issuers; /* the CA's names: meta.caaIdentities of its directory */
	size_t issuer_count; /* 0: the CA does not tell them */
	const char *method; /* as RFC 8555 names it: "tls-alpn-01" */
	const char *account_url; /* NULL: there is no account yet */
};

enum caa_verdict { CAA_ALLOWED, CAA_FORBIDDEN, CAA_UNKNOWN };

enum caa_reason {
	CAA_NO_RECORDS, /* nothing restricts the name */
	CAA_NO_ISSUE, /* none of the records restricts it */
	CAA_PERMITTED,
	CAA_CRITICAL, /* a property that is critical, and that no CA knows */
	CAA_NOBODY, /* no CA may issue */
	CAA_MALFORMED, /* no value can be read, which forbids too */
	CAA_OTHER_ISSUER,
	CAA_OTHER_METHOD,
	CAA_OTHER_ACCOUNT,
	CAA_ISSUER_UNKNOWN, /* it depends on the CA's name, which it does not tell */
	CAA_ACCOUNT_UNKNOWN, /* it depends on the account, which is not there yet */
};

struct caa_finding {
	enum caa_verdict verdict;
	enum caa_reason reason;
	const struct caa_record *record; /* the one that decides; NULL: none does */
};

/* What one name's records say together; points into `records`. */
struct caa_finding caa_judge(const struct caa_record *records, size_t count,
			     const struct caa_question *question);

/*
 * Where to look when a name has no records: RFC 8659 section 3.  Points into `name`;
 * NULL behind the top-level domain.
 */
const char *caa_parent(const char *name);

/* "forbidden" and the like, and a reason's word: for JSON; static storage. */
const char *caa_verdict_name(enum caa_verdict verdict);
const char *caa_reason_name(enum caa_reason reason);

#endif
