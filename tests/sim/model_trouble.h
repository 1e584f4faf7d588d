/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Trouble that a model CA makes by plan: what, when, how often, and for which requests. */
#ifndef MODEL_TROUBLE_H
#define MODEL_TROUBLE_H

#include <stdint.h>

enum model_trouble_kind {
	TROUBLE_DOWN, /* connection refused */
	TROUBLE_SILENT, /* no answer, and nothing is done */
	TROUBLE_LOST, /* done, but the answer is cut off (`value` 0) or never arrives (1) */
	TROUBLE_STATUS, /* status `value`, with no problem document */
	TROUBLE_LIMITED, /* 429 rateLimited, though no limit is reached */
	TROUBLE_PAUSED, /* 429 rateLimited: please visit */
	TROUBLE_USER_ACTION, /* 403 userActionRequired */
	TROUBLE_ACCOUNT_GONE, /* 400 accountDoesNotExist */
	TROUBLE_INTERNAL, /* 500 serverInternal */
	TROUBLE_BAD_NONCE, /* 400 badNonce */
	TROUBLE_SLOW, /* the answer takes `value` ms */
	TROUBLE_STALE, /* what was made in the last `value` seconds is not known here: 404 */
	TROUBLE_OLD_STATE, /* an order or authorization is shown as it was `value` seconds ago */
	TROUBLE_PROCESSING, /* finalize takes `value` seconds */
	TROUBLE_NO_ISSUE, /* finalize makes the order invalid: serverInternal */
	TROUBLE_ARI_PAST, /* renewal windows lie in the past */
	TROUBLE_ARI_GARBAGE, /* renewal information cannot be read */
	TROUBLE_NOT_BEFORE, /* certificates begin `value` seconds ahead */
	TROUBLE_LIFE, /* certificates live `value` seconds */
	TROUBLE_NO_VALIDATION, /* no perspective reaches any host: connection */
	TROUBLE_KINDS,
};

/* Which requests it meets; of those with an effect of their own (issuing, ARI) it is not looked at. */
enum model_resource {
	RESOURCE_DIRECTORY = 1,
	RESOURCE_NONCE = 2,
	RESOURCE_ACCOUNT = 4,
	RESOURCE_NEW_ORDER = 8,
	RESOURCE_ORDER = 16,
	RESOURCE_AUTHORIZATION = 32,
	RESOURCE_CHALLENGE = 64,
	RESOURCE_FINALIZE = 128,
	RESOURCE_CERTIFICATE = 256,
	RESOURCE_RENEWAL_INFO = 512,
	RESOURCE_REVOKE = 1024,
	RESOURCE_KEY_CHANGE = 2048,
	RESOURCE_ALL = 4095,
};

enum model_retry_after {
	RETRY_AFTER_NONE,
	RETRY_AFTER_SECONDS, /* `wait_s` */
	RETRY_AFTER_DATE, /* `wait_s` from now, as an HTTP date */
	RETRY_AFTER_FAR, /* 40 days */
	RETRY_AFTER_PAST, /* a date of last year */
	RETRY_AFTER_GARBAGE,
	RETRY_AFTER_NEGATIVE,
	RETRY_AFTER_KINDS,
};

struct model_trouble {
	enum model_trouble_kind kind;
	int64_t from_s, until_s; /* Unix time */
	unsigned int percent; /* of the requests; 0: all */
	unsigned int resources; /* enum model_resource, or'ed; 0: all */
	unsigned int most; /* times at most; 0: no limit */
	int64_t value;
	enum model_retry_after retry_after;
	int64_t wait_s;
};

const char *model_trouble_name(enum model_trouble_kind kind);

#endif
