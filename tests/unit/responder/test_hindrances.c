// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What keeps connections from being steered, as netlink tells of it.  This kernel may have
 * neither VRF nor ipvlan: their messages are put together as rtnetlink(7) sends them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>

#include "responder/hindrances.h"

/* --- messages ------------------------------------------------------------------------------ */

static struct {
	union {
		struct nlmsghdr header;
		char bytes[4096];
	};
	size_t size;
} message;

static void begin(uint16_t type, size_t own_header)
{
	memset(&message, 0, sizeof(message));
	message.header.nlmsg_type = type;
	message.size = NLMSG_LENGTH(NLMSG_ALIGN(own_header));
}

static const struct nlmsghdr *end(void)
{
	message.header.nlmsg_len = (uint32_t)message.size;
	return &message.header;
}

static void put(uint16_t type, const void *data, size_t size)
{
	struct nlattr attribute = {.nla_len = (uint16_t)(NLA_HDRLEN + size), .nla_type = type};

	memcpy(message.bytes + message.size, &attribute, sizeof(attribute));
	memcpy(message.bytes + message.size + NLA_HDRLEN, data, size);
	message.size += NLA_ALIGN(attribute.nla_len);
}

static void put_text(uint16_t type, const char *text)
{
	put(type, text, strlen(text) + 1);
}

static size_t open_nest(uint16_t type)
{
	size_t at = message.size;

	put(type, "", 0);
	return at;
}

static void close_nest(size_t at)
{
	uint16_t length = (uint16_t)(message.size - at);

	memcpy(message.bytes + at, &length, sizeof(length));
}

/* --- interfaces ---------------------------------------------------------------------------- */

static void begin_link(const char *name)
{
	begin(RTM_NEWLINK, sizeof(struct ifinfomsg));
	put_text(IFLA_IFNAME, name);
}

static void read_ipvlan(struct hindrances *hindrances, const char *name, uint16_t mode)
{
	uint16_t flags = 0;
	size_t info, data;

	begin_link(name);
	info = open_nest(IFLA_LINKINFO);
	put_text(IFLA_INFO_KIND, "ipvlan");
	data = open_nest(IFLA_INFO_DATA | NLA_F_NESTED);
	put(IFLA_IPVLAN_FLAGS, &flags, sizeof(flags));
	put(IFLA_IPVLAN_MODE, &mode, sizeof(mode));
	close_nest(data);
	close_nest(info);
	hindrances_read_link(hindrances, end());
}

static void read_slave(struct hindrances *hindrances, const char *name, const char *master_kind)
{
	uint32_t number = 10;
	size_t info, data;

	begin_link(name);
	put(IFLA_MASTER, &number, sizeof(number));
	info = open_nest(IFLA_LINKINFO);
	put_text(IFLA_INFO_KIND, "veth");
	put_text(IFLA_INFO_SLAVE_KIND, master_kind);
	data = open_nest(IFLA_INFO_SLAVE_DATA);
	put(IFLA_VRF_PORT_TABLE, &number, sizeof(number));
	close_nest(data);
	close_nest(info);
	hindrances_read_link(hindrances, end());
}

/* Row S4. */
static void test_interface_of_a_vrf(void **state)
{
	struct hindrances found = {0};

	(void)state;
	read_slave(&found, "eth0", "bridge");
	assert_int_equal(found.count, 0);
	read_slave(&found, "eth1", "vrf");
	read_slave(&found, "eth1", "vrf");
	assert_int_equal(found.count, 1);
	assert_int_equal(found.list[0].kind, HINDRANCE_VRF);
	assert_string_equal(found.list[0].place, "eth1");
}

/* Row S4. */
static void test_ipvlan(void **state)
{
	struct hindrances found = {0};

	(void)state;
	read_ipvlan(&found, "ipvl0", IPVLAN_MODE_L2);
	read_ipvlan(&found, "ipvl1", IPVLAN_MODE_L3);
	assert_int_equal(found.count, 0);
	read_ipvlan(&found, "ipvl2", IPVLAN_MODE_L3S);
	assert_int_equal(found.count, 1);
	assert_int_equal(found.list[0].kind, HINDRANCE_IPVLAN_L3S);
	assert_string_equal(found.list[0].place, "ipvl2");
}

static void test_other_interfaces(void **state)
{
	struct hindrances found = {0};

	(void)state;
	begin_link("lo");
	hindrances_read_link(&found, end());
	begin(RTM_NEWLINK, sizeof(struct ifinfomsg));
	hindrances_read_link(&found, end());
	assert_int_equal(found.count, 0);
}

static void test_more_than_there_is_room_for(void **state)
{
	struct hindrances found = {0};
	char name[8] = "eth0";

	(void)state;
	for (int i = 0; i < 26; i++) {
		name[3] = (char)('a' + i);
		read_slave(&found, name, "vrf");
	}
	assert_int_equal(found.count, sizeof(found.list) / sizeof(found.list[0]));
	assert_string_equal(found.list[0].place, "etha");
}

/* --- the packet filter ----------------------------------------------------------------------- */

static size_t begin_rule(const char *table)
{
	begin(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE, sizeof(struct nfgenmsg));
	put_text(NFTA_RULE_TABLE, table);
	put_text(NFTA_RULE_CHAIN, "input");
	return open_nest(NFTA_RULE_EXPRESSIONS);
}

static void put_expression(const char *name, uint16_t type, const void *data, size_t size)
{
	size_t element = open_nest(NFTA_LIST_ELEM), nest;

	put_text(NFTA_EXPR_NAME, name);
	nest = open_nest(NFTA_EXPR_DATA);
	put(type, data, size);
	close_nest(nest);
	close_nest(element);
}

static void read_rule(struct hindrances *hindrances, size_t expressions)
{
	close_nest(expressions);
	hindrances_read_rule(hindrances, end());
}

/* As nft writes it: the rule ends in the expression, or in a reference to an object. */
static void test_synproxy_of_nft(void **state)
{
	uint32_t object = htonl(NFT_OBJECT_SYNPROXY), other = htonl(NFT_OBJECT_COUNTER), zero = 0;
	struct hindrances found = {0};
	size_t rule;

	(void)state;
	rule = begin_rule("quiet");
	put_expression("meta", NFTA_META_KEY, &zero, sizeof(zero));
	put_expression("objref", NFTA_OBJREF_IMM_TYPE, &other, sizeof(other));
	read_rule(&found, rule);
	assert_int_equal(found.count, 0);

	rule = begin_rule("first");
	put_expression("meta", NFTA_META_KEY, &zero, sizeof(zero));
	put_expression("synproxy", NFTA_SYNPROXY_MSS, &zero, 2);
	read_rule(&found, rule);
	rule = begin_rule("second");
	put_expression("objref", NFTA_OBJREF_IMM_TYPE, &object, sizeof(object));
	read_rule(&found, rule);
	assert_int_equal(found.count, 2);
	assert_int_equal(found.list[0].kind, HINDRANCE_SYNPROXY);
	assert_string_equal(found.list[0].place, "first");
	assert_string_equal(found.list[1].place, "second");
}

/* As iptables-nft writes it. */
static void test_synproxy_of_iptables(void **state)
{
	struct hindrances found = {0};
	size_t rule;

	(void)state;
	rule = begin_rule("filter");
	put_expression("target", NFTA_TARGET_NAME, "LOG", sizeof("LOG"));
	read_rule(&found, rule);
	assert_int_equal(found.count, 0);
	rule = begin_rule("filter");
	put_expression("target", NFTA_TARGET_NAME, "SYNPROXY", sizeof("SYNPROXY"));
	read_rule(&found, rule);
	assert_int_equal(found.count, 1);
	assert_string_equal(found.list[0].place, "filter");
}

/* A message that ends early, or whose lengths are wrong, tells nothing and is read no further. */
static void test_broken_messages(void **state)
{
	struct hindrances found = {0};
	struct nlmsghdr *broken = &message.header;
	size_t rule, whole;

	(void)state;
	rule = begin_rule("first");
	put_expression("synproxy", NFTA_SYNPROXY_MSS, "12", 2);
	close_nest(rule);
	whole = message.size;
	for (size_t size = sizeof(*broken); size < whole; size++) {
		broken->nlmsg_len = (uint32_t)size;
		hindrances_read_rule(&found, broken);
		broken->nlmsg_type = RTM_NEWLINK;
		hindrances_read_link(&found, broken);
		broken->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE;
	}
	for (size_t at = sizeof(*broken); at < whole; at++) {
		char before = message.bytes[at];

		message.bytes[at] = (char)0xff;
		broken->nlmsg_len = (uint32_t)whole;
		hindrances_read_rule(&found, broken);
		message.bytes[at] = before;
	}
	assert_true(found.count <= sizeof(found.list) / sizeof(found.list[0]));
}

/* --- this kernel's answers --------------------------------------------------------------------- */

static void test_nothing_in_a_new_namespace(void **state)
{
	struct hindrances found = {.count = 1};

	(void)state;
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_int_equal(hindrances_find(&found, NULL, 0), 0);
	assert_int_equal(found.count, 0);
}

static void test_each_has_a_sentence(void **state)
{
	struct hindrance hindrance = {.place = "eth7"};
	char text[256];

	(void)state;
	for (int kind = 0; kind < HINDRANCE_KINDS; kind++) {
		hindrance.kind = (enum hindrance_kind)kind;
		hindrance_describe(&hindrance, text, sizeof(text));
		assert_non_null(strstr(text, " eth7 "));
		assert_null(strstr(text, "%s"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interface_of_a_vrf),
		cmocka_unit_test(test_ipvlan),
		cmocka_unit_test(test_other_interfaces),
		cmocka_unit_test(test_more_than_there_is_room_for),
		cmocka_unit_test(test_synproxy_of_nft),
		cmocka_unit_test(test_synproxy_of_iptables),
		cmocka_unit_test(test_broken_messages),
		cmocka_unit_test(test_nothing_in_a_new_namespace),
		cmocka_unit_test(test_each_has_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
