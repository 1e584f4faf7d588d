/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How a validation ended: one small number for success and each cause of failure, its
 * word for tables and JSON, and a sentence with the next step for the user.
 */
#ifndef BENCH_OUTCOME_H
#define BENCH_OUTCOME_H

#include "common/validator/verify.h"

#define OUTCOME_ALERTS 256

/* Plain causes, then a TLS alert's number, then a certificate's verdict. */
enum outcome {
	OUTCOME_OK,
	OUTCOME_NO_LOCAL_PORT,
	OUTCOME_NO_DESCRIPTOR,
	OUTCOME_NO_SOURCE,
	OUTCOME_REFUSED,
	OUTCOME_UNREACHABLE,
	OUTCOME_CONNECT_TIMEOUT,
	OUTCOME_HANDSHAKE_TIMEOUT,
	OUTCOME_RESET,
	OUTCOME_CLOSED,
	OUTCOME_NOT_TLS,
	OUTCOME_TLS,
	OUTCOME_NO_ALPN,
	OUTCOME_NO_CERTIFICATE,
	OUTCOME_CHAIN,
	OUTCOME_LOCAL, /* anything else that this machine refuses */
	OUTCOME_ALERT, /* + the alert's number, RFC 8446 section 6 */
	OUTCOME_CERTIFICATE = OUTCOME_ALERT + OUTCOME_ALERTS, /* + enum verify_result */
	OUTCOMES = OUTCOME_CERTIFICATE + VERIFY_RESULTS,
};

/* What connect() or another call on a socket said. */
enum outcome outcome_of_errno(int error);

struct outcome_name {
	char text[48];
};
struct outcome_name outcome_name(enum outcome outcome); /* "alert_unrecognized_name" */
const char *outcome_text(enum outcome outcome); /* static storage */

#endif
