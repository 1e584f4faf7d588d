// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/hindrances.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/paths.h"
#include "responder/json_file.h"
#include "responder/netlink.h"

/* Its statistics of this network namespace, from when the kernel's part of SYNPROXY is loaded on. */
#define SYNPROXY_PATH "/proc/net/stat/synproxy"

static const struct {
	const char *name, *text;
} kinds[HINDRANCE_KINDS] = {
	[HINDRANCE_VRF] = {"vrf", "interface %s belongs to a VRF: production gets what arrives "
				  "there, validations too"},
	[HINDRANCE_IPVLAN_L3S] = {"ipvlan_l3s",
				  "interface %s is an ipvlan in mode L3S, whose packets pass by "
				  "the classifier: production gets what arrives there, validations "
				  "too. Mode L2 or L3 can be steered"},
	[HINDRANCE_SYNPROXY] =
		{"synproxy", "table %s of the packet filter has a SYNPROXY rule: production gets "
			     "the connections that it answers, validations too"},
};

/* --- the list ---------------------------------------------------------------------------- */

static void add(struct hindrances *hindrances, enum hindrance_kind kind, const char *place,
		size_t size)
{
	struct hindrance hindrance = {.kind = kind};

	memcpy(hindrance.place, place,
	       size < sizeof(hindrance.place) ? size : sizeof(hindrance.place) - 1);
	for (size_t i = 0; i < hindrances->count; i++)
		if (!memcmp(&hindrances->list[i], &hindrance, sizeof(hindrance)))
			return;
	if (hindrances->count < sizeof(hindrances->list) / sizeof(hindrances->list[0]))
		hindrances->list[hindrances->count++] = hindrance;
}

/* A text, with its end or without. */
static bool is_text(const void *attribute, size_t size, const char *text)
{
	size_t length = strlen(text);

	return attribute && (size == length || size == length + 1) &&
	       !memcmp(attribute, text, length);
}

static bool has_text(const void *attributes, size_t size, unsigned int type, const char *text)
{
	size_t found_size = 0;
	const void *found = netlink_find(attributes, size, type, 0, &found_size);

	return is_text(found, found_size, text);
}

/* --- interfaces -------------------------------------------------------------------------- */

static bool is_l3s(const void *info, size_t info_size)
{
	size_t size = 0;
	const void *data = netlink_find(info, info_size, IFLA_INFO_DATA, 0, &size);
	const uint16_t *mode = netlink_find(data, size, IFLA_IPVLAN_MODE, sizeof(*mode), NULL);

	return mode && *mode == IPVLAN_MODE_L3S;
}

void hindrances_read_link(struct hindrances *hindrances, const struct nlmsghdr *message)
{
	size_t size = 0, info_size = 0, name_size = 0;
	const void *attributes = netlink_attributes(message, sizeof(struct ifinfomsg), &size);
	const char *name = netlink_find(attributes, size, IFLA_IFNAME, 1, &name_size);
	const void *info = netlink_find(attributes, size, IFLA_LINKINFO, 0, &info_size);

	if (message->nlmsg_type != RTM_NEWLINK || !name || !info)
		return;
	if (has_text(info, info_size, IFLA_INFO_SLAVE_KIND, "vrf"))
		add(hindrances, HINDRANCE_VRF, name, name_size);
	if (has_text(info, info_size, IFLA_INFO_KIND, "ipvlan") && is_l3s(info, info_size))
		add(hindrances, HINDRANCE_IPVLAN_L3S, name, name_size);
}

static void look_at_link(void *context, const struct nlmsghdr *message)
{
	hindrances_read_link(context, message);
}

static int find_on_links(struct hindrances *hindrances)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg link;
	} request = {.header = {.nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETLINK}};

	return netlink_dump(NETLINK_ROUTE, &request.header, look_at_link, hindrances);
}

static bool is_named(const struct hindrance *hindrance, const char *const *interfaces, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(interfaces[i], hindrance->place) == 0)
			return true;
	return !count;
}

/* Leave out those on interfaces that are not watched. */
static void keep_named(struct hindrances *hindrances, const char *const *interfaces, size_t count)
{
	struct hindrances kept = {0};

	for (size_t i = 0; i < hindrances->count; i++)
		if (is_named(&hindrances->list[i], interfaces, count))
			kept.list[kept.count++] = hindrances->list[i];
	*hindrances = kept;
}

/* --- the packet filter ------------------------------------------------------------------- */

/* nft's own expression or object, or what iptables makes of its target. */
static bool is_synproxy(const void *expression, size_t size)
{
	size_t data_size = 0;
	const void *data = netlink_find(expression, size, NFTA_EXPR_DATA, 0, &data_size);
	const uint32_t *type;

	if (has_text(expression, size, NFTA_EXPR_NAME, "synproxy"))
		return true;
	if (has_text(expression, size, NFTA_EXPR_NAME, "target"))
		return has_text(data, data_size, NFTA_TARGET_NAME, "SYNPROXY");
	type = netlink_find(data, data_size, NFTA_OBJREF_IMM_TYPE, sizeof(*type), NULL);
	return has_text(expression, size, NFTA_EXPR_NAME, "objref") && type &&
	       ntohl(*type) == NFT_OBJECT_SYNPROXY;
}

void hindrances_read_rule(struct hindrances *hindrances, const struct nlmsghdr *message)
{
	size_t size = 0, list_size = 0, table_size = 0, expression_size = 0;
	const void *attributes = netlink_attributes(message, sizeof(struct nfgenmsg), &size);
	const char *table = netlink_find(attributes, size, NFTA_RULE_TABLE, 1, &table_size);
	const char *list = netlink_find(attributes, size, NFTA_RULE_EXPRESSIONS, 0, &list_size);
	const char *end = list + list_size, *expression;

	if (message->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE) || !table)
		return;
	while (list) {
		expression = netlink_find(list, (size_t)(end - list), NFTA_LIST_ELEM, 0,
					  &expression_size);
		if (!expression)
			return;
		if (is_synproxy(expression, expression_size))
			add(hindrances, HINDRANCE_SYNPROXY, table, table_size);
		list = expression + NLA_ALIGN(expression_size);
		if (list >= end)
			return;
	}
}

static void look_at_rule(void *context, const struct nlmsghdr *message)
{
	hindrances_read_rule(context, message);
}

static int find_in_rules(struct hindrances *hindrances)
{
	struct {
		struct nlmsghdr header;
		struct nfgenmsg filter;
	} request = {
		.header = {.nlmsg_len = sizeof(request),
			   .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE},
		.filter = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0},
	};

	return netlink_dump(NETLINK_NETFILTER, &request.header, look_at_rule, hindrances);
}

/* Has it answered a SYN in this network namespace?  The second column, a line a CPU, in hex. */
static bool has_answered(FILE *statistics)
{
	unsigned int entries, syns;
	char line[256];
	bool answered = false;

	while (fgets(line, sizeof(line), statistics))
		answered |= sscanf(line, "%x %x", &entries, &syns) == 2 && syns;
	return answered;
}

/*
 * The rules are asked for only where the kernel has loaded what SYNPROXY needs: to ask loads
 * nf_tables.  Rules of the old iptables are not among them, but show when they are at work.
 */
static int find_synproxy(struct hindrances *hindrances)
{
	FILE *statistics = fopen(SYNPROXY_PATH, "re");
	size_t before = hindrances->count;
	bool answered;
	int err;

	if (!statistics)
		return errno == ENOENT ? 0 : -errno;
	answered = has_answered(statistics);
	fclose(statistics);
	err = find_in_rules(hindrances);
	if (err == -EPROTONOSUPPORT || err == -EINVAL) /* the kernel has no nf_tables */
		err = 0;
	if (answered && hindrances->count == before)
		add(hindrances, HINDRANCE_SYNPROXY, "iptables", sizeof("iptables"));
	return err;
}

/* --- all ------------------------------------------------------------------------------------ */

int hindrances_find(struct hindrances *ret_hindrances, const char *const *interfaces, size_t count)
{
	struct hindrances hindrances = {0};
	int links, rules;

	links = find_on_links(&hindrances);
	keep_named(&hindrances, interfaces, count);
	rules = find_synproxy(&hindrances);
	*ret_hindrances = hindrances;
	return links ? links : rules;
}

void hindrance_describe(const struct hindrance *hindrance, char *text, size_t size)
{
	const char *before = kinds[hindrance->kind].text, *place = strstr(before, "%s");

	snprintf(text, size, "%.*s%s%s", (int)(place - before), before, hindrance->place,
		 place + strlen("%s"));
}

static void print_hindrances(FILE *out, const void *context)
{
	const struct hindrances *hindrances = context;
	char text[256];

	fputs("{\"hindrances\": [", out);
	for (size_t i = 0; i < hindrances->count; i++) {
		const struct hindrance *hindrance = &hindrances->list[i];

		fprintf(out, "%s{\"kind\": \"%s\", \"place\": ", i ? ", " : "",
			kinds[hindrance->kind].name);
		json_file_print_string(out, hindrance->place);
		hindrance_describe(hindrance, text, sizeof(text));
		fputs(", \"text\": ", out);
		json_file_print_string(out, text);
		fputs("}", out);
	}
	fputs("]}\n", out);
}

int hindrances_write(const struct hindrances *hindrances, const struct paths *paths)
{
	int err = json_file_write(paths->hindrances, print_hindrances, hindrances);

	if (err)
		log_error("cannot write %s: %s", paths->hindrances, strerror(-err));
	return err;
}
