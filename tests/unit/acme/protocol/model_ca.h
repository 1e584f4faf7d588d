/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A CA in this process, in place of acme/net/http.c and loop.c, with a clock of its own that jumps to
 * the next timer.  It keeps accounts, orders of one name each and their challenges as RFC 8555 says;
 * a test says what goes wrong.
 */
#ifndef MODEL_CA_H
#define MODEL_CA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acme/net/http.h"

#define MODEL_CA_URL        "https://ca.example/"
#define MODEL_CA_ORDERS_MAX 16

enum model_kind {
	MODEL_DIRECTORY,
	MODEL_NONCE,
	MODEL_ACCOUNT,
	MODEL_NEW_ORDER,
	MODEL_ORDER,
	MODEL_AUTHORIZATION,
	MODEL_CHALLENGE,
	MODEL_FINALIZE,
	MODEL_CERTIFICATE,
	MODEL_KINDS,
};

struct model_answer {
	enum http_error error; /* HTTP_ANSWERED: there is an answer */
	long status;
	char body[4096];
	char location[256]; /* "": none */
	int64_t retry_after_s;
	int64_t date_s; /* 0: none */
};

struct model_order {
	char name[254]; /* "": there is no such order */
	const char *status;
	const char *authorization;
	const char *challenge;
	const char *reason; /* the problem's type in the challenge; NULL: no error */
	bool was_armed; /* with the digest of the order's own challenge, when the CA validated */
	char *csr; /* of the accepted finalize */
};

struct model_exchange {
	enum model_kind kind;
	size_t order; /* index; of the URL */
	const char *payload; /* JSON, or "" */
	const char *header; /* the protected header, as JSON */
	uint32_t count; /* of this kind, this one included */
};

struct model_ca {
	struct model_order orders[MODEL_CA_ORDERS_MAX];
	size_t order_count;
	uint32_t counts[MODEL_KINDS];
	uint64_t ended_ns; /* when the loop came to rest */
	const char *account; /* the URL of the only account; NULL: none yet */
	bool reuses_orders; /* gives a pending or ready order of the same name again */
	/* Whether the name is armed for this order as it should be; NULL: always. */
	bool (*validates)(void *context, size_t order);
	/*
	 * Called for each request before the CA acts: returns whether `answer` is filled in and the
	 * CA does nothing.  And after it has acted: may change the answer.
	 */
	bool (*before)(void *context, const struct model_exchange *exchange,
		       struct model_answer *answer);
	void (*after)(void *context, const struct model_exchange *exchange,
		      struct model_answer *answer);
	void *context;
};

/* The one that the next requests go to; NULL: none.  Sets the clock back to its beginning. */
void model_ca_use(struct model_ca *ca);
void model_ca_done(struct model_ca *ca);

/* Fill in a problem document. */
void model_answer_problem(struct model_answer *answer, long status, const char *type,
			  const char *detail);

/* Whether timers are left. */
bool model_is_busy(void);

#endif
