// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/cmd/show.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "acme/config/settings.h"
#include "acme/util/json.h"
#include "acme/util/output.h"
#include "acme/store/store.h"

#define TIME_SIZE sizeof("2026-11-23T12:00:00Z")
#define HOUR_S    3600
#define DAY_S     SHOW_DAY_S

static void format_time(char ret_text[TIME_SIZE + 8], int64_t unix_s, const char *format)
{
	time_t moment = (time_t)unix_s;
	struct tm utc;

	/* A certificate has no years of five digits. */
	if (!gmtime_r(&moment, &utc) || !strftime(ret_text, TIME_SIZE + 8, format, &utc))
		strcpy(ret_text, "?");
}

/* --- in tables ----------------------------------------------------------------------------------- */

struct show_moment show_date(int64_t moment_s)
{
	struct show_moment moment;

	format_time(moment.text, moment_s, "%Y-%m-%d");
	return moment;
}

struct show_moment show_when(int64_t moment_s, int64_t now_s)
{
	struct show_moment moment = {"now"};

	if (moment_s > now_s + 330 * (int64_t)DAY_S)
		return show_date(moment_s);
	if (moment_s > now_s)
		format_time(moment.text, moment_s, "%m-%d %H:%M");
	return moment;
}

struct show_moment show_left(int64_t left_s)
{
	struct show_moment moment = {"EXPIRED"};

	if (left_s >= 2 * DAY_S)
		snprintf(moment.text, sizeof(moment.text), "%" PRId64 " d", left_s / DAY_S);
	else if (left_s >= 0)
		snprintf(moment.text, sizeof(moment.text), "%" PRId64 " h", left_s / HOUR_S);
	return moment;
}

void show_ca(char ret_text[SHOW_CA_SIZE], const struct settings *settings, const char *server)
{
	const char *name = server ? settings_ca_name(settings, server) : "-";
	const char *host = server ? strstr(server, "://") : NULL;

	if (name)
		snprintf(ret_text, SHOW_CA_SIZE, "%s", name);
	else
		snprintf(ret_text, SHOW_CA_SIZE, "%.*s",
			 host ? (int)strcspn(host + 3, "/") : (int)strlen(server),
			 host ? host + 3 : server);
}

/* --- one certificate ----------------------------------------------------------------------------- */

json_t *show_json(const struct stored *stored)
{
	const struct certificate *certificate = &stored->certificate;
	char not_before[TIME_SIZE + 8], not_after[TIME_SIZE + 8];
	json_t *names = json_array();
	size_t i;

	for (i = 0; i < certificate->name_count; i++)
		json_array_append_new(names, json_string(certificate->names[i].value));
	format_time(not_before, certificate->not_before_s, "%Y-%m-%dT%H:%M:%SZ");
	format_time(not_after, certificate->not_after_s, "%Y-%m-%dT%H:%M:%SZ");
	return json_pack("{s:s, s:o, s:s, s:s, s:s, s:o, s:s?}", "name", stored->name, "names",
			 names, "not_before", not_before, "not_after", not_after, "serial",
			 certificate->serial, "path", json_new_text(stored->path), "server",
			 stored->server);
}

static void describe_expiry(const struct certificate *certificate, int64_t now_s)
{
	int64_t left_s = certificate->not_after_s - now_s;
	char not_after[TIME_SIZE + 8];

	format_time(not_after, certificate->not_after_s, "%Y-%m-%d %H:%M UTC");
	if (left_s < 0)
		output_line("  expires  %s (EXPIRED)", not_after);
	else if (left_s < 2 * DAY_S)
		output_line("  expires  %s (in %" PRId64 " hours)", not_after, left_s / 3600);
	else
		output_line("  expires  %s (in %" PRId64 " days)", not_after, left_s / DAY_S);
}

void show_text(const struct stored *stored, int64_t now_s)
{
	const struct certificate *certificate = &stored->certificate;
	size_t i;

	output_line("%s", stored->name);
	for (i = 0; i < certificate->name_count; i++)
		output_line("  %-7s  %s", i ? "" : "names", certificate->names[i].value);
	describe_expiry(certificate, now_s);
	output_line("  serial   %s", certificate->serial);
	if (stored->server)
		output_line("  issuer   %s", stored->server);
	output_line("  files    %s/{privkey,cert,chain,fullchain}.pem", stored->path);
}
