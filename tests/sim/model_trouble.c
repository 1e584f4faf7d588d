// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/sim/model_trouble.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/sim/model_internal.h"

#define DAY_S INT64_C(86400)

/* The name for the log, and which requests it meets when the plan does not say. */
static const struct {
	const char *name;
	unsigned int resources;
} kinds[TROUBLE_KINDS] = {
	[TROUBLE_DOWN] = {"down", RESOURCE_ALL},
	[TROUBLE_SILENT] = {"silent", RESOURCE_ALL},
	[TROUBLE_LOST] = {"lost answers", RESOURCE_ALL},
	[TROUBLE_STATUS] = {"status", RESOURCE_ALL},
	[TROUBLE_LIMITED] = {"rateLimited", RESOURCE_NEW_ORDER},
	[TROUBLE_PAUSED] = {"paused", RESOURCE_NEW_ORDER},
	[TROUBLE_USER_ACTION] = {"userActionRequired", RESOURCE_NEW_ORDER},
	[TROUBLE_ACCOUNT_GONE] = {"accountDoesNotExist", RESOURCE_NEW_ORDER},
	[TROUBLE_INTERNAL] = {"serverInternal", RESOURCE_ALL & ~RESOURCE_DIRECTORY},
	[TROUBLE_BAD_NONCE] = {"badNonce", RESOURCE_ALL & ~(RESOURCE_DIRECTORY | RESOURCE_NONCE |
							    RESOURCE_RENEWAL_INFO)},
	[TROUBLE_SLOW] = {"slow", RESOURCE_ALL},
	[TROUBLE_STALE] = {"stale replicas",
			   RESOURCE_ORDER | RESOURCE_AUTHORIZATION | RESOURCE_CERTIFICATE},
	[TROUBLE_OLD_STATE] = {"old state", RESOURCE_ORDER | RESOURCE_AUTHORIZATION},
	[TROUBLE_PROCESSING] = {"slow issuance", RESOURCE_FINALIZE},
	[TROUBLE_NO_ISSUE] = {"no issuance", RESOURCE_FINALIZE},
	[TROUBLE_ARI_PAST] = {"windows in the past", RESOURCE_RENEWAL_INFO},
	[TROUBLE_ARI_GARBAGE] = {"broken windows", RESOURCE_RENEWAL_INFO},
	[TROUBLE_NOT_BEFORE] = {"notBefore ahead", RESOURCE_FINALIZE},
	[TROUBLE_LIFE] = {"short lives", RESOURCE_FINALIZE},
	[TROUBLE_NO_VALIDATION] = {"no validation", RESOURCE_CHALLENGE},
};

const char *model_trouble_name(enum model_trouble_kind kind)
{
	return kinds[kind].name;
}

void model_ca_add_trouble(struct model_ca *ca, const struct model_trouble *trouble)
{
	if (ca->trouble_count < MODEL_TROUBLES_MAX)
		ca->troubles[ca->trouble_count++] = *trouble;
}

bool model_ca_wants_replacements(const struct model_ca *ca)
{
	int64_t now_s = model_now(ca);
	size_t i;

	for (i = 0; i < ca->trouble_count; i++)
		if (ca->troubles[i].kind == TROUBLE_ARI_PAST && now_s >= ca->troubles[i].from_s &&
		    now_s < ca->troubles[i].until_s + 3 * DAY_S)
			return true;
	return false;
}

const struct model_trouble *model_trouble(struct model_ca *ca, enum model_trouble_kind kind,
					  enum model_resource resource)
{
	int64_t now_s = model_now(ca);
	size_t i;

	for (i = 0; i < ca->trouble_count; i++) {
		const struct model_trouble *trouble = &ca->troubles[i];
		unsigned int resources =
			trouble->resources ? trouble->resources : kinds[kind].resources;

		if (trouble->kind != kind || !(resources & resource) || now_s < trouble->from_s ||
		    now_s >= trouble->until_s ||
		    (trouble->most && ca->trouble_used[i] >= trouble->most) ||
		    (trouble->percent && !dice_chance(&ca->dice, trouble->percent)))
			continue;
		ca->trouble_used[i]++;
		return trouble;
	}
	return NULL;
}

/* --- Retry-After ------------------------------------------------------------------------------ */

static void write_date(char ret_text[64], int64_t moment_s)
{
	time_t moment = (time_t)moment_s;
	struct tm utc;

	gmtime_r(&moment, &utc);
	strftime(ret_text, 64, "%a, %d %b %Y %H:%M:%S GMT", &utc);
}

void model_set_retry_after(struct model_answer *answer, const struct model_ca *ca,
			   enum model_retry_after kind, int64_t wait_s)
{
	char *text = answer->retry_after;

	switch (kind) {
	case RETRY_AFTER_SECONDS:
		snprintf(text, sizeof(answer->retry_after), "%lld", (long long)wait_s);
		break;
	case RETRY_AFTER_DATE:
		write_date(text, model_now(ca) + wait_s);
		break;
	case RETRY_AFTER_FAR:
		snprintf(text, sizeof(answer->retry_after), "%lld", (long long)(40 * DAY_S));
		break;
	case RETRY_AFTER_PAST:
		write_date(text, model_now(ca) - 365 * DAY_S);
		break;
	case RETRY_AFTER_GARBAGE:
		strcpy(text, "soon");
		break;
	case RETRY_AFTER_NEGATIVE:
		strcpy(text, "-5");
		break;
	case RETRY_AFTER_NONE:
	case RETRY_AFTER_KINDS:
		break;
	}
}

/* --- before and after a request --------------------------------------------------------------- */

/* No answer of the CA's at all. */
static bool break_off(struct model_call *call)
{
	struct model_ca *ca = call->ca;

	if (model_trouble(ca, TROUBLE_DOWN, call->resource))
		call->answer->delivery = MODEL_NO_CONNECTION;
	else if (model_trouble(ca, TROUBLE_SILENT, call->resource))
		call->answer->delivery = MODEL_NO_ANSWER;
	return call->answer->delivery != MODEL_ANSWERED;
}

/* An answer of a machine in front of the CA: there is no problem document, and no nonce. */
static bool answer_status(struct model_call *call)
{
	const struct model_trouble *trouble =
		model_trouble(call->ca, TROUBLE_STATUS, call->resource);

	if (!trouble)
		return false;
	call->answer->status = (long)trouble->value;
	call->answer->body = strdup("<html>try again</html>");
	call->answer->body_size = strlen(call->answer->body);
	strcpy(call->answer->content_type, "text/html");
	model_set_retry_after(call->answer, call->ca, trouble->retry_after, trouble->wait_s);
	return true;
}

static const struct {
	enum model_trouble_kind kind;
	long status;
	const char *type, *detail;
} refusals[] = {
	{TROUBLE_INTERNAL, 500, "serverInternal", "Internal error"},
	{TROUBLE_LIMITED, 429, "rateLimited", "Service busy; retry later"},
	{TROUBLE_PAUSED, 429, "rateLimited",
	 "Your account is temporarily prevented from requesting certificates. Please visit: "
	 "https://portal.example/unpause"},
	{TROUBLE_USER_ACTION, 403, "userActionRequired", "Terms of service have changed"},
	{TROUBLE_ACCOUNT_GONE, 400, "accountDoesNotExist", "Account not found"},
	{TROUBLE_BAD_NONCE, 400, "badNonce", "Unable to validate JWS: bad nonce"},
};

static bool answer_problem(struct model_call *call)
{
	const struct model_trouble *trouble;
	size_t i;

	for (i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
		trouble = model_trouble(call->ca, refusals[i].kind, call->resource);
		if (!trouble)
			continue;
		model_refuse(call, refusals[i].status, refusals[i].type, "%s", refusals[i].detail);
		model_set_retry_after(call->answer, call->ca, trouble->retry_after,
				      trouble->wait_s);
		if (call->request->method == MODEL_POST)
			model_nonce_make(call->ca, call->answer->nonce);
		return true;
	}
	return false;
}

bool model_trouble_before(struct model_call *call)
{
	const struct model_trouble *slow = model_trouble(call->ca, TROUBLE_SLOW, call->resource);

	if (slow)
		call->answer->delay_ms += (uint32_t)slow->value;
	return break_off(call) || answer_status(call) || answer_problem(call);
}

void model_trouble_after(struct model_call *call)
{
	const struct model_trouble *lost = model_trouble(call->ca, TROUBLE_LOST, call->resource);

	if (lost)
		call->answer->delivery = lost->value ? MODEL_NO_ANSWER : MODEL_CUT_OFF;
}
