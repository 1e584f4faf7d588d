// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/evidence_record.h"

#include <ctype.h>
#include <string.h>

#include "responder/conn.h"
#include "responder/tls.h"
#include "common/clock.h"

#define NS_PER_US UINT64_C(1000)
#define US_PER_S  UINT64_C(1000000)

static enum evidence_result result_of(const struct conn *conn, const struct tls_facts *facts)
{
	switch (conn->result) {
	case CONN_STAT_ANSWERED:
		return EVIDENCE_ANSWERED;
	case CONN_STAT_CLIENT_LEFT:
		return EVIDENCE_LEFT;
	case CONN_STAT_DEADLINE:
		return EVIDENCE_DEADLINE;
	default:
		return facts->alert_received == EVIDENCE_NO_ALERT ? EVIDENCE_FAILED
								  : EVIDENCE_ALERT;
	}
}

/* What the spelling of the name tells, and whether there was a key share to go on with. */
static uint16_t features_of(const struct conn *conn, const struct tls_facts *facts)
{
	const uint16_t usable = EVIDENCE_SHARE_X25519 | EVIDENCE_SHARE_P256;
	uint16_t features = conn->hello_traits;

	if (facts->version == TLS_1_3 && !(features & usable))
		features |= EVIDENCE_RETRIED;
	for (size_t i = 0; i < facts->server_name_size; i++)
		if (isupper((unsigned char)facts->server_name[i]))
			features |= EVIDENCE_UPPER_CASE;
	if (facts->server_name[facts->server_name_size - 1] == '.')
		features |= EVIDENCE_TRAILING_DOT;
	return features;
}

void evidence_record_tell(struct evidence *evidence, const struct conn *conn, enum evidence_via via,
			  uint64_t opened_ns, uint64_t now_ns)
{
	uint64_t duration_us = (now_ns - opened_ns) / NS_PER_US;
	struct evidence_record record = {0};
	struct tls_facts facts;

	if (!tls_describe(&conn->tls, &facts))
		return;
	record.at_us = (uint64_t)clock_now_us() - duration_us;
	record.duration_us = duration_us < UINT32_MAX ? (uint32_t)duration_us : UINT32_MAX;
	memcpy(record.address, conn->peer.address, sizeof(record.address));
	record.features = features_of(conn, &facts);
	record.hello_size = conn->hello_size;
	record.hello_pieces = conn->hello_pieces;
	record.tls_version = facts.version;
	record.ipv6 = conn->peer.family == STEER_V6;
	record.result = (uint8_t)result_of(conn, &facts);
	record.via = (uint8_t)via;
	record.alert_received = facts.alert_received;
	record.alert_sent = facts.alert_sent;
	evidence_add(evidence, facts.server_name, facts.server_name_size, facts.armed_ns, &record);
}
