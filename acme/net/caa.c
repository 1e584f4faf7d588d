// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/net/caa.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/*
 * RFC 8659 section 4.1: the highest bit.  So many records have the lowest set instead that
 * Boulder takes it for the same.
 */
#define FLAGS_CRITICAL (0x80 | 0x01)

/* What is left of a value that is being read. */
struct cursor {
	const char *at, *end;
};

struct word {
	const char *text;
	size_t size;
};

/* An issue property's value, RFC 8659 section 4.2, with the parameters of RFC 8657. */
struct issue_value {
	struct word issuer; /* empty: no CA */
	struct word account, methods; /* text NULL: not restricted */
};

/* --- reading a value ------------------------------------------------------------------------- */

static void caa_skip_blanks(struct cursor *cursor)
{
	while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\t'))
		cursor->at++;
}

static bool take_char(struct cursor *cursor, char c)
{
	if (cursor->at == cursor->end || *cursor->at != c)
		return false;
	cursor->at++;
	return true;
}

/* Letters, digits and hyphens, those not at an end: "label" and "tag" of the grammar. */
static bool take_label(struct cursor *cursor, struct word *ret_label)
{
	const char *begin = cursor->at;

	while (cursor->at < cursor->end &&
	       (isalnum((unsigned char)*cursor->at) || *cursor->at == '-'))
		cursor->at++;
	if (cursor->at == begin || *begin == '-' || cursor->at[-1] == '-')
		return false;
	*ret_label = (struct word){begin, (size_t)(cursor->at - begin)};
	return true;
}

static bool take_issuer(struct cursor *cursor, struct word *ret_issuer)
{
	const char *begin = cursor->at;
	struct word label;

	if (cursor->at == cursor->end || *cursor->at == ';') {
		*ret_issuer = (struct word){begin, 0};
		return true;
	}
	do {
		if (!take_label(cursor, &label))
			return false;
	} while (take_char(cursor, '.'));
	*ret_issuer = (struct word){begin, (size_t)(cursor->at - begin)};
	return true;
}

/* Printable, without blank and semicolon. */
static struct word take_parameter_value(struct cursor *cursor)
{
	const char *begin = cursor->at;

	while (cursor->at<cursor->end && * cursor->at> ' ' && *cursor->at < 0x7f &&
	       *cursor->at != ';')
		cursor->at++;
	return (struct word){begin, (size_t)(cursor->at - begin)};
}

static bool word_is(struct word word, const char *text)
{
	return strlen(text) == word.size && strncasecmp(word.text, text, word.size) == 0;
}

/* One "tag=value".  A second one of a kind says that the record's author is confused. */
static bool take_parameter(struct cursor *cursor, struct issue_value *value)
{
	struct word tag, *known = NULL, found;

	if (!take_label(cursor, &tag))
		return false;
	caa_skip_blanks(cursor);
	if (!take_char(cursor, '='))
		return false;
	caa_skip_blanks(cursor);
	found = take_parameter_value(cursor);
	if (word_is(tag, "accounturi"))
		known = &value->account;
	else if (word_is(tag, "validationmethods"))
		known = &value->methods;
	if (known && known->text)
		return false;
	if (known)
		*known = found;
	return true;
}

/* False: the value does not follow the grammar. */
static bool caa_read_value(struct issue_value *ret_value, const struct caa_record *record)
{
	struct cursor cursor = {record->value, record->value + record->value_size};
	struct issue_value value = {0};

	caa_skip_blanks(&cursor);
	if (!take_issuer(&cursor, &value.issuer))
		return false;
	caa_skip_blanks(&cursor);
	while (cursor.at < cursor.end) {
		if (!take_char(&cursor, ';'))
			return false;
		caa_skip_blanks(&cursor);
		/* A semicolon behind the last parameter: the grammar lacks it, the world does not. */
		if (cursor.at == cursor.end)
			break;
		if (!take_parameter(&cursor, &value))
			return false;
		caa_skip_blanks(&cursor);
	}
	*ret_value = value;
	return true;
}

/* --- judging --------------------------------------------------------------------------------- */

static bool is_issuer(struct word issuer, const struct caa_question *question)
{
	size_t i;

	for (i = 0; i < question->issuer_count; i++)
		if (word_is(issuer, question->issuers[i]))
			return true;
	return false;
}

/* RFC 8657 section 4: labels with commas between. */
static bool has_method(struct word methods, const char *method)
{
	const char *at = methods.text, *end = methods.text + methods.size, *comma;
	size_t size;

	for (;;) {
		comma = memchr(at, ',', (size_t)(end - at));
		size = (size_t)((comma ? comma : end) - at);
		if (size == strlen(method) && memcmp(at, method, size) == 0)
			return true;
		if (!comma)
			return false;
		at = comma + 1;
	}
}

/* RFC 8657 section 3: a URI is compared as it stands. */
static bool is_account(struct word account, const char *url)
{
	return strlen(url) == account.size && memcmp(account.text, url, account.size) == 0;
}

/* What one issue property says, as if it were alone. */
static enum caa_reason judge_issue(const struct caa_record *record,
				   const struct caa_question *question)
{
	struct issue_value value;

	if (!caa_read_value(&value, record))
		return CAA_MALFORMED;
	if (!value.issuer.size)
		return CAA_NOBODY;
	if (question->issuer_count && !is_issuer(value.issuer, question))
		return CAA_OTHER_ISSUER;
	if (value.methods.text && !has_method(value.methods, question->method))
		return CAA_OTHER_METHOD;
	if (value.account.text && question->account_url &&
	    !is_account(value.account, question->account_url))
		return CAA_OTHER_ACCOUNT;
	if (!question->issuer_count)
		return CAA_ISSUER_UNKNOWN;
	if (value.account.text && !question->account_url)
		return CAA_ACCOUNT_UNKNOWN;
	return CAA_PERMITTED;
}

/*
 * How much a property's answer counts when there are several: one that permits is enough,
 * and of those that forbid the one that comes nearest to us tells the user most.
 */
static int reason_weight(enum caa_reason reason)
{
	static const enum caa_reason rising[] = {
		CAA_NOBODY,        CAA_MALFORMED,      CAA_OTHER_ISSUER,    CAA_OTHER_METHOD,
		CAA_OTHER_ACCOUNT, CAA_ISSUER_UNKNOWN, CAA_ACCOUNT_UNKNOWN, CAA_PERMITTED,
	};
	int i;

	for (i = 0; rising[i] != reason; i++)
		;
	return i;
}

static enum caa_verdict verdict_of(enum caa_reason reason)
{
	switch (reason) {
	case CAA_NO_RECORDS:
	case CAA_NO_ISSUE:
	case CAA_PERMITTED:
		return CAA_ALLOWED;
	case CAA_ISSUER_UNKNOWN:
	case CAA_ACCOUNT_UNKNOWN:
		return CAA_UNKNOWN;
	default:
		return CAA_FORBIDDEN;
	}
}

static bool is_known(const char *tag)
{
	/* RFC 8659 section 4, RFC 9495: those that Boulder knows. */
	static const char *const tags[] = {"issue", "issuewild", "iodef", "issuemail"};
	size_t i;

	for (i = 0; i < sizeof(tags) / sizeof(*tags); i++)
		if (strcasecmp(tag, tags[i]) == 0)
			return true;
	return false;
}

struct caa_finding caa_judge(const struct caa_record *records, size_t count,
			     const struct caa_question *question)
{
	struct caa_finding finding = {.reason = count ? CAA_NO_ISSUE : CAA_NO_RECORDS};
	const struct caa_record *record;
	enum caa_reason reason;

	for (record = records; record < records + count; record++) {
		if ((record->flags & FLAGS_CRITICAL) && !is_known(record->tag))
			return (struct caa_finding){CAA_FORBIDDEN, CAA_CRITICAL, record};
		if (strcasecmp(record->tag, "issue") != 0)
			continue;
		reason = judge_issue(record, question);
		if (finding.record && reason_weight(reason) <= reason_weight(finding.reason))
			continue;
		finding.reason = reason;
		finding.record = record;
	}
	finding.verdict = verdict_of(finding.reason);
	return finding;
}

const char *caa_parent(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot && dot[1] ? dot + 1 : NULL;
}

/* --- words ----------------------------------------------------------------------------------- */

const char *caa_verdict_name(enum caa_verdict verdict)
{
	static const char *const names[] = {
		[CAA_ALLOWED] = "allowed",
		[CAA_FORBIDDEN] = "forbidden",
		[CAA_UNKNOWN] = "unknown",
	};

	return names[verdict];
}

const char *caa_reason_name(enum caa_reason reason)
{
	static const char *const names[] = {
		[CAA_NO_RECORDS] = "no_records",
		[CAA_NO_ISSUE] = "no_issue",
		[CAA_PERMITTED] = "permitted",
		[CAA_CRITICAL] = "critical",
		[CAA_NOBODY] = "nobody",
		[CAA_MALFORMED] = "malformed",
		[CAA_OTHER_ISSUER] = "other_issuer",
		[CAA_OTHER_METHOD] = "other_method",
		[CAA_OTHER_ACCOUNT] = "other_account",
		[CAA_ISSUER_UNKNOWN] = "issuer_unknown",
		[CAA_ACCOUNT_UNKNOWN] = "account_unknown",
	};

	return names[reason];
}
