// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/protocol/ari.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "acme/protocol/client.h"
#include "acme/net/http.h"
#include "acme/util/json.h"

#define URL_MAX 2048

/* A window is a help, so a CA that does not answer delays nobody by much. */
#define ARI_TIMEOUT_S 10

struct ari_request {
	struct http_request *exchange;
	void (*done)(void *context, const struct ari_answer *answer);
	void *context;
};

/* Read "Z", or a sign, hours and minutes, as an offset in seconds, which the caller subtracts. */
static bool read_offset(int64_t *ret_offset_s, const char *text)
{
	int hours, minutes, end = 0;
	char sign;

	*ret_offset_s = 0;
	if ((text[0] == 'Z' || text[0] == 'z') && !text[1])
		return true;
	if (strlen(text) != strlen("+00:00") || !isdigit((unsigned char)text[1]) ||
	    sscanf(text, "%c%2d:%2d%n", &sign, &hours, &minutes, &end) != 3 || text[end] ||
	    (sign != '+' && sign != '-') || hours > 23 || hours < 0 || minutes > 59 || minutes < 0)
		return false;
	*ret_offset_s = (sign == '+' ? 60 : -60) * (int64_t)(hours * 60 + minutes);
	return true;
}

bool ari_read_time(int64_t *ret_unix_s, const char *text)
{
	struct tm utc = {0};
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);
	int64_t offset_s;

	/* Accept the years 0 to 9999 only, so that nothing overflows. */
	if (!rest || rest - text != (ptrdiff_t)strlen("2026-11-26T12:00:00"))
		return false;
	if (*rest == '.') {
		rest++;
		if (!isdigit((unsigned char)*rest))
			return false;
		rest += strspn(rest, "0123456789");
	}
	if (!read_offset(&offset_s, rest))
		return false;
	*ret_unix_s = timegm(&utc) - offset_s;
	return true;
}

bool ari_read(struct ari_answer *ret_answer, const char *body, size_t size,
	      char ret_explanation_url[URL_MAX])
{
	json_t *object = json_read(body, size);
	const json_t *window = json_object_get(object, "suggestedWindow");
	const char *start = json_read_string(window, "start"),
		   *end = json_read_string(window, "end");
	const char *url = json_read_url(object, "explanationURL");
	struct ari_answer answer = {0};

	/* RFC 9773 section 4.2: the end comes after the start. */
	answer.has_window = start && end && ari_read_time(&answer.start_s, start) &&
			    ari_read_time(&answer.end_s, end) && answer.end_s > answer.start_s;
	if (answer.has_window && url) {
		snprintf(ret_explanation_url, URL_MAX, "%s", url);
		answer.explanation_url = ret_explanation_url;
	}
	json_decref(object);
	if (answer.has_window)
		*ret_answer = answer;
	return answer.has_window;
}

static void on_ari_answer(void *context, const struct http_response *response)
{
	struct ari_request *request = context;
	struct ari_answer answer = {0};
	char url[URL_MAX];

	if (!response->error && response->status == 200)
		ari_read(&answer, response->body, response->body_size, url);
	answer.retry_after_s = response->retry_after_s;
	answer.is_silent = response->error;
	request->done(request->context, &answer);
	free(request);
}

struct ari_request *ari_ask(struct ca *ca, const char *url, const char *certificate_id,
			    void (*done)(void *context, const struct ari_answer *answer),
			    void *context)
{
	struct ari_request *request = calloc(1, sizeof(*request));
	struct http_call call = {
		.timeout_s = ARI_TIMEOUT_S, .done = on_ari_answer, .context = request};
	char *full = NULL;
	int err = -1;

	if (request && asprintf(&full, "%s/%s", url, certificate_id) < 0)
		full = NULL;
	if (full) {
		call.url = full;
		request->done = done;
		request->context = context;
		err = ca_get(ca, &request->exchange, &call);
		free(full);
	}
	if (!err)
		return request;
	free(request);
	return NULL;
}

void ari_cancel(struct ari_request *request)
{
	if (!request)
		return;
	http_cancel(request->exchange);
	free(request);
}
