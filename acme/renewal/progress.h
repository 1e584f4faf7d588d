/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The steps of an order, told to the user as they happen, each once. */
#ifndef ACME_RENEWAL_PROGRESS_H
#define ACME_RENEWAL_PROGRESS_H

#include "acme/crypto/csr.h"
#include "acme/protocol/authorization.h"
#include "acme/protocol/order.h"

/* All zero at the beginning. */
struct progress {
	enum order_state order;
	enum authorization_state authorizations[CSR_NAMES_MAX];
};

/* Tell what is new since the last time. */
void progress_show(struct progress *progress, const struct order *order);

#endif
