// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A wire with faults: forwarder [OPTION]... CLIENT_INTERFACE SERVER_INTERFACE
 *
 * Carries Ethernet frames between two interfaces of its network namespace, and loses,
 * delays, duplicates and corrupts TCP segments.  Everything else (ARP, neighbour
 * discovery) passes at once.  Segments that a sending host leaves to its card's offloads
 * are cut and get their checksums here: what leaves is what a wire carries.
 *
 *   --seed N                 (default: 1)
 *   --loss P                 percent of the segments that are lost
 *   --late P                 percent that come 5 ms later, so that others overtake them
 *   --duplicate P            percent that come twice
 *   --corrupt P              percent that come with one bit flipped
 *   --delay MS --jitter MS   every segment is under way for MS, more or less
 *   --lose WHICH             lose just this segment of each connection; again for more
 *   --hold WHICH             let just this one come late; again for more
 *   --trace FILE             write a line for each TCP segment
 *
 * WHICH is c0, c1, ... for the client's segments and s0, s1, ... for the server's.
 *
 * What becomes of a segment follows from the seed, the client's address, the number of
 * the connection among those of this address, the direction, and the number of the
 * segment.  So two runs, or two wires, with the same seed treat the same connections alike.
 *
 * Prints one JSON object of counts when SIGTERM or its parent's end ends it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S    UINT64_C(1000000000)
#define NS_PER_MS   1000000
#define LATE_NS     (UINT64_C(5) * NS_PER_MS)
#define FRAME_MAX   (ETH_HLEN + 65535)
#define QUEUE_MAX   16384 /* frames under way */
#define FLOWS       (1u << 15) /* connections, at most */
#define CLIENTS_MAX 64
#define CHOSEN_MAX  32 /* numbers that --lose and --hold take */
#define BUFFER_SIZE (8 << 20) /* of each socket */

enum direction { FROM_CLIENT, FROM_SERVER };
enum chance { LOSS, LATE, DUPLICATE, CORRUPT, CORRUPT_WHERE, JITTER };

struct options {
	uint64_t seed, delay_ns, jitter_ns;
	double percent[CORRUPT + 1];
	uint32_t lose[2], hold[2]; /* a bit for each number, by direction */
	const char *trace;
	const char *interfaces[2];
};

struct counts {
	unsigned long segments, lost, late, duplicated, corrupted, cut, other, unknown, overflow;
};

struct flow {
	uint8_t addresses[32]; /* client, server */
	uint16_t ports[2]; /* client, server; network order; 0 when the entry is free */
	uint32_t client_isn;
	uint32_t number; /* among those of the client's address */
	uint32_t segments[2]; /* so far, by direction */
};

struct client {
	uint8_t address[16];
	uint32_t flows;
};

struct frame {
	uint64_t due_ns, order;
	size_t size;
	enum direction direction;
	uint8_t bytes[];
};

/* Where the headers of a TCP segment are. */
struct layout {
	bool is_v6;
	size_t ip, tcp, payload, end; /* offsets into the frame */
};

struct wire {
	struct options options;
	int sockets[2]; /* by the direction that is read there */
	int signals;
	struct counts counts[2];
	struct flow flows[FLOWS]; /* by hash; at most three quarters are taken */
	size_t flow_count;
	struct client clients[CLIENTS_MAX];
	struct frame *queue[QUEUE_MAX]; /* a heap: the one that is due first is at 0 */
	size_t queued;
	uint64_t order;
	uint64_t start_ns;
	FILE *trace;
};

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "forwarder: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* --- chance ----------------------------------------------------------------- */

/* One step of SplitMix64: a well mixed function of its argument. */
static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static uint64_t address_number(const uint8_t address[16])
{
	uint64_t halves[2];

	memcpy(halves, address, sizeof(halves));
	return mix(halves[0] ^ mix(halves[1]));
}

/* The same for the same segment of the same connection, whatever else is on the wire. */
static uint64_t chance(const struct wire *wire, const struct flow *flow, enum direction direction,
		       uint32_t segment, enum chance what)
{
	uint64_t x = mix(wire->options.seed ^ address_number(flow->addresses));

	x = mix(x ^ flow->number);
	x = mix(x ^ ((uint64_t)direction << 32 | segment));
	return mix(x ^ what);
}

static double to_unit(uint64_t x)
{
	return (double)(x >> 11) / (double)(UINT64_C(1) << 53);
}

static bool happens(const struct wire *wire, const struct flow *flow, enum direction direction,
		    uint32_t segment, enum chance what)
{
	double percent = wire->options.percent[what];

	return percent > 0 && to_unit(chance(wire, flow, direction, segment, what)) * 100 < percent;
}

static bool is_chosen(const uint32_t chosen[2], enum direction direction, uint32_t segment)
{
	return segment < CHOSEN_MAX && (chosen[direction] >> segment & 1);
}

/* --- packets ---------------------------------------------------------------- */

/* Where the parts of a TCP segment are; false when the frame is anything else. */
static bool find_layout(const uint8_t *frame, size_t size, struct layout *ret_layout)
{
	const struct ether_header *ethernet = (const void *)frame;
	struct layout layout = {.ip = ETH_HLEN};
	struct tcphdr tcp;

	if (size < ETH_HLEN + sizeof(struct ip6_hdr))
		return false;
	if (ethernet->ether_type == htons(ETHERTYPE_IP)) {
		const struct iphdr *ip = (const void *)(frame + layout.ip);

		if (ip->protocol != IPPROTO_TCP || ip->frag_off & htons(IP_MF | IP_OFFMASK))
			return false;
		layout.tcp = layout.ip + (size_t)ip->ihl * 4;
		layout.end = layout.ip + ntohs(ip->tot_len);
	} else if (ethernet->ether_type == htons(ETHERTYPE_IPV6)) {
		const struct ip6_hdr *ip = (const void *)(frame + layout.ip);

		if (ip->ip6_nxt != IPPROTO_TCP)
			return false;
		layout.is_v6 = true;
		layout.tcp = layout.ip + sizeof(*ip);
		layout.end = layout.tcp + ntohs(ip->ip6_plen);
	} else {
		return false;
	}
	if (layout.tcp + sizeof(tcp) > size)
		return false;
	memcpy(&tcp, frame + layout.tcp, sizeof(tcp));
	layout.payload = layout.tcp + (size_t)tcp.doff * 4;
	if (layout.end > size || layout.payload > layout.end || tcp.doff < 5)
		return false;
	*ret_layout = layout;
	return true;
}

static uint32_t sum_words(uint32_t sum, const uint8_t *bytes, size_t size)
{
	uint32_t word;
	size_t i;

	for (i = 0; i < size; i++) {
		word = i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
		sum += word;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static void write_sum(uint8_t *to, uint32_t sum)
{
	uint16_t value = htons((uint16_t)~sum);

	memcpy(to, &value, sizeof(value));
}

/* The IPv4 header's checksum and TCP's, over the whole. */
static void write_checksums(uint8_t *frame, const struct layout *layout)
{
	size_t size = layout->end - layout->tcp;
	uint32_t sum = sum_words(IPPROTO_TCP + (uint32_t)size, NULL, 0);

	if (layout->is_v6) {
		sum = sum_words(sum, frame + layout->ip + offsetof(struct ip6_hdr, ip6_src), 32);
	} else {
		struct iphdr *ip = (void *)(frame + layout->ip);

		ip->check = 0;
		write_sum((uint8_t *)&ip->check,
			  sum_words(0, (uint8_t *)ip, layout->tcp - layout->ip));
		sum = sum_words(sum, (uint8_t *)&ip->saddr, 8);
	}
	memset(frame + layout->tcp + offsetof(struct tcphdr, check), 0, 2);
	sum = sum_words(sum, frame + layout->tcp, size);
	write_sum(frame + layout->tcp + offsetof(struct tcphdr, check), sum);
}

/* --- connections ------------------------------------------------------------ */

static void identify(const uint8_t *frame, const struct layout *layout, enum direction direction,
		     struct flow *ret_flow)
{
	bool from_server = direction == FROM_SERVER;
	size_t each = layout->is_v6 ? 16 : 4;
	const uint8_t *source =
		frame + layout->ip +
		(layout->is_v6 ? offsetof(struct ip6_hdr, ip6_src) : offsetof(struct iphdr, saddr));
	const uint8_t *ports = frame + layout->tcp;

	memset(ret_flow, 0, sizeof(*ret_flow));
	memcpy(ret_flow->addresses, source + (from_server ? each : 0), each);
	memcpy(ret_flow->addresses + 16, source + (from_server ? 0 : each), each);
	memcpy(&ret_flow->ports[0], ports + (from_server ? 2 : 0), 2);
	memcpy(&ret_flow->ports[1], ports + (from_server ? 0 : 2), 2);
}

static bool is_same(const struct flow *a, const struct flow *b)
{
	return !memcmp(a->addresses, b->addresses, sizeof(a->addresses)) &&
	       !memcmp(a->ports, b->ports, sizeof(a->ports));
}

static uint32_t next_number(struct wire *wire, const uint8_t address[16])
{
	static const uint8_t none[16];
	size_t i;

	for (i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = &wire->clients[i];

		if (!memcmp(client->address, none, sizeof(none)))
			memcpy(client->address, address, sizeof(none));
		if (!memcmp(client->address, address, sizeof(none)))
			return client->flows++;
	}
	errno = ENOSPC;
	fail("too many client addresses");
}

/* The connection that a segment belongs to; NULL when its SYN has not come by here. */
static struct flow *find_flow(struct wire *wire, const uint8_t *frame, const struct layout *layout,
			      enum direction direction)
{
	const struct tcphdr *tcp = (const void *)(frame + layout->tcp);
	struct flow wanted, *flow;
	uint64_t hash;

	identify(frame, layout, direction, &wanted);
	hash = mix(address_number(wanted.addresses) ^ address_number(wanted.addresses + 16) ^
		   ((uint64_t)wanted.ports[0] << 16 | wanted.ports[1]));
	for (flow = &wire->flows[hash % FLOWS]; flow->ports[0] && !is_same(flow, &wanted);
	     flow = &wire->flows[++hash % FLOWS])
		;
	if (direction == FROM_CLIENT && tcp->syn && !tcp->ack &&
	    (!flow->ports[0] || flow->client_isn != tcp->seq)) {
		wire->flow_count += !flow->ports[0];
		if (wire->flow_count > FLOWS / 4 * 3) {
			errno = ENOSPC;
			fail("too many connections");
		}
		*flow = wanted;
		flow->client_isn = tcp->seq;
		flow->number = next_number(wire, wanted.addresses);
	}
	return flow->ports[0] ? flow : NULL;
}

/* --- frames under way --------------------------------------------------------- */

static bool is_before(const struct frame *a, const struct frame *b)
{
	return a->due_ns < b->due_ns || (a->due_ns == b->due_ns && a->order < b->order);
}

static void push(struct wire *wire, enum direction direction, const uint8_t *bytes, size_t size,
		 uint64_t due_ns)
{
	struct frame *frame;
	size_t at;

	if (wire->queued == QUEUE_MAX) {
		wire->counts[direction].overflow++;
		return;
	}
	frame = malloc(sizeof(*frame) + size);
	if (!frame)
		fail("memory");
	frame->due_ns = due_ns;
	frame->order = wire->order++;
	frame->size = size;
	frame->direction = direction;
	memcpy(frame->bytes, bytes, size);
	for (at = wire->queued++; at && is_before(frame, wire->queue[(at - 1) / 2]);
	     at = (at - 1) / 2)
		wire->queue[at] = wire->queue[(at - 1) / 2];
	wire->queue[at] = frame;
}

static struct frame *pop(struct wire *wire)
{
	struct frame *first = wire->queue[0], *last = wire->queue[--wire->queued];
	size_t at = 0, child;

	while ((child = 2 * at + 1) < wire->queued) {
		if (child + 1 < wire->queued &&
		    is_before(wire->queue[child + 1], wire->queue[child]))
			child++;
		if (is_before(last, wire->queue[child]))
			break;
		wire->queue[at] = wire->queue[child];
		at = child;
	}
	wire->queue[at] = last;
	return first;
}

static void transmit(struct wire *wire, enum direction direction, const uint8_t *bytes, size_t size)
{
	static const struct virtio_net_hdr nothing;
	struct iovec parts[] = {{(void *)&nothing, sizeof(nothing)}, {(void *)bytes, size}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

	/* An interface that is down, or whose queue is full, loses frames as a wire does. */
	if (sendmsg(wire->sockets[!direction], &message, 0) < 0)
		wire->counts[direction].overflow++;
}

static void transmit_due(struct wire *wire)
{
	uint64_t now = clock_ns();
	struct frame *frame;

	while (wire->queued && wire->queue[0]->due_ns <= now) {
		frame = pop(wire);
		transmit(wire, frame->direction, frame->bytes, frame->size);
		free(frame);
	}
}

/* --- faults ----------------------------------------------------------------- */

static void trace(struct wire *wire, const struct flow *flow, enum direction direction,
		  uint32_t number, const uint8_t *frame, const struct layout *layout,
		  const char *fate)
{
	const struct tcphdr *tcp = (const void *)(frame + layout->tcp);
	char client[INET6_ADDRSTRLEN];

	inet_ntop(layout->is_v6 ? AF_INET6 : AF_INET, flow->addresses, client, sizeof(client));
	fprintf(wire->trace, "%.3f %s#%u port %u %c%u %s%s%s%s%s seq %u ack %u size %zu%s\n",
		(double)(clock_ns() - wire->start_ns) / NS_PER_MS, client, flow->number,
		ntohs(flow->ports[0]), direction == FROM_CLIENT ? 'c' : 's', number,
		tcp->syn ? "S" : "", tcp->fin ? "F" : "", tcp->rst ? "R" : "", tcp->psh ? "P" : "",
		tcp->ack ? "A" : "", ntohl(tcp->seq), ntohl(tcp->ack_seq),
		layout->end - layout->payload, fate);
}

static uint64_t time_under_way(const struct wire *wire, const struct flow *flow,
			       enum direction direction, uint32_t number)
{
	const struct options *options = &wire->options;
	double part = to_unit(chance(wire, flow, direction, number, JITTER));

	return options->delay_ns - options->jitter_ns +
	       (uint64_t)(part * 2 * (double)options->jitter_ns);
}

/* Flip one bit behind the Ethernet header. */
static void corrupt(const struct wire *wire, const struct flow *flow, enum direction direction,
		    uint32_t number, uint8_t *frame, const struct layout *layout)
{
	uint64_t bit = chance(wire, flow, direction, number, CORRUPT_WHERE) %
		       ((layout->end - layout->ip) * 8);

	frame[layout->ip + bit / 8] ^= (uint8_t)(1u << bit % 8);
}

/* One whole segment, with its checksums, meets its fate. */
static void carry_segment(struct wire *wire, enum direction direction, uint8_t *frame,
			  const struct layout *layout)
{
	struct flow *flow = find_flow(wire, frame, layout, direction);
	struct counts *counts = &wire->counts[direction];
	bool lost, late, duplicated, corrupted;
	char fate[64];
	uint32_t number;
	uint64_t due_ns;

	if (!flow) {
		counts->unknown++;
		transmit(wire, direction, frame, layout->end);
		return;
	}
	number = flow->segments[direction]++;
	lost = happens(wire, flow, direction, number, LOSS) ||
	       is_chosen(wire->options.lose, direction, number);
	late = happens(wire, flow, direction, number, LATE) ||
	       is_chosen(wire->options.hold, direction, number);
	duplicated = happens(wire, flow, direction, number, DUPLICATE);
	corrupted = happens(wire, flow, direction, number, CORRUPT);
	counts->segments++;
	counts->lost += lost;
	counts->late += !lost && late;
	counts->duplicated += !lost && duplicated;
	counts->corrupted += !lost && corrupted;
	if (wire->trace) {
		snprintf(fate, sizeof(fate), "%s%s%s%s", lost ? " lost" : "", late ? " late" : "",
			 duplicated ? " duplicated" : "", corrupted ? " corrupted" : "");
		trace(wire, flow, direction, number, frame, layout, fate);
	}
	if (lost)
		return;
	if (corrupted)
		corrupt(wire, flow, direction, number, frame, layout);
	due_ns = clock_ns() + time_under_way(wire, flow, direction, number) + (late ? LATE_NS : 0);
	push(wire, direction, frame, layout->end, due_ns);
	if (duplicated)
		push(wire, direction, frame, layout->end, due_ns);
}

/* --- offloads --------------------------------------------------------------- */

/* Carry one piece of a segment that a card was to cut: `size` bytes from `offset` of its payload. */
static void carry_piece(struct wire *wire, enum direction direction, const uint8_t *whole,
			const struct layout *layout, size_t offset, size_t size)
{
	size_t headers = layout->payload;
	bool is_last = layout->payload + offset + size == layout->end;
	struct layout piece = *layout;
	uint8_t frame[FRAME_MAX];
	struct tcphdr tcp;

	memcpy(frame, whole, headers);
	memcpy(frame + headers, whole + headers + offset, size);
	piece.end = headers + size;
	memcpy(&tcp, whole + layout->tcp, sizeof(tcp));
	tcp.seq = htonl(ntohl(tcp.seq) + (uint32_t)offset);
	if (!is_last)
		tcp.fin = tcp.psh = 0;
	memcpy(frame + layout->tcp, &tcp, sizeof(tcp));
	if (layout->is_v6) {
		struct ip6_hdr *ip = (void *)(frame + layout->ip);

		ip->ip6_plen = htons((uint16_t)(piece.end - layout->tcp));
	} else {
		struct iphdr *ip = (void *)(frame + layout->ip);

		ip->tot_len = htons((uint16_t)(piece.end - layout->ip));
		if (offset)
			ip->id = htons((uint16_t)(ntohs(ip->id) + 1));
	}
	write_checksums(frame, &piece);
	carry_segment(wire, direction, frame, &piece);
}

static void carry(struct wire *wire, enum direction direction, const struct virtio_net_hdr *offload,
		  uint8_t *frame, size_t size)
{
	size_t offset, whole, each;
	struct layout layout;

	if (!find_layout(frame, size, &layout)) {
		wire->counts[direction].other++;
		transmit(wire, direction, frame, size);
		return;
	}
	if (offload->gso_type == VIRTIO_NET_HDR_GSO_NONE) {
		if (offload->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
			write_checksums(frame, &layout);
		carry_segment(wire, direction, frame, &layout);
		return;
	}
	wire->counts[direction].cut++;
	whole = layout.end - layout.payload;
	for (offset = 0; offset < whole; offset += each) {
		each = whole - offset < offload->gso_size ? whole - offset : offload->gso_size;
		carry_piece(wire, direction, frame, &layout, offset, each);
	}
}

static void receive(struct wire *wire, enum direction direction)
{
	static uint8_t bytes[FRAME_MAX];
	struct virtio_net_hdr offload;
	struct iovec parts[] = {{&offload, sizeof(offload)}, {bytes, sizeof(bytes)}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	ssize_t size;

	while ((size = recvmsg(wire->sockets[direction], &message, MSG_DONTWAIT)) >= 0) {
		if ((size_t)size <= sizeof(offload) || message.msg_flags & MSG_TRUNC) {
			errno = EMSGSIZE;
			fail("a frame too long or too short");
		}
		carry(wire, direction, &offload, bytes, (size_t)size - sizeof(offload));
	}
	/* ENETDOWN: the link went down, and may come up again. */
	if (errno != EAGAIN && errno != EINTR && errno != ENETDOWN)
		fail("receiving");
}

/* --- the program ------------------------------------------------------------ */

static int open_interface(const char *name)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int size = BUFFER_SIZE, on = 1, fd;

	address.sll_ifindex = (int)if_nametoindex(name);
	if (!address.sll_ifindex)
		fail(name);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)))
		fail(name);
	return fd;
}

static unsigned long dropped_by_socket(int fd)
{
	struct tpacket_stats stats = {0};
	socklen_t size = sizeof(stats);

	if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size))
		fail("PACKET_STATISTICS");
	return stats.tp_drops;
}

static void print_counts(struct wire *wire)
{
	static const char *const names[] = {"client", "server"};
	int i;

	for (i = 0; i < 2; i++) {
		const struct counts *counts = &wire->counts[i];

		printf("%s\"%s\": {\"segments\": %lu, \"lost\": %lu, \"late\": %lu, "
		       "\"duplicated\": %lu, \"corrupted\": %lu, \"cut\": %lu, \"other\": %lu, "
		       "\"unknown\": %lu, \"overflow\": %lu}",
		       i ? ", " : "{", names[i], counts->segments, counts->lost, counts->late,
		       counts->duplicated, counts->corrupted, counts->cut, counts->other,
		       counts->unknown, counts->overflow + dropped_by_socket(wire->sockets[i]));
	}
	printf("}\n");
}

static int until_due_ms(const struct wire *wire)
{
	uint64_t now = clock_ns();

	if (!wire->queued)
		return -1;
	if (wire->queue[0]->due_ns <= now)
		return 0;
	return (int)((wire->queue[0]->due_ns - now) / NS_PER_MS) + 1;
}

static void run(struct wire *wire)
{
	struct pollfd events[] = {
		{.fd = wire->sockets[FROM_CLIENT], .events = POLLIN},
		{.fd = wire->sockets[FROM_SERVER], .events = POLLIN},
		{.fd = wire->signals, .events = POLLIN},
	};

	while (!events[2].revents) {
		if (poll(events, 3, until_due_ms(wire)) < 0 && errno != EINTR)
			fail("poll");
		if (events[FROM_CLIENT].revents)
			receive(wire, FROM_CLIENT);
		if (events[FROM_SERVER].revents)
			receive(wire, FROM_SERVER);
		transmit_due(wire);
	}
}

/* A descriptor that tells of SIGTERM and SIGINT, and of the parent's end as one of them. */
static int open_signals(void)
{
	sigset_t ends;
	int fd;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	fd = signalfd(-1, &ends, SFD_CLOEXEC);
	if (fd < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM))
		fail("signals");
	return fd;
}

static double to_number(const char *text, double max)
{
	char *end;
	double value = strtod(text, &end);

	if (*end || end == text || !(value >= 0 && value <= max)) {
		fprintf(stderr, "forwarder: '%s' is no number from 0 to %g\n", text, max);
		exit(2);
	}
	return value;
}

static void choose(uint32_t chosen[2], const char *which)
{
	if (*which != 'c' && *which != 's') {
		fprintf(stderr, "forwarder: '%s' is no segment such as c0 or s1\n", which);
		exit(2);
	}
	chosen[*which == 's'] |= 1u << (unsigned int)to_number(which + 1, CHOSEN_MAX - 1);
}

static void read_options(struct options *options, int argc, char **argv)
{
	static const struct option known[] = {
		{"loss", 1, 0, 'l'},
		{"late", 1, 0, 'r'},
		{"duplicate", 1, 0, 'd'},
		{"corrupt", 1, 0, 'c'},
		{"delay", 1, 0, 'D'},
		{"jitter", 1, 0, 'J'},
		{"lose", 1, 0, 'L'},
		{"hold", 1, 0, 'H'},
		{"seed", 1, 0, 's'},
		{"trace", 1, 0, 't'},
		{0},
	};
	static const char chances[] = {
		[LOSS] = 'l', [LATE] = 'r', [DUPLICATE] = 'd', [CORRUPT] = 'c'};
	int option;

	options->seed = 1;
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		const char *place = memchr(chances, option, sizeof(chances));

		if (place)
			options->percent[place - chances] = to_number(optarg, 100);
		else if (option == 'D')
			options->delay_ns = (uint64_t)(to_number(optarg, 10000) * NS_PER_MS);
		else if (option == 'J')
			options->jitter_ns = (uint64_t)(to_number(optarg, 10000) * NS_PER_MS);
		else if (option == 'L')
			choose(options->lose, optarg);
		else if (option == 'H')
			choose(options->hold, optarg);
		else if (option == 's')
			options->seed = (uint64_t)to_number(optarg, 1e15);
		else if (option == 't')
			options->trace = optarg;
		else
			exit(2);
	}
	if (argc - optind != 2 || options->jitter_ns > options->delay_ns) {
		fprintf(stderr, "usage: forwarder [OPTION]... CLIENT_INTERFACE SERVER_INTERFACE; "
				"--jitter is at most --delay\n");
		exit(2);
	}
	memcpy(options->interfaces, argv + optind, sizeof(options->interfaces));
}

int main(int argc, char **argv)
{
	static struct wire wire;
	int i;

	read_options(&wire.options, argc, argv);
	wire.signals = open_signals();
	wire.start_ns = clock_ns();
	if (wire.options.trace) {
		wire.trace = fopen(wire.options.trace, "w");
		if (!wire.trace)
			fail(wire.options.trace);
	}
	for (i = 0; i < 2; i++)
		wire.sockets[i] = open_interface(wire.options.interfaces[i]);
	printf("ready\n");
	fflush(stdout);
	run(&wire);
	print_counts(&wire);
	if (wire.trace && fclose(wire.trace))
		fail(wire.options.trace);
	return 0;
}
