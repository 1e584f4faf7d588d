// SPDX-License-Identifier: GPL-3.0-or-later
#include "bench/frames.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define NAME            "frames"
#define FAR_ADDRESS     0xc0000201u /* 192.0.2.1 */
#define NETMASK         0xffffff00u
#define FIRST_PORT      1024
#define CLIENT_ISN      0x10000000u
#define CLIENT_TIME     0x01020304u
#define ANSWER_LIMIT_MS 1000
#define FRAMES_SKIPPED  64 /* of earlier connections, before the awaited one comes */
#define TCP_OPTIONS_MAX 40

/* --- the interface --------------------------------------------------------------- */

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

static int set_address(int control, struct ifreq *request, unsigned long which, uint32_t address)
{
	struct sockaddr_in value = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};

	memcpy(&request->ifr_addr, &value, sizeof(value));
	return ioctl(control, which, request) ? -errno : 0;
}

/* Address it, learn what it is called by the kernel, and switch it on. */
static int configure(struct frames_tap *tap)
{
	struct ifreq request = {.ifr_name = NAME};
	int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;

	if (control < 0)
		return -errno;
	err = set_address(control, &request, SIOCSIFADDR, FRAMES_ADDRESS);
	if (!err)
		err = set_address(control, &request, SIOCSIFNETMASK, NETMASK);
	if (!err && ioctl(control, SIOCGIFHWADDR, &request))
		err = -errno;
	memcpy(tap->address, request.ifr_hwaddr.sa_data, sizeof(tap->address));
	request.ifr_flags = IFF_UP | IFF_NOARP;
	if (!err && ioctl(control, SIOCSIFFLAGS, &request))
		err = -errno;
	close(control);
	tap->ifindex = if_nametoindex(NAME);
	return err;
}

int frames_open(struct frames_tap *ret_tap)
{
	struct ifreq request = {.ifr_name = NAME, .ifr_flags = IFF_TAP | IFF_NO_PI};
	struct frames_tap tap = {.next_port = FIRST_PORT};
	int err;

	/* Absent where the kernel has no IPv6. */
	err = write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	if (err && err != -ENOENT)
		return err;
	tap.fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (tap.fd < 0)
		return -errno;
	err = ioctl(tap.fd, TUNSETIFF, &request) ? -errno : configure(&tap);
	if (err) {
		close(tap.fd);
		return err;
	}
	*ret_tap = tap;
	return 0;
}

/* --- frames ---------------------------------------------------------------------- */

static void append(struct frame *frame, const void *bytes, size_t size)
{
	assert(frame->size + size <= sizeof(frame->bytes));
	memcpy(frame->bytes + frame->size, bytes, size);
	frame->size += size;
}

/* The sum of RFC 1071 over `size` bytes, added to `sum`; not folded. */
static uint32_t add_sum(uint32_t sum, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i + 1 < size; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	return size & 1 ? sum + ((uint32_t)bytes[size - 1] << 8) : sum;
}

static uint16_t checksum(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t) ~(sum + (sum >> 16)));
}

/* RFC 791 section 3.1.  Returns the sum of the addresses, for the pseudo header. */
static uint32_t append_ipv4(struct frame *frame, size_t tcp_size)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = sizeof(ip) / 4,
		.tot_len = htons((uint16_t)(sizeof(ip) + tcp_size)),
		.ttl = 64,
		.protocol = IPPROTO_TCP,
		.saddr = htonl(FAR_ADDRESS),
		.daddr = htonl(FRAMES_ADDRESS),
	};

	ip.check = checksum(add_sum(0, (const uint8_t *)&ip, sizeof(ip)));
	append(frame, &ip, sizeof(ip));
	return add_sum(add_sum(0, (const uint8_t *)&ip.saddr, 4), (const uint8_t *)&ip.daddr, 4);
}

/* RFC 8200 section 3, with the addresses 2001:db8::1 and 2001:db8::2. */
static uint32_t append_ipv6(struct frame *frame, size_t tcp_size)
{
	struct ipv6hdr ip = {
		.version = 6,
		.payload_len = htons((uint16_t)tcp_size),
		.nexthdr = IPPROTO_TCP,
		.hop_limit = 64,
		.saddr.s6_addr = {0x20, 0x01, 0x0d, 0xb8, [15] = 1},
		.daddr.s6_addr = {0x20, 0x01, 0x0d, 0xb8, [15] = 2},
	};

	append(frame, &ip, sizeof(ip));
	return add_sum(add_sum(0, ip.saddr.s6_addr, 16), ip.daddr.s6_addr, 16);
}

/* RFC 9293 section 3.2, RFC 7323, RFC 2018.  Returns the size, in whole words. */
static size_t make_options(const struct frames_connection *connection, bool syn,
			   uint8_t ret_options[TCP_OPTIONS_MAX])
{
	const uint8_t of_syn[] = {2, 4, 0x05, 0xb4, /* maximum segment size 1460 */
				  4, 2, /* SACK permitted */
				  3, 3, 7, /* window scale */
				  1};
	const uint8_t timestamps[] = {1, 1, 8, 10};
	const uint32_t times[] = {htonl(CLIENT_TIME), htonl(connection->server_timestamp)};
	size_t size = 0;

	if (syn) {
		memcpy(ret_options, of_syn, sizeof(of_syn));
		size = sizeof(of_syn);
	}
	memcpy(ret_options + size, timestamps, sizeof(timestamps));
	memcpy(ret_options + size + sizeof(timestamps), times, sizeof(times));
	size += sizeof(timestamps) + sizeof(times);
	while (size % 4)
		ret_options[size++] = 0;
	return size;
}

void frames_make(const struct frames_tap *tap, const struct frames_connection *connection,
		 unsigned int flags, uint32_t offset, const void *payload, size_t size,
		 struct frame *ret_frame)
{
	const uint8_t far_address[ETH_ALEN] = {2, 0, 0, 0, 0, 1};
	uint16_t type = htons(connection->ipv6 ? ETH_P_IPV6 : ETH_P_IP);
	bool syn = flags & FRAMES_SYN;
	uint8_t options[TCP_OPTIONS_MAX];
	size_t options_size = make_options(connection, syn, options), tcp_size, tcp_at;
	struct tcphdr tcp = {
		.source = htons(connection->port),
		.dest = htons(connection->to_port ? connection->to_port : FRAMES_PORT),
		.seq = htonl(connection->client_isn + (syn ? 0 : 1 + offset)),
		.ack_seq = flags & FRAMES_ACK ? htonl(connection->server_isn + 1) : 0,
		.doff = (uint8_t)((sizeof(tcp) + options_size) / 4) & 15,
		.window = htons(0xfaf0),
		.fin = !!(flags & FRAMES_FIN),
		.syn = syn,
		.rst = !!(flags & FRAMES_RST),
		.ack = !!(flags & FRAMES_ACK),
	};
	uint32_t sum;

	assert(size <= FRAMES_PAYLOAD_MAX);
	tcp_size = sizeof(tcp) + options_size + size;
	ret_frame->size = 0;
	append(ret_frame, tap->address, ETH_ALEN);
	append(ret_frame, far_address, ETH_ALEN);
	append(ret_frame, &type, sizeof(type));
	sum = connection->ipv6 ? append_ipv6(ret_frame, tcp_size)
			       : append_ipv4(ret_frame, tcp_size);
	tcp_at = ret_frame->size;
	append(ret_frame, &tcp, sizeof(tcp));
	append(ret_frame, options, options_size);
	if (size)
		append(ret_frame, payload, size);
	sum = add_sum(sum + IPPROTO_TCP + (uint32_t)tcp_size, ret_frame->bytes + tcp_at, tcp_size);
	tcp.check = checksum(sum);
	memcpy(ret_frame->bytes + tcp_at, &tcp, sizeof(tcp));
}

/* --- connections ----------------------------------------------------------------- */

int frames_send(const struct frames_tap *tap, const struct frame *frame)
{
	return write(tap->fd, frame->bytes, frame->size) < 0 ? -errno : 0;
}

/* Is the frame the SYN-ACK of this connection?  Then learn from it. */
static bool learn(struct frames_connection *connection, const struct frame *frame)
{
	const size_t tcp_at = ETH_HLEN + sizeof(struct iphdr), size = sizeof(struct tcphdr);
	struct tcphdr tcp;
	uint32_t timestamp;
	const uint8_t *at, *end;

	if (frame->size < tcp_at + size || frame->bytes[ETH_HLEN] != 0x45 ||
	    frame->bytes[ETH_HLEN + 9] != IPPROTO_TCP)
		return false;
	memcpy(&tcp, frame->bytes + tcp_at, size);
	if (!tcp.syn || !tcp.ack || ntohs(tcp.dest) != connection->port ||
	    ntohl(tcp.ack_seq) != connection->client_isn + 1)
		return false;
	connection->server_isn = ntohl(tcp.seq);
	at = frame->bytes + tcp_at + size;
	end = frame->bytes + frame->size;
	while (at + 10 <= end && at[0]) {
		if (at[0] == 8) { /* timestamps, RFC 7323 section 3.2 */
			memcpy(&timestamp, at + 2, sizeof(timestamp));
			connection->server_timestamp = ntohl(timestamp);
			return true;
		}
		at += at[0] == 1 || !at[1] ? 1 : at[1];
	}
	return true;
}

static int await_syn_ack(const struct frames_tap *tap, struct frames_connection *connection)
{
	struct pollfd readable = {.fd = tap->fd, .events = POLLIN};
	struct frame frame;
	ssize_t size;

	for (int i = 0; i < FRAMES_SKIPPED; i++) {
		if (poll(&readable, 1, ANSWER_LIMIT_MS) <= 0)
			return -ETIMEDOUT;
		size = read(tap->fd, frame.bytes, sizeof(frame.bytes));
		if (size < 0)
			return -errno;
		frame.size = (size_t)size;
		if (learn(connection, &frame))
			return 0;
	}
	return -ETIMEDOUT;
}

int frames_connect(struct frames_tap *tap, struct frames_connection *ret_connection)
{
	struct frames_connection connection = {
		.port = tap->next_port,
		.client_isn = CLIENT_ISN + tap->next_port,
	};
	struct frame syn;
	int err;

	tap->next_port = tap->next_port == UINT16_MAX ? FIRST_PORT : (uint16_t)(tap->next_port + 1);
	frames_make(tap, &connection, FRAMES_SYN, 0, NULL, 0, &syn);
	err = frames_send(tap, &syn);
	if (!err)
		err = await_syn_ack(tap, &connection);
	if (!err)
		*ret_connection = connection;
	return err;
}

int frames_acknowledge(const struct frames_tap *tap, const struct frames_connection *connection)
{
	struct frame frame;

	frames_make(tap, connection, FRAMES_ACK, 0, NULL, 0, &frame);
	return frames_send(tap, &frame);
}

int frames_reset(const struct frames_tap *tap, const struct frames_connection *connection,
		 uint32_t offset)
{
	struct frame frame;

	frames_make(tap, connection, FRAMES_RST | FRAMES_ACK, offset, NULL, 0, &frame);
	return frames_send(tap, &frame);
}
