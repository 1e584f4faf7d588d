// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/config/arguments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/config/relative.h"
#include "acme/util/duration.h"
#include "acme/util/name.h"
#include "acme/util/failure.h"
#include "acme/util/json.h"
#include "acme/crypto/key.h"
#include "common/challenge_table.h"
#include "common/option_table.h"
#include "common/version.h"

#define TIMEOUT_MAX_S 600

/* --- the verbs ------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	const char *operand; /* NULL: takes none; in brackets: may be left out */
	const char *summary;
	const char *text; /* as in struct option_page */
} verbs[VERBS] = {
	[VERB_REGISTER] = {"register", NULL, "make an account at the CA, or find it again",
			   "`sidestep certonly` does this too. Use register alone to check "
			   "that the CA can be reached.\n"
			   "\n"
			   "  sidestep register --agree-tos --email admin@example.org\n"},
	[VERB_SHOW_ACCOUNT] = {"show_account", NULL, "show the account as the CA has it",
			       "  sidestep show_account --json\n"
			       "  sidestep show_account --server https://ca.example/acme/directory "
			       "--account shop\n"},
	[VERB_UPDATE_ACCOUNT] =
		{"update_account", NULL, "change the account's contact address, or end the account",
		 "An ended account is gone for good: its key is put aside, and the "
		 "next `sidestep register` makes another account. Certificates stay "
		 "valid.\n"
		 "\n"
		 "  sidestep update_account --email admin@example.org\n"
		 "  sidestep update_account --email ''    (no address)\n"
		 "  sidestep update_account --deactivate\n"},
	[VERB_ROLLOVER] = {"rollover", NULL, "replace the account's key",
			   "The new key is on the disk before the CA gets it. After a crash or "
			   "a lost answer, the next run finds out which of the two keys the CA "
			   "knows, and keeps that one.\n"
			   "\n"
			   "  sidestep rollover\n"},
	[VERB_CERTONLY] = {"certonly", NULL,
			   "get a certificate and keep it below /var/lib/sidestep/live/",
			   "Validates all names by tls-alpn-01 while the production server "
			   "keeps port 443. If there is a certificate for the same names with "
			   "more than a third of its life left, it stays: `sidestep "
			   "reconfigure` changes its settings. A certificate that sidestep.conf "
			   "names is ordered as it says there.\n"
			   "\n"
			   "  sidestep certonly --agree-tos -d example.org -d www.example.org "
			   "\\\n"
			   "      --deploy-hook 'systemctl reload nginx'\n"},
	[VERB_RECONFIGURE] =
		{"reconfigure", "NAME",
		 "change the settings of a certificate without getting a new one",
		 "What is given is used from now on, at each renewal; what is not "
		 "given stays. An empty value removes a setting, and --no- before the "
		 "name of a switch turns it off. A certificate that sidestep.conf "
		 "names is changed there. A new --renew-before is for the present "
		 "certificate, too. The hooks run again, beside a new certificate, "
		 "with --run-deploy-hooks: by a running `sidestep run`, or by the next `sidestep renew`.\n"
		 "\n"
		 "  sidestep reconfigure example.org --deploy-hook 'systemctl reload "
		 "nginx' --run-deploy-hooks\n"
		 "  sidestep reconfigure example.org --deploy-hook '' --no-bundle\n"},
	[VERB_RENEW] = {"renew", NULL, "renew all certificates that are due",
			"Runs once, for a timer; `sidestep run` renews by itself. `sidestep "
			"plan` shows what is due. It is no failure if nothing is. With "
			"--cert-name, only that certificate is looked at.\n"
			"\n"
			"  sidestep renew\n"
			"  sidestep renew --cert-name example.org --force-renewal\n"
			"  sidestep renew --force-renewal --issued-before 2026-11-20    (a "
			"CA has to revoke them)\n"},
	[VERB_RUN] = {"run", NULL, "renew certificates when they are due, until stopped",
		      "The daemon. It does what `sidestep renew` does, at the times that "
		      "`sidestep plan` shows. SIGHUP reads the configuration again. "
		      "SIGTERM ends it; the next run continues orders that are under way.\n"
		      "\n"
		      "  sidestep run\n"},
	[VERB_PLAN] = {"plan", "[NAME]", "show when each certificate is renewed, and why",
		       "A line for each certificate: when it is ordered next (UTC), what it is "
		       "doing (waiting, retrying, held, ordering, paused, retired), why, at which "
		       "CA, and its last certificate or its failures. Also shows what is left of "
		       "the CAs' rate limits. With the NAME of a certificate, also shows the last "
		       "attempts to get it. --ca, --tenant and --failed show some of them.\n"
		       "\n"
		       "  sidestep plan --failed\n"
		       "  sidestep plan example.org\n"},
	[VERB_CERTIFICATES] =
		{"certificates", "[NAME]...", "list the certificates on the disk",
		 "The first to expire comes first. With NAMEs, shows all of these. With --warn, "
		 "shows those that expire within so many days, have expired, cannot be read, are "
		 "gone, or were never issued for a failure; the exit status is 1 if there are any: for "
		 "monitoring.\n"
		 "\n"
		 "  sidestep certificates --warn 14 --json\n"
		 "  sidestep certificates --ca letsencrypt\n"},
	[VERB_PAUSE] = {"pause", "[NAME]...", "stop renewing certificates for a while",
			"They stay in use. NAMEs, or a filter, or both say which: --ca, --tenant, "
			"--failed; --all is every one.\n"
			"\n"
			"  sidestep pause shop.example.org --reason 'moves to another host'\n"
			"  sidestep pause --tenant shop\n"},
	[VERB_UNPAUSE] =
		{"unpause", "[NAME]...", "renew certificates again that were paused",
		 "Also those that a CA, or `sidestep revoke`, has paused. NAMEs and filters "
		 "are those of `sidestep pause`.\n"
		 "\n"
		 "  sidestep unpause --all\n"},
	[VERB_RETRY] =
		{"retry", "[NAME]...", "try again now what waits after a failure",
		 "Certificates whose last attempt failed, that are put off, or that are paused, "
		 "are due now, and hooks that failed run again: in a running `sidestep run`, "
		 "or at the next `sidestep renew`. Limits and pauses of the CAs still hold. "
		 "NAMEs and filters are those of `sidestep pause`.\n"
		 "\n"
		 "  sidestep retry --failed\n"
		 "  sidestep retry --ca letsencrypt --all\n"},
	[VERB_REVOKE] = {"revoke", "NAME", "ask the CA to revoke a certificate that it issued",
			 "NAME is what `sidestep certificates` calls it. The certificate "
			 "stays on the disk. It is not renewed until `sidestep certonly` "
			 "asks for it again.\n"
			 "\n"
			 "  sidestep revoke example.org --reason keyCompromise\n"},
	[VERB_RESTORE] = {"restore", "NAME", "use an earlier certificate again",
			  "Copies it, with its key, as the newest one, and runs the hooks for it. "
			  "Without --generation it is the one before the present one. So many are "
			  "kept as keep-generations and keep-days say.\n"
			  "\n"
			  "  sidestep restore example.org\n"
			  "  sidestep restore example.org --generation 7\n"},
	[VERB_DELETE] = {"delete", "NAME", "remove a certificate from the disk",
			 "Also removes its key and all earlier certificates of this NAME. "
			 "Nothing is revoked: use `sidestep revoke` first if others may know "
			 "the key.\n"
			 "\n"
			 "  sidestep delete example.org\n"},
	[VERB_IMPORT] = {"import", "DIR", "take certificates over from another ACME client",
			 "DIR is where certbot, lego, acme.sh or dehydrated keep their "
			 "certificates; the files in it show which client it is. Sidestep "
			 "copies certificates and keys and renews them from then on. Nothing "
			 "in DIR changes, and certificates that are here already stay as "
			 "they are.\n"
			 "\n"
			 "Hooks that only reload a service are taken over, others are shown; "
			 "--deploy-hook gives one hook to all. Account keys are taken over "
			 "if they are P-256 and there is no account yet: those of lego and "
			 "acme.sh mostly are, those of certbot and dehydrated mostly are "
			 "not. --server is the CA of the certificates for which DIR does not "
			 "name one. The exit status is 1 if any certificate is left out. "
			 "Hooks and settings that are not taken over are named.\n"
			 "\n"
			 "--json: client, imported, present, failed (how many), "
			 "certificates[] with name, result (imported, present, failed), "
			 "hook, hook_taken, certificate, error; accounts[] with server, "
			 "result (imported, present, none, failed), error; left_out[].\n"
			 "\n"
			 "  sidestep import /etc/letsencrypt\n"
			 "  sidestep import ~/.acme.sh --deploy-hook 'systemctl reload "
			 "nginx'\n"},
	[VERB_PUBLISH] = {"publish", "NAME", "arm a name for the challenge of another ACME client",
			  "Validations of the name are answered from now on, until --ttl is "
			  "over or the name is withdrawn.\n"
			  "\n"
			  "  sidestep publish example.org --key-authorization "
			  "TOKEN.THUMBPRINT\n"},
	[VERB_WITHDRAW] = {"withdraw", "NAME", "disarm a name",
			   "  sidestep withdraw example.org\n"},
	[VERB_CHECK] = {"check", "NAME",
			"validate a name as a CA would, and say what stands in the way",
			"Looks up the name's addresses and CAA records, arms the name for a "
			"moment, and connects to each address as a CA does. It connects "
			"from this host, so it does not see a firewall or a redirection "
			"further out. The exit status is 0 if a CA would succeed.\n"
			"\n"
			"  sidestep check www.example.org\n"
			"  sidestep check 192.0.2.1 --json\n"},
	[VERB_STATUS] = {"status", "[NAME]", "show the responder, armed names and counters",
			 "With a NAME, shows whether it is armed and which connections came "
			 "for it since it was last armed. This tells a CA that never arrived "
			 "from a CA whose handshake failed. Without a NAME, the exit status "
			 "is 1 if no responder runs.\n"
			 "\n"
			 "  sidestep status --json\n"
			 "  sidestep status example.org\n"},
};

#define BIT(verb)     (1u << (verb))
#define ALL_VERBS     (BIT(VERBS) - 1)
#define CHOICE_VERBS  (BIT(VERB_REGISTER) | BIT(VERB_CERTONLY)) /* say which CA */
#define CA_VERBS      (CHOICE_VERBS | BIT(VERB_RENEW) | BIT(VERB_RUN) | BIT(VERB_REVOKE))
#define ACCOUNT_VERBS (BIT(VERB_SHOW_ACCOUNT) | BIT(VERB_UPDATE_ACCOUNT) | BIT(VERB_ROLLOVER))
#define MANY_VERBS    (BIT(VERB_PAUSE) | BIT(VERB_UNPAUSE) | BIT(VERB_RETRY))
#define FILTER_VERBS  (MANY_VERBS | BIT(VERB_PLAN) | BIT(VERB_CERTIFICATES))
#define CONFIGURED_VERBS                                                                  \
	(CA_VERBS | ACCOUNT_VERBS | BIT(VERB_CHECK) | BIT(VERB_PLAN) | BIT(VERB_IMPORT) | \
	 BIT(VERB_RECONFIGURE) | MANY_VERBS | BIT(VERB_CERTIFICATES))
#define RENEWAL_VERBS (BIT(VERB_CERTONLY) | BIT(VERB_RENEW))

/* --- the options ----------------------------------------------------------------------------- */

#define FIELD(member) OPTION_FIELD(struct parsing, member)

#define ORDER           (BIT(VERB_CERTONLY) | BIT(VERB_RECONFIGURE))
#define ORDER_OR_IMPORT (ORDER | BIT(VERB_IMPORT))
#define CERTIFICATE_ROW(kind_, member_, name_, value_, certbot_, verbs_, help_) \
	{.name = name_,                                                         \
	 .kind = OPTION_##kind_,                                                \
	 FIELD(arguments.certificate.member_),                                  \
	 .value = value_,                                                       \
	 .may_be_empty = true,                                                  \
	 .verbs = verbs_,                                                       \
	 .help = help_},

/* --no-NAME for each switch. */
#define NO_ROW(kind_, member_, name_, ...) NO_ROW_##kind_(member_, name_)
#define NO_ROW_TEXT(member_, name_)
#define NO_ROW_FLAG(member_, name_) \
	{.name = "no-" name_,       \
	 .kind = OPTION_FLAG,       \
	 FIELD(no.member_),         \
	 .verbs = ORDER,            \
	 .help = "Turn --" name_ " off."},
#define NO_FIELD(kind_, member_, ...) NO_FIELD_##kind_(member_)
#define NO_FIELD_TEXT(member_)
#define NO_FIELD_FLAG(member_)              bool member_;
#define TAKE_NO(kind_, member_, name_, ...) TAKE_NO_##kind_(member_, name_)
#define TAKE_NO_TEXT(member_, name_)
#define TAKE_NO_FLAG(member_, name_)                                                             \
	if (parsing->no.member_ && arguments->certificate.member_)                               \
		failure_set(failure, NULL, "--" name_ " and --no-" name_ " exclude each other"); \
	if (parsing->no.member_)                                                                 \
		arguments->certificate.member_ = SETTING_NO;

/* What is being filled in. */
struct parsing {
	struct arguments arguments;
	const char *root;
	const char *eab_hmac_key;
	bool staging;
	struct {
		/* clang-format off */
		CERTIFICATE_SETTINGS(NO_FIELD)
		/* clang-format on */
	} no;
	bool help, help_man, help_man_conf, version;
};

#define NAME_AND_HELP(kind, member, name, value, certbot, verbs, help) {name, help},

static const struct option_row rows[] = {
	{.name = "domain",
	 .letter = 'd',
	 .kind = OPTION_TEXTS,
	 FIELD(arguments.domains),
	 .value = "NAME",
	 .verbs = BIT(VERB_CERTONLY),
	 .help = "A domain name or IP address. May be repeated, or given with commas "
		 "between."},
	{.name = "cert-name",
	 .kind = OPTION_TEXT,
	 FIELD(arguments.cert_name),
	 .value = "NAME",
	 .verbs = RENEWAL_VERBS,
	 .help = "What the certificate is called on disk. Default for certonly: the "
		 "first name."},
	/* clang-format off */
	CERTIFICATE_SETTINGS(CERTIFICATE_ROW)
	CERTIFICATE_SETTINGS(NO_ROW)
	/* clang-format on */
	{.name = "run-deploy-hooks",
	 .kind = OPTION_FLAG,
	 FIELD(arguments.run_deploy_hooks),
	 .verbs = BIT(VERB_RECONFIGURE),
	 .help = "Run the hooks of the certificate again."},
	{.name = "force-renewal",
	 .kind = OPTION_FLAG,
	 FIELD(arguments.force_renewal),
	 .verbs = RENEWAL_VERBS,
	 .help = "Get a new certificate even if the present one is not due."},
	{.name = "issued-after",
	 .kind = OPTION_TEXT,
	 FIELD(arguments.issued_after),
	 .value = "DATE",
	 .verbs = BIT(VERB_RENEW),
	 .help = "With --force-renewal: only certificates issued after this date, "
		 "before all else that is due."},
	{.name = "issued-before",
	 .kind = OPTION_TEXT,
	 FIELD(arguments.issued_before),
	 .value = "DATE",
	 .verbs = BIT(VERB_RENEW),
	 .help = "With --force-renewal: only certificates issued before this date, "
		 "before all else that is due."},
	{.name = "dry-run",
	 .kind = OPTION_FLAG,
	 FIELD(arguments.dry_run),
	 .verbs = RENEWAL_VERBS,
	 .help = "Try it at the CA's staging environment, and keep nothing."},
	{.name = "resolver",
	 .kind = OPTION_TEXT,
	 FIELD(arguments.resolver),
	 .value = "ADDRESS",
	 .verbs = BIT(VERB_CERTONLY) | BIT(VERB_CHECK),
	 .help = "Ask this DNS resolver in checks. Default: those of "
		 "/etc/resolv.conf."},
	{.name = "no-probe",
	 .kind = OPTION_FLAG,
	 FIELD(arguments.no_probe),
	 .verbs = RENEWAL_VERBS | BIT(VERB_RUN),
	 .help = "Do not connect to this host's own port 443 before the CA does."},
	{.name = "no-preflight",
	 .kind = OPTION_FLAG,
	 FIELD(arguments.no_preflight),
	 .verbs = RENEWAL_VERBS | BIT(VERB_RUN),
	 .help = "Do not look at the DNS before ordering."},
	{.name = "ca",
	 .kind = OPTION_TEXT,
	 FIELD(arguments.ca_filter),
	 .value = "CA",
	 .verbs = FILTER_VERBS,
	 .help = "Only certificates that this CA would be asked for next, by its name or URL."},
	{.name = "tenant",
	 .kind = OPTION_TEXT,
	 FIELD(arguments.tenant),
	 .value = "NAME",
	 .may_be_empty = true,
	 .verbs = FILTER_VERBS,
	 .help = "Only certificates of this tenant; '' is none."},
	{.name = "failed",
	 .kind = OPTION_FLAG,
	 FIELD(arguments.failed),
	 .verbs = FILTER_VERBS,
	 .help = "Only certificates whose last attempt or hook failed, or that are paused."},
	{.name = "all",
	 .kind = OPTION_FLAG,
	 FIELD(arguments.all),
	 .verbs = MANY_VERBS,
	 .help = "All certificates that no other filter leaves out."},
	{.name = "warn",
	 .kind = OPTION_NUMBER,
	 FIELD(arguments.warn_days),
	 .max = 3650,
	 .value = "DAYS",
	 .verbs = BIT(VERB_CERTIFICATES),
	 .help = "Show only what expires within so many days; the exit status is 1 if anything "
		 "does."},
	{.name = "retire-many",
	 .kind = OPTION_FLAG,
	 FIELD(arguments.retire_many),
	 .verbs = BIT(VERB_PLAN) | BIT(VERB_RENEW) | BIT(VERB_RUN),
	 .help = "Stop renewing what the configuration no longer names, even if that is more "
		 "than a tenth of its certificates."},
	{.name = "server",
	 .kind = OPTION_TEXT,
	 FIELD(arguments.server),
	 .value = "CA",
	 .verbs = CHOICE_VERBS | ACCOUNT_VERBS | BIT(VERB_CHECK) | BIT(VERB_IMPORT) |
		  BIT(VERB_RECONFIGURE),
	 .help = "The CA: the URL of its directory, its name in the configuration, "
		 "or the name of a known CA (sidestep.conf(5)). Default: letsencrypt."},
	{.name = "staging",
	 .kind = OPTION_FLAG,
	 FIELD(staging),
	 .verbs = CHOICE_VERBS | ACCOUNT_VERBS | BIT(VERB_CHECK) | BIT(VERB_IMPORT) |
		  BIT(VERB_RECONFIGURE),
	 .help = "Use Let's Encrypt's staging environment."},
	{.name = "cacert",
	 .kind = OPTION_TEXT,
	 FIELD(arguments.ca.cacert),
	 .value = "FILE",
	 .verbs = CA_VERBS | ACCOUNT_VERBS | BIT(VERB_CHECK),
	 .help = "Trust the CA's server by the root certificates in this PEM file, "
		 "and by no others."},
	{.name = "agree-tos",
	 .kind = OPTION_FLAG,
	 FIELD(arguments.ca.agree_tos),
	 .verbs = CA_VERBS,
	 .help = "Agree to the CA's terms of service."},
	{.name = "email",
	 .kind = OPTION_TEXT,
	 FIELD(arguments.ca.email),
	 .value = "ADDRESS",
	 .may_be_empty = true,
	 .verbs = CA_VERBS | BIT(VERB_UPDATE_ACCOUNT),
	 .help = "The contact address of a new account; for update_account, the new "
		 "address."},
	{.name = "account",
	 .kind = OPTION_TEXT,
	 FIELD(arguments.ca.account),
	 .value = "NAME",
	 .may_be_empty = true,
	 .verbs = CHOICE_VERBS | ACCOUNT_VERBS | BIT(VERB_REVOKE) | BIT(VERB_CHECK) |
		  BIT(VERB_RECONFIGURE),
	 .help = "Which account at the CA to use. Default: the one without a name."},
	{.name = "deactivate",
	 .kind = OPTION_FLAG,
	 FIELD(arguments.deactivate),
	 .verbs = BIT(VERB_UPDATE_ACCOUNT),
	 .help = "End the account for good."},
	{.name = "eab-kid",
	 .kind = OPTION_TEXT,
	 FIELD(arguments.ca.eab_kid),
	 .value = "ID",
	 .verbs = CHOICE_VERBS,
	 .help = "The key id from the CA's web site, for a new account there."},
	{.name = "eab-hmac-key-file",
	 .kind = OPTION_TEXT,
	 FIELD(arguments.ca.eab_hmac_key_file),
	 .value = "FILE",
	 .verbs = CHOICE_VERBS,
	 .help = "The file with the HMAC key that belongs to --eab-kid."},
	{.name = "eab-hmac-key",
	 .kind = OPTION_TEXT,
	 FIELD(eab_hmac_key),
	 .value = "KEY",
	 .verbs = CHOICE_VERBS,
	 .help = "Refused: every user of this host can read a command line."},
	{.name = "reason",
	 .kind = OPTION_TEXT,
	 FIELD(arguments.reason),
	 .value = "REASON",
	 .verbs = BIT(VERB_REVOKE) | BIT(VERB_PAUSE),
	 .help = "Why. For revoke: keyCompromise, superseded, cessationOfOperation, ...; for "
		 "pause: a text for `sidestep plan`. Default: none given."},
	{.name = "generation",
	 .kind = OPTION_NUMBER,
	 FIELD(arguments.generation),
	 .max = 1000000000,
	 .value = "NUMBER",
	 .verbs = BIT(VERB_RESTORE),
	 .help = "The certificate of this number in archive/NAME. Default: the previous one."},
	{.name = "timeout",
	 .kind = OPTION_NUMBER,
	 FIELD(arguments.timeout_s),
	 .max = TIMEOUT_MAX_S,
	 .value = "SECONDS",
	 .verbs = CA_VERBS | ACCOUNT_VERBS | BIT(VERB_CHECK),
	 .help = "Give each request to the CA this long. Default: 30."},
	{.name = "digest",
	 .kind = OPTION_TEXT,
	 FIELD(arguments.digest),
	 .value = "HEX",
	 .verbs = BIT(VERB_PUBLISH),
	 .help = "The SHA-256 of the key authorization, in 64 hexadecimal digits."},
	{.name = "key-authorization",
	 .kind = OPTION_TEXT,
	 FIELD(arguments.key_authorization),
	 .value = "TEXT",
	 .verbs = BIT(VERB_PUBLISH),
	 .help = "The key authorization itself: TOKEN.THUMBPRINT."},
	{.name = "ttl",
	 .kind = OPTION_NUMBER,
	 FIELD(arguments.ttl_s),
	 .max = CHALLENGE_TTL_MAX_S,
	 .value = "SECONDS",
	 .verbs = BIT(VERB_PUBLISH),
	 .help = "Disarm the name after this time. Default: 600."},
	{.name = "root",
	 .kind = OPTION_TEXT,
	 FIELD(root),
	 .value = "DIR",
	 .may_be_empty = true,
	 .verbs = ALL_VERBS,
	 .help = "Put DIR before /var/lib/sidestep, /run/sidestep and /etc/sidestep."},
	{.name = "json",
	 .kind = OPTION_FLAG,
	 FIELD(arguments.json),
	 .verbs = ALL_VERBS,
	 .help = "Print one JSON document."},
	{.name = "quiet",
	 .letter = 'q',
	 .kind = OPTION_FLAG,
	 FIELD(arguments.quiet),
	 .verbs = ALL_VERBS,
	 .help = "Show no progress."},
	{.name = "verbose",
	 .letter = 'v',
	 .kind = OPTION_FLAG,
	 FIELD(arguments.verbose),
	 .verbs = ALL_VERBS,
	 .help = "Show progress in lines, and every exchange with the CA."},
	{.name = "help",
	 .letter = 'h',
	 .kind = OPTION_FLAG,
	 FIELD(help),
	 .verbs = ALL_VERBS,
	 .help = "Print this and exit."},
	{.name = "version",
	 .letter = 'V',
	 .kind = OPTION_FLAG,
	 FIELD(version),
	 .verbs = ALL_VERBS,
	 .help = "Print the version and exit."},
	{.name = "help-man", .kind = OPTION_FLAG, FIELD(help_man), .verbs = ALL_VERBS},
	{.name = "help-man-conf", .kind = OPTION_FLAG, FIELD(help_man_conf), .verbs = ALL_VERBS},
};

#define OPTION_COUNT (sizeof(rows) / sizeof(*rows))

static const struct option_table table = {rows, OPTION_COUNT};

/* --- help ------------------------------------------------------------------------------------ */

#define SUMMARY "Gets certificates by TLS-ALPN-01 beside a production server on port 443.\n"
#define STATUS  "Exit status: 0 done, or nothing was due; 1 failed; 2 wrong usage.\n"

static void print_help(void)
{
	int verb;

	puts("usage: sidestep VERB [OPTION]...\n\n" SUMMARY);
	for (verb = 0; verb < VERBS; verb++)
		printf("  %-14s %s\n", verbs[verb].name, verbs[verb].summary);
	puts("\n`sidestep help VERB` explains a verb and its options.\n\n" STATUS);
}

/* The page of a verb, by one of the printers of option_table.h. */
static void print_verb(enum verb verb, void (*print)(const struct option_page *page, FILE *out))
{
	const char *operand = verbs[verb].operand;
	char command[32], usage[32];
	const struct option_page page = {
		.command = command,
		.usage = usage,
		.before = verbs[verb].text,
		.table = &table,
		.verbs = BIT(verb),
	};

	snprintf(command, sizeof(command), "sidestep %s", verbs[verb].name);
	snprintf(usage, sizeof(usage), "%s%s[OPTION]...", operand ? operand : "",
		 operand ? " " : "");
	print(&page, stdout);
}

static void print_verb_help(enum verb verb)
{
	printf("sidestep %s: %s\n\n", verbs[verb].name, verbs[verb].summary);
	print_verb(verb, option_print_help);
}

/* All verbs, for the manual page. */
static void print_man(void)
{
	int verb;

	option_print_man_text(SUMMARY, stdout);
	puts(".Bl -tag -width update_account");
	for (verb = 0; verb < VERBS; verb++)
		printf(".It Cm %s\n%s\n", verbs[verb].name, verbs[verb].summary);
	puts(".El\n.Sh VERBS");
	for (verb = 0; verb < VERBS; verb++) {
		printf(".Ss sidestep %s\n", verbs[verb].name);
		print_verb(verb, option_print_man);
	}
}

/* The settings of certificates, for the manual page of the configuration. */
static void print_man_conf(void)
{
	static const struct {
		const char *name, *help;
	} settings[] = {CERTIFICATE_SETTINGS(NAME_AND_HELP)};
	size_t i;

	for (i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		printf(".It Ic %s\n", settings[i].name);
		option_print_man_text(settings[i].help, stdout);
	}
}

/* --- parsing --------------------------------------------------------------------------------- */

static int find_verb(const char *name)
{
	int verb;

	for (verb = 0; verb < VERBS; verb++)
		if (strcmp(name, verbs[verb].name) == 0)
			return verb;
	return -1;
}

/* The verb and its operand, and which options go with it. */
static void take_verb(struct parsing *parsing, int argc, char **argv,
		      const bool given[OPTION_COUNT], struct failure *failure)
{
	int verb = argc ? find_verb(argv[0]) : -1;
	bool takes_many;
	size_t i;

	if (!argc)
		failure_set(failure, "see `sidestep help`", "no verb is given");
	else if (verb < 0)
		failure_set(failure, "see `sidestep help`", "there is no verb '%s'", argv[0]);
	if (verb < 0)
		return;
	parsing->arguments.verb = verb;
	takes_many = verbs[verb].operand && strstr(verbs[verb].operand, "...");
	if (!takes_many && argc > (verbs[verb].operand ? 2 : 1))
		failure_set(failure,
			    verb == VERB_CERTONLY ? "give the names of a certificate with -d"
			    : verb == VERB_RENEW  ? "name one certificate with --cert-name"
						  : "see `sidestep help`",
			    "%s does not take the argument '%s'", argv[0], argv[argc - 1]);
	if (verbs[verb].operand && verbs[verb].operand[0] != '[' && argc < 2 && !parsing->help)
		failure_set(failure, NULL, "%s needs a %s", argv[0], verbs[verb].operand);
	else if (verbs[verb].operand && argc > 1)
		parsing->arguments.name = argv[1];
	if (takes_many && argc > 1) {
		parsing->arguments.names = (const char *const *)argv + 1;
		parsing->arguments.name_count = (size_t)argc - 1;
	}
	for (i = 0; i < OPTION_COUNT; i++)
		if (given[i] && !(rows[i].verbs & BIT(verb)))
			failure_set(failure, NULL, "--%s does not go with %s", rows[i].name,
				    argv[0]);
}

/* A hook runs in another directory, and perhaps years later. */
static void make_hook_absolute(struct arguments *arguments, struct failure *failure)
{
	const char *hook = arguments->certificate.deploy_hook;

	if (!hook || !*hook)
		return;
	arguments->deploy_hook = relative_command("", hook);
	arguments->certificate.deploy_hook = arguments->deploy_hook;
	if (!arguments->deploy_hook)
		failure_set_errno(failure, errno, "reading --deploy-hook");
}

/* What options mean together. */
static void conclude(struct parsing *parsing, struct failure *failure)
{
	struct arguments *arguments = &parsing->arguments;
	enum key_type type;
	int64_t before_s;

	if (arguments->ca.account && !*arguments->ca.account) {
		if (arguments->verb != VERB_RECONFIGURE)
			failure_set(failure, "leave it out for the account without a name",
				    "--account has an empty value");
	} else if (arguments->ca.account && !account_name_is_valid(arguments->ca.account)) {
		failure_set(failure, NULL,
			    "--account takes letters, digits, hyphens and underscores, with no "
			    "hyphen at the beginning, not '%s'",
			    arguments->ca.account);
	}
	CERTIFICATE_SETTINGS(TAKE_NO)
	if (arguments->certificate.key_type && *arguments->certificate.key_type &&
	    key_type_parse(&type, arguments->certificate.key_type))
		failure_set(failure, KEY_TYPE_NAMES, "there is no key type '%s'",
			    arguments->certificate.key_type);
	if (arguments->certificate.renew_before && *arguments->certificate.renew_before &&
	    !duration_parse(&before_s, arguments->certificate.renew_before))
		failure_set(failure, DURATION_EXAMPLES, "--renew-before takes a time, not '%s'",
			    arguments->certificate.renew_before);
	if (paths_init(&arguments->paths, parsing->root))
		failure_set(failure, NULL, "the path given with --root is too long");
	if (parsing->eab_hmac_key)
		failure_set(failure,
			    "write it into a file that only you can read, and give "
			    "--eab-hmac-key-file",
			    "every user of this host can read an HMAC key on the command line");
	if (!arguments->ca.eab_kid != !arguments->ca.eab_hmac_key_file)
		failure_set(failure, NULL, "--eab-kid and --eab-hmac-key-file go together");
	if (arguments->server && parsing->staging)
		failure_set(failure, NULL, "--server and --staging exclude each other");
	arguments->server_given = arguments->server || parsing->staging;
	if (parsing->staging)
		arguments->server = CA_STAGING;
	if ((arguments->issued_after || arguments->issued_before) &&
	    (!arguments->force_renewal || arguments->cert_name))
		failure_set(
			failure, NULL,
			"--issued-after and --issued-before go with --force-renewal, and without "
			"--cert-name");
	make_hook_absolute(arguments, failure);
	if (arguments->quiet && arguments->verbose)
		failure_set(failure, NULL, "--quiet and --verbose exclude each other");
}

/* --version, --help and `sidestep help [VERB]`; false: it is something else. */
static bool show_help(int argc, char **argv, const struct parsing *parsing)
{
	bool is_help = argc > 0 && strcmp(argv[0], "help") == 0;
	int verb = -1;

	if (parsing->version) {
		puts("sidestep " SIDESTEP_VERSION);
		return true;
	}
	if (parsing->help_man || parsing->help_man_conf) {
		(parsing->help_man ? print_man : print_man_conf)();
		return true;
	}
	if (!is_help && !parsing->help)
		return false;
	argc -= is_help;
	argv += is_help;
	if (argc > 0)
		verb = find_verb(argv[0]);
	/* take_verb() refuses an unknown verb. */
	if (argc > 0 && verb < 0)
		return false;
	if (verb < 0)
		print_help();
	else
		print_verb_help(verb);
	return true;
}

enum arguments_result arguments_parse(struct arguments *ret_arguments, int argc, char **argv,
				      struct failure *failure)
{
	struct parsing parsing = {
		.root = "",
		.arguments = {.ttl_s = CHALLENGE_TTL_DEFAULT_S, .timeout_s = TIMEOUT_DEFAULT_S},
	};
	enum arguments_result result = ARGUMENTS_WRONG;
	bool given[OPTION_COUNT] = {false};
	struct option_error err = {0};
	int first = argc;

	parsing.arguments.domains.items =
		calloc((size_t)argc, sizeof(*parsing.arguments.domains.items));
	if (!parsing.arguments.domains.items)
		failure_set_errno(failure, ENOMEM, "reading the command line");
	else
		first = option_parse(&table, argc, argv, &parsing, given, &err);
	if (err.text[0])
		failure_set(failure, "see `sidestep help`", "%s", err.text);
	ret_arguments->json = parsing.arguments.json;
	if (failure_is_set(failure))
		goto out;
	result = ARGUMENTS_SHOWN;
	if (show_help(argc - first, argv + first, &parsing))
		goto out;
	take_verb(&parsing, argc - first, argv + first, given, failure);
	conclude(&parsing, failure);
	result = failure_is_set(failure) ? ARGUMENTS_WRONG : ARGUMENTS_RUN;
out:
	if (result == ARGUMENTS_RUN)
		*ret_arguments = parsing.arguments;
	else
		arguments_done(&parsing.arguments);
	return result;
}

bool arguments_use_configuration(const struct arguments *arguments)
{
	return CONFIGURED_VERBS & BIT(arguments->verb);
}

void arguments_done(struct arguments *arguments)
{
	free(arguments->domains.items);
	free(arguments->deploy_hook);
	arguments->domains = (struct option_texts){0};
	arguments->deploy_hook = NULL;
}
