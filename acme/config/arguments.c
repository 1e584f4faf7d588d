/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/config/arguments.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/protocol/account.h"
#include "acme/util/failure.h"
#include "acme/net/http.h"
#include "acme/util/json.h"
#include "acme/crypto/key.h"
#include "common/challenge_table.h"
#include "common/version.h"

#define TIMEOUT_MAX_S 600

/* --- the verbs ------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	const char *operand; /* NULL: takes none; in brackets: may be left out */
	const char *summary;
	const char *text; /* for its own help */
} verbs[VERBS] = {
	[VERB_REGISTER] = {"register", NULL, "make an account at the CA, or find it again",
			   "certonly does this too; register alone is for checking that the CA can "
			   "be reached.\n\n"
			   "  sidestep register --agree-tos --email admin@example.org\n"},
	[VERB_SHOW_ACCOUNT] = {"show_account", NULL, "show our account as the CA has it",
			       "  sidestep show_account --json\n"
			       "  sidestep show_account --server https://ca.example/acme/directory "
			       "--account shop\n"},
	[VERB_UPDATE_ACCOUNT] =
		{"update_account", NULL, "change the account's contact address, or end it",
		 "An ended account cannot be had again: its key is put aside, and the next "
		 "`sidestep register`\nmakes another.  Certificates stay valid.\n\n"
		 "  sidestep update_account --email admin@example.org\n"
		 "  sidestep update_account --email ''    (no address)\n"
		 "  sidestep update_account --deactivate\n"},
	[VERB_ROLLOVER] =
		{"rollover", NULL, "replace the account's key",
		 "The new key is on the disk before the CA hears of it.  After a crash or a lost "
		 "answer, the\nnext run finds out which of the two keys the CA knows, and goes on "
		 "with that one.\n\n"
		 "  sidestep rollover\n"},
	[VERB_CERTONLY] =
		{"certonly", NULL, "get a certificate and keep it below /var/lib/sidestep/live/",
		 "Validates all names by tls-alpn-01 while the production server keeps port 443.  "
		 "A\ncertificate for the same names with more than a third of its life left is "
		 "kept.\n\n"
		 "  sidestep certonly --agree-tos -d example.org -d www.example.org \\\n"
		 "      --deploy-hook 'systemctl reload nginx'\n"},
	[VERB_RENEW] =
		{"renew", NULL, "renew all certificates that are due",
		 "Once, for a timer; `sidestep run` does it by itself.  What is due is told by "
		 "`sidestep plan`;\nnothing due is no failure.  --cert-name looks at one only.\n\n"
		 "  sidestep renew\n  sidestep renew --cert-name example.org --force-renewal\n"
		 "  sidestep renew --force-renewal --issued-before 2026-11-20    (a CA has to "
		 "revoke them)\n"},
	[VERB_RUN] =
		{"run", NULL, "renew certificates when they are due, until stopped",
		 "The daemon.  It does what `sidestep renew` does, at the moments that `sidestep "
		 "plan` shows.\nSIGTERM ends it; orders under way are gone on with by the next."
		 "\n\n  sidestep run\n"},
	[VERB_PLAN] = {"plan", "[NAME]", "show when which certificate is renewed",
		       "And what the CAs' limits leave.  Of the certificate NAME, also the last "
		       "attempts to get one.\n\n"
		       "  sidestep plan --json\n  sidestep plan example.org\n"},
	[VERB_CERTIFICATES] = {"certificates", NULL, "list the certificates that are there",
			       "  sidestep certificates --json\n"},
	[VERB_REVOKE] =
		{"revoke", "NAME", "have a certificate revoked by the CA that issued it",
		 "NAME is what `sidestep certificates` calls it.  It stays on the disk, and "
		 "is not renewed\nuntil `sidestep certonly` asks for it again.\n\n"
		 "  sidestep revoke example.org --reason keyCompromise\n"},
	[VERB_DELETE] = {"delete", "NAME", "remove a certificate from the disk",
			 "With its key and all earlier ones.  It is not revoked: `sidestep revoke` "
			 "first, if its key\nmay be known to others.\n\n"
			 "  sidestep delete example.org\n"},
	[VERB_IMPORT] =
		{"import", "DIR", "take certificates over from another ACME client",
		 "DIR is where certbot, lego, acme.sh or dehydrated keep them; which of these it "
		 "is, is known by\nwhat is in it.  Certificates and keys are copied, and renewed by "
		 "sidestep from then on; nothing in\nDIR is changed, and what is here already stays "
		 "as it is.  Hooks that only reload a service are\ntaken over, others shown; "
		 "--deploy-hook is for all.  Account keys are taken over where there is no\naccount "
		 "yet, if they are P-256: of lego and acme.sh they mostly are, of certbot and "
		 "dehydrated mostly not.\n--server is the CA of those of which DIR does not tell it.  Exits "
		 "with 1 when any is left out.\n\n"
		 "--json: client, imported, present, failed (how many), certificates[] with name, "
		 "result (imported,\npresent, failed), hook, hook_taken, certificate, error; "
		 "accounts[] with server, result (imported,\npresent, none, failed), error.\n\n"
		 "  sidestep import /etc/letsencrypt\n  sidestep import ~/.acme.sh --deploy-hook "
		 "'systemctl reload nginx'\n"},
	[VERB_PUBLISH] = {"publish", "NAME", "arm a name for a challenge that another client has",
			  "The name is answered from now on until --ttl is over or it is "
			  "withdrawn.\n\n"
			  "  sidestep publish example.org --key-authorization TOKEN.THUMBPRINT\n"},
	[VERB_WITHDRAW] = {"withdraw", "NAME", "disarm a name",
			   "  sidestep withdraw example.org\n"},
	[VERB_CHECK] =
		{"check", "NAME", "validate a name as a CA would, and say what stands in the way",
		 "Looks at the name's addresses and CAA records, arms it for a moment, and asks "
		 "each of its\naddresses as a CA does.  From this host, so a firewall or a "
		 "redirection further out is not\nseen.  Exits with 0 when a CA would "
		 "succeed.\n\n"
		 "  sidestep check www.example.org\n  sidestep check 192.0.2.1 --json\n"},
	[VERB_STATUS] =
		{"status", "[NAME]", "show the responder, armed names and counters",
		 "Of a NAME: whether it is armed, and what came for it since it was armed "
		 "last, which\ntells a CA that never arrived from one whose handshake failed.  "
		 "Without one, exits with 1\nwhen no responder runs.\n\n"
		 "  sidestep status --json\n  sidestep status example.org\n"},
};

#define BIT(verb)     (1u << (verb))
#define ALL_VERBS     (BIT(VERBS) - 1)
#define CHOICE_VERBS  (BIT(VERB_REGISTER) | BIT(VERB_CERTONLY)) /* say which CA */
#define CA_VERBS      (CHOICE_VERBS | BIT(VERB_RENEW) | BIT(VERB_RUN) | BIT(VERB_REVOKE))
#define ACCOUNT_VERBS (BIT(VERB_SHOW_ACCOUNT) | BIT(VERB_UPDATE_ACCOUNT) | BIT(VERB_ROLLOVER))
#define CONFIGURED_VERBS \
	(CA_VERBS | ACCOUNT_VERBS | BIT(VERB_CHECK) | BIT(VERB_PLAN) | BIT(VERB_IMPORT))
#define RENEWAL_VERBS (BIT(VERB_CERTONLY) | BIT(VERB_RENEW))

/* --- the options ----------------------------------------------------------------------------- */

/* What is being filled in. */
struct parsing {
	struct arguments arguments;
	const char *root;
	const char *eab_hmac_key;
	bool staging;
	bool help;
	bool version;
};

enum option_kind {
	OPTION_FLAG, /* a bool */
	OPTION_TEXT, /* a const char * */
	OPTION_SECONDS, /* a uint32_t */
	OPTION_DOMAIN, /* one more of arguments.domains */
};

#define FIELD(name) offsetof(struct parsing, name)

static const struct {
	const char *name;
	char letter; /* 0: none */
	enum option_kind kind;
	size_t field; /* offset in struct parsing */
	uint32_t max; /* of OPTION_SECONDS */
	const char *value; /* what stands for the value in help; NULL: takes none */
	unsigned int verbs; /* that take it */
	const char *help;
} options[] = {
	{"domain", 'd', OPTION_DOMAIN, 0, 0, "NAME", BIT(VERB_CERTONLY),
	 "a domain name or IP address; again for each, or commas between"},
	{"cert-name", 0, OPTION_TEXT, FIELD(arguments.cert_name), 0, "NAME", RENEWAL_VERBS,
	 "what the certificate is called on disk (certonly's default: the first name)"},
	{"deploy-hook", 0, OPTION_TEXT, FIELD(arguments.deploy_hook), 0, "COMMAND",
	 BIT(VERB_CERTONLY) | BIT(VERB_IMPORT),
	 "run for a new certificate, with RENEWED_LINEAGE and RENEWED_DOMAINS set"},
	{"force-renewal", 0, OPTION_FLAG, FIELD(arguments.force_renewal), 0, NULL, RENEWAL_VERBS,
	 "get a new certificate even if the present one is not due"},
	{"issued-after", 0, OPTION_TEXT, FIELD(arguments.issued_after), 0, "DATE", BIT(VERB_RENEW),
	 "with --force-renewal: only what was issued after it, before all else that is due"},
	{"issued-before", 0, OPTION_TEXT, FIELD(arguments.issued_before), 0, "DATE",
	 BIT(VERB_RENEW), "the same: only what was issued before it"},
	{"dry-run", 0, OPTION_FLAG, FIELD(arguments.dry_run), 0, NULL, RENEWAL_VERBS,
	 "try it at the CA's staging environment, and throw away what it gives"},
	{"key-type", 0, OPTION_TEXT, FIELD(arguments.key_type), 0, "TYPE", BIT(VERB_CERTONLY),
	 "p256 (the default), p384, rsa2048, rsa3072 or rsa4096"},
	{"reuse-key", 0, OPTION_FLAG, FIELD(arguments.reuse_key), 0, NULL, BIT(VERB_CERTONLY),
	 "keep the present certificate's key, now and at each renewal"},
	{"bundle", 0, OPTION_FLAG, FIELD(arguments.bundle), 0, NULL, BIT(VERB_CERTONLY),
	 "write bundle.pem, too, with full chain and key: for HAProxy"},
	{"preferred-profile", 0, OPTION_TEXT, FIELD(arguments.preferred_profile), 0, "PROFILE",
	 BIT(VERB_CERTONLY), "the CA's certificate profile to ask for, where it is offered"},
	{"required-profile", 0, OPTION_TEXT, FIELD(arguments.required_profile), 0, "PROFILE",
	 BIT(VERB_CERTONLY), "the same; without it there is no order"},
	{"preferred-chain", 0, OPTION_TEXT, FIELD(arguments.preferred_chain), 0, "ISSUER",
	 BIT(VERB_CERTONLY), "take the chain whose last certificate is issued by this common name"},
	{"resolver", 0, OPTION_TEXT, FIELD(arguments.resolver), 0, "ADDRESS",
	 BIT(VERB_CERTONLY) | BIT(VERB_CHECK),
	 "DNS resolver for checks (default: those of /etc/resolv.conf)"},
	{"no-probe", 0, OPTION_FLAG, FIELD(arguments.no_probe), 0, NULL,
	 RENEWAL_VERBS | BIT(VERB_RUN),
	 "tell the CA without asking this host's own port 443 first"},
	{"no-preflight", 0, OPTION_FLAG, FIELD(arguments.no_preflight), 0, NULL,
	 RENEWAL_VERBS | BIT(VERB_RUN), "order without looking at the DNS first"},
	{"server", 0, OPTION_TEXT, FIELD(arguments.server), 0, "CA",
	 CHOICE_VERBS | ACCOUNT_VERBS | BIT(VERB_CHECK) | BIT(VERB_IMPORT),
	 "the CA: its directory's URL, or its name in the configuration (default: letsencrypt)"},
	{"staging", 0, OPTION_FLAG, FIELD(staging), 0, NULL,
	 CHOICE_VERBS | ACCOUNT_VERBS | BIT(VERB_CHECK) | BIT(VERB_IMPORT),
	 "use Let's Encrypt's staging environment"},
	{"cacert", 0, OPTION_TEXT, FIELD(arguments.cacert), 0, "FILE",
	 CA_VERBS | ACCOUNT_VERBS | BIT(VERB_CHECK),
	 "PEM file of the only root certificates to trust the CA's server by"},
	{"agree-tos", 0, OPTION_FLAG, FIELD(arguments.agree_tos), 0, NULL, CA_VERBS,
	 "agree to the CA's terms of service"},
	{"email", 0, OPTION_TEXT, FIELD(arguments.email), 0, "ADDRESS",
	 CA_VERBS | BIT(VERB_UPDATE_ACCOUNT),
	 "contact address of a new account, or the new one of ours"},
	{"account", 0, OPTION_TEXT, FIELD(arguments.account), 0, "NAME",
	 CHOICE_VERBS | ACCOUNT_VERBS | BIT(VERB_REVOKE) | BIT(VERB_CHECK),
	 "which of our accounts at the CA (default: the one without a name)"},
	{"deactivate", 0, OPTION_FLAG, FIELD(arguments.deactivate), 0, NULL,
	 BIT(VERB_UPDATE_ACCOUNT), "end the account for good"},
	{"eab-kid", 0, OPTION_TEXT, FIELD(arguments.eab_kid), 0, "ID", CHOICE_VERBS,
	 "key id from the CA's web site, for a new account there"},
	{"eab-hmac-key-file", 0, OPTION_TEXT, FIELD(arguments.eab_hmac_key_file), 0, "FILE",
	 CHOICE_VERBS, "file with the HMAC key that belongs to it"},
	{"eab-hmac-key", 0, OPTION_TEXT, FIELD(eab_hmac_key), 0, "KEY", CHOICE_VERBS,
	 "refused: a secret on a command line is none"},
	{"reason", 0, OPTION_TEXT, FIELD(arguments.reason), 0, "REASON", BIT(VERB_REVOKE),
	 "why: keyCompromise, superseded, cessationOfOperation, ... (default: none given)"},
	{"timeout", 0, OPTION_SECONDS, FIELD(arguments.timeout_s), TIMEOUT_MAX_S, "SECONDS",
	 CA_VERBS | ACCOUNT_VERBS | BIT(VERB_CHECK), "for one request to the CA (default: 30)"},
	{"digest", 0, OPTION_TEXT, FIELD(arguments.digest), 0, "HEX", BIT(VERB_PUBLISH),
	 "SHA-256 of the key authorization, 64 hexadecimal digits"},
	{"key-authorization", 0, OPTION_TEXT, FIELD(arguments.key_authorization), 0, "TEXT",
	 BIT(VERB_PUBLISH), "the key authorization itself: TOKEN.THUMBPRINT"},
	{"ttl", 0, OPTION_SECONDS, FIELD(arguments.ttl_s), CHALLENGE_TTL_MAX_S, "SECONDS",
	 BIT(VERB_PUBLISH), "disarm the name after this time (default: 600)"},
	{"root", 0, OPTION_TEXT, FIELD(root), 0, "DIR", ALL_VERBS,
	 "put DIR before /var/lib/sidestep, /run/sidestep and /etc/sidestep"},
	{"json", 0, OPTION_FLAG, FIELD(arguments.json), 0, NULL, ALL_VERBS,
	 "one JSON document on standard output"},
	{"quiet", 'q', OPTION_FLAG, FIELD(arguments.quiet), 0, NULL, ALL_VERBS, "no progress"},
	{"verbose", 'v', OPTION_FLAG, FIELD(arguments.verbose), 0, NULL, ALL_VERBS,
	 "progress in plain lines, with every exchange"},
	{"help", 'h', OPTION_FLAG, FIELD(help), 0, NULL, ALL_VERBS, "this text"},
	{"version", 'V', OPTION_FLAG, FIELD(version), 0, NULL, ALL_VERBS, "the version"},
};

#define OPTION_COUNT   ((int)(sizeof(options) / sizeof(*options)))
#define OPTION_LETTERS ":d:qvhV" /* ':' first: getopt tells a missing value apart */

/* --- help ------------------------------------------------------------------------------------ */

static void print_options(enum verb verb)
{
	char left[64];
	int i;

	for (i = 0; i < OPTION_COUNT; i++) {
		if (!(options[i].verbs & BIT(verb)))
			continue;
		snprintf(left, sizeof(left), "%c%c%c --%s %s", options[i].letter ? '-' : ' ',
			 options[i].letter ? options[i].letter : ' ', options[i].letter ? ',' : ' ',
			 options[i].name, options[i].value ? options[i].value : "");
		printf("  %-28s %s\n", left, options[i].help);
	}
}

static void print_help(void)
{
	int verb;

	puts("sidestep: certificates by TLS-ALPN-01 beside a production server on port 443\n\n"
	     "usage: sidestep VERB [OPTION]...\n");
	for (verb = 0; verb < VERBS; verb++)
		printf("  %-14s %s\n", verbs[verb].name, verbs[verb].summary);
	puts("\n`sidestep help VERB` tells the options of each.\n"
	     "Exit status: 0 done, or nothing due; 1 failed; 2 wrong usage.");
}

static void print_verb_help(enum verb verb)
{
	const char *operand = verbs[verb].operand;

	printf("sidestep %s: %s\n\nusage: sidestep %s%s%s [OPTION]...\n\n%s\n", verbs[verb].name,
	       verbs[verb].summary, verbs[verb].name, operand ? " " : "", operand ? operand : "",
	       verbs[verb].text);
	print_options(verb);
}

/* --- parsing --------------------------------------------------------------------------------- */

static void take_seconds(uint32_t *ret_number, const char *text, int option,
			 struct failure *failure)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || number < 1 ||
	    number > options[option].max)
		failure_set(failure, NULL, "--%s takes a number of seconds from 1 to %u, not '%s'",
			    options[option].name, options[option].max, text);
	else
		*ret_number = (uint32_t)number;
}

static void take_option(struct parsing *parsing, int option, const char *value,
			struct failure *failure)
{
	struct arguments *arguments = &parsing->arguments;
	void *field = (char *)parsing + options[option].field;

	switch (options[option].kind) {
	case OPTION_FLAG:
		*(bool *)field = true;
		break;
	case OPTION_TEXT:
		*(const char **)field = value;
		break;
	case OPTION_SECONDS:
		take_seconds(field, value, option, failure);
		break;
	case OPTION_DOMAIN:
		/* There is room for argc of them. */
		arguments->domains[arguments->domain_count++] = value;
		break;
	}
}

/* getopt's code: a letter, or an option's number counted from where letters end. */
#define CODE_BASE 256

static int option_of_code(int code)
{
	int option;

	if (code >= CODE_BASE)
		return code - CODE_BASE;
	for (option = 0; option < OPTION_COUNT; option++)
		if (options[option].letter == code)
			return option;
	return -1;
}

/* Take all options; those given are marked, as the verb is not known yet. */
static void take_options(struct parsing *parsing, int argc, char **argv, bool given[OPTION_COUNT],
			 struct failure *failure)
{
	struct option long_options[OPTION_COUNT + 1] = {0};
	int code, option;

	for (option = 0; option < OPTION_COUNT; option++)
		long_options[option] = (struct option){
			.name = options[option].name,
			.has_arg = options[option].value ? required_argument : no_argument,
			.val = CODE_BASE + option};
	/* From the beginning, however often; without words of its own. */
	optind = 0;
	opterr = 0;
	while ((code = getopt_long(argc, argv, OPTION_LETTERS, long_options, NULL)) != -1) {
		option = option_of_code(code);
		if (option >= 0) {
			given[option] = true;
			take_option(parsing, option, optarg, failure);
		} else if (code == ':') {
			failure_set(failure, "see `sidestep help`", "the option %s needs a value",
				    argv[optind - 1]);
		} else if (optopt > 0 && optopt < CODE_BASE) {
			failure_set(failure, "see `sidestep help`", "there is no option -%c",
				    optopt);
		} else {
			failure_set(failure, "see `sidestep help`", "there is no option like %s",
				    argv[optind - 1]);
		}
	}
}

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
	int verb = argc ? find_verb(argv[0]) : -1, option;

	if (!argc)
		failure_set(failure, "see `sidestep help`", "no verb is given");
	else if (verb < 0)
		failure_set(failure, "see `sidestep help`", "there is no verb '%s'", argv[0]);
	if (verb < 0)
		return;
	parsing->arguments.verb = verb;
	if (argc > (verbs[verb].operand ? 2 : 1))
		failure_set(failure, "names of a certificate are given with -d",
			    "'%s' is too much for %s", argv[argc - 1], argv[0]);
	if (verbs[verb].operand && verbs[verb].operand[0] != '[' && argc < 2 && !parsing->help)
		failure_set(failure, NULL, "%s needs a %s", argv[0], verbs[verb].operand);
	else if (verbs[verb].operand && argc > 1)
		parsing->arguments.name = argv[1];
	for (option = 0; option < OPTION_COUNT; option++)
		if (given[option] && !(options[option].verbs & BIT(verb)))
			failure_set(failure, NULL, "--%s does not go with %s", options[option].name,
				    argv[0]);
}

/* What options mean together. */
static void conclude(struct parsing *parsing, struct failure *failure)
{
	struct arguments *arguments = &parsing->arguments;
	enum key_type type;

	if (arguments->account && !account_name_is_valid(arguments->account))
		failure_set(failure, NULL,
			    "--account takes letters, digits, hyphens and underscores, with no "
			    "hyphen at the beginning, not '%s'",
			    arguments->account);
	if (arguments->key_type && key_type_parse(&type, arguments->key_type))
		failure_set(failure, KEY_TYPE_NAMES, "there is no key type '%s'",
			    arguments->key_type);
	if (paths_init(&arguments->paths, parsing->root))
		failure_set(failure, NULL, "the directory of --root has too long a name");
	if (parsing->eab_hmac_key)
		failure_set(failure,
			    "write it into a file that only you can read, and give "
			    "--eab-hmac-key-file",
			    "an HMAC key on the command line can be read by every user of this "
			    "host");
	if (!arguments->eab_kid != !arguments->eab_hmac_key_file)
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
	if (arguments->quiet && arguments->verbose)
		failure_set(failure, NULL, "--quiet and --verbose exclude each other");
}

/* `sidestep help [VERB]`; false: it is something else. */
static bool show_help(int argc, char **argv, const struct parsing *parsing)
{
	bool is_help = argc > 0 && strcmp(argv[0], "help") == 0;
	int verb = -1;

	if (!is_help && !parsing->help)
		return false;
	argc -= is_help;
	argv += is_help;
	if (argc > 0)
		verb = find_verb(argv[0]);
	/* Of an unknown verb, take_verb() tells. */
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
		.arguments = {.ttl_s = CHALLENGE_TTL_DEFAULT_S,
			      .timeout_s = HTTP_TIMEOUT_DEFAULT_S},
	};
	bool given[OPTION_COUNT] = {false};
	enum arguments_result result = ARGUMENTS_WRONG;

	parsing.arguments.domains = calloc((size_t)argc, sizeof(*parsing.arguments.domains));
	if (!parsing.arguments.domains)
		failure_set_errno(failure, ENOMEM, "reading the command line");
	else
		take_options(&parsing, argc, argv, given, failure);
	ret_arguments->json = parsing.arguments.json;
	if (failure_is_set(failure))
		goto out;
	result = ARGUMENTS_SHOWN;
	if (parsing.version) {
		puts("sidestep " SIDESTEP_VERSION);
		goto out;
	}
	if (show_help(argc - optind, argv + optind, &parsing))
		goto out;
	take_verb(&parsing, argc - optind, argv + optind, given, failure);
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
	free(arguments->domains);
	arguments->domains = NULL;
}
