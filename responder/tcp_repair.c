// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/tcp_repair.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/steer_abi.h"
#include "common/clock.h"
#include "common/log.h"
#include "responder/conn.h"

/*
 * The RST that frees the addresses may still be on its way: seldom, and then for a moment. So the first
 * retry comes soon, and each pause is twice as long as the one before.
 */
#define RETRY_FIRST_NS  UINT64_C(1000000)
#define RETRY_FOR_NS    UINT64_C(1000000000)
#define RETRIES_AT_ONCE 256 /* each holds a record of 4 KiB and a descriptor */
/* Records read in one round, so that a flood of them leaves the monitor time for the rest. */
#define RECORDS_A_ROUND 64

/* What TCP_MAXSEG takes: TCP_MIN_MSS and MAX_TCP_WINDOW in include/net/tcp.h; loopback has more. */
#define MAXSEG_LEAST 88
#define MAXSEG_MOST  32767

#define TCP_OPTION_MSS            2 /* RFC 9293 section 3.2 */
#define TCP_OPTION_WINDOW_SCALE   3 /* RFC 7323 section 2.2 */
#define TCP_OPTION_SACK_PERMITTED 4 /* RFC 2018 section 2 */
#define TCP_OPTION_TIMESTAMP      8 /* RFC 7323 section 3.2 */

/* A connection whose addresses are not free yet. */
struct retry {
	struct retry *next;
	uint64_t due_ns, pause_ns, until_ns;
	int fd; /* bound, and not connected */
	struct steer_adoption adoption;
};

struct tcp_repair {
	struct ring_buffer *ring;
	int flows_fd;
	const int *send_fds;
	size_t threads, next_thread;
	struct retry *retries;
	size_t retry_count, records; /* the latter of this round */
};

/* --- a socket in the middle of its life -------------------------------------------- */

static int set_option(int fd, int option, const void *value, size_t size)
{
	return setsockopt(fd, IPPROTO_TCP, option, value, (socklen_t)size) ? -errno : 0;
}

static int set_number(int fd, int option, int value)
{
	return set_option(fd, option, &value, sizeof(value));
}

static socklen_t make_address(struct sockaddr_storage *ret_address,
			      const struct steer_adoption *adoption, const __u32 address[4],
			      __u16 port)
{
	memset(ret_address, 0, sizeof(*ret_address));
	if (adoption->family == STEER_V4) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)ret_address;

		v4->sin_family = AF_INET;
		v4->sin_port = port;
		v4->sin_addr.s_addr = address[0];
		return sizeof(*v4);
	}
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_address;

	v6->sin6_family = AF_INET6;
	v6->sin6_port = port;
	memcpy(&v6->sin6_addr, address, sizeof(v6->sin6_addr));
	if (IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr))
		v6->sin6_scope_id = adoption->ifindex;
	return sizeof(*v6);
}

static int bind_silently(int fd, const struct steer_adoption *adoption)
{
	struct sockaddr_storage address;
	socklen_t size;

	size = make_address(&address, adoption, adoption->local_address, adoption->local_port);
	return bind(fd, (struct sockaddr *)&address, size) ? -errno : 0;
}

/* In repair mode nothing is sent.  -EAGAIN as long as the addresses are not free. */
static int connect_silently(int fd, const struct steer_adoption *adoption)
{
	struct sockaddr_storage address;
	socklen_t size;

	size = make_address(&address, adoption, adoption->remote_address, adoption->remote_port);
	if (!connect(fd, (struct sockaddr *)&address, size))
		return 0;
	return errno == EADDRNOTAVAIL || errno == EADDRINUSE ? -EAGAIN : -errno;
}

static int set_sequence(int fd, int queue, __u32 sequence)
{
	int err = set_number(fd, TCP_REPAIR_QUEUE, queue);

	return err ? err : set_option(fd, TCP_QUEUE_SEQ, &sequence, sizeof(sequence));
}

/*
 * Go on from production's clock: to go back would make the client refuse what follows (RFC 7323
 * section 5.3).  Since Linux 6.7 the lowest bit says whether it counts microseconds.
 */
static int set_clock(int fd, const struct steer_adoption *adoption)
{
	__u32 clock = adoption->clock;

	if (adoption->usec_timestamps != (clock & 1))
		clock++;
	return set_option(fd, TCP_TIMESTAMP, &clock, sizeof(clock));
}

/* What SYN and SYN-ACK agreed on. */
static int set_negotiated(int fd, const struct steer_adoption *adoption)
{
	struct tcp_repair_opt options[4] = {{TCP_OPTION_MSS, adoption->mss}};
	size_t count = 1;
	int err;

	if (adoption->wscale_ok)
		options[count++] = (struct tcp_repair_opt){
			TCP_OPTION_WINDOW_SCALE,
			adoption->client_wscale | (__u32)adoption->server_wscale << 16};
	if (adoption->sack_ok)
		options[count++] = (struct tcp_repair_opt){TCP_OPTION_SACK_PERMITTED, 0};
	if (adoption->timestamps_ok)
		options[count++] = (struct tcp_repair_opt){TCP_OPTION_TIMESTAMP, 0};
	err = set_option(fd, TCP_REPAIR_OPTIONS, options, count * sizeof(options[0]));
	return err || !adoption->timestamps_ok ? err : set_clock(fd, adoption);
}

/* The client's first bytes, as if they had just come, and both windows. */
static int set_received(int fd, const struct steer_adoption *adoption)
{
	struct tcp_repair_window window = {
		.snd_wl1 = adoption->known.client_isn + 1,
		.snd_wnd = adoption->client_window,
		.max_window = adoption->client_window,
		.rcv_wnd = adoption->server_window,
		.rcv_wup = adoption->known.client_isn + 1,
	};
	ssize_t sent;
	int err;

	err = set_number(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE);
	if (err)
		return err;
	sent = send(fd, adoption->known.bytes, adoption->known.size, 0);
	if (sent != (ssize_t)adoption->known.size)
		return sent < 0 ? -errno : -EIO;
	return set_option(fd, TCP_REPAIR_WINDOW, &window, sizeof(window));
}

/* What connect() computes the size of our segments from; the option of TCP_REPAIR comes too late. */
static int set_segment_size(int fd, const struct steer_adoption *adoption)
{
	int mss = adoption->mss;

	if (mss < MAXSEG_LEAST)
		mss = MAXSEG_LEAST;
	if (mss > MAXSEG_MOST)
		mss = MAXSEG_MOST;
	return set_number(fd, TCP_MAXSEG, mss);
}

/* A socket in repair mode at the connection's local address, or -errno. */
static int open_socket(const struct steer_adoption *adoption)
{
	int domain = adoption->family == STEER_V4 ? AF_INET : AF_INET6;
	int err, fd = socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	err = set_number(fd, TCP_REPAIR, TCP_REPAIR_ON);
	if (!err)
		err = set_sequence(fd, TCP_SEND_QUEUE, adoption->server_isn + 1);
	if (!err)
		err = set_sequence(fd, TCP_RECV_QUEUE, adoption->known.client_isn + 1);
	if (!err)
		err = set_segment_size(fd, adoption);
	if (!err)
		err = set_number(fd, TCP_USER_TIMEOUT, CONN_USER_TIMEOUT_MS);
	if (!err)
		err = bind_silently(fd, adoption);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

/*
 * Production may restart at any time and binds its port, for which each socket there must have SO_REUSEADDR.
 * Leaving repair mode clears that option. So nothing stands between the two calls, not even the window
 * probe that the kernel would send. If the monitor dies there, the hello is unread: the kernel then ends
 * the socket by a RST, and leaves no TIME_WAIT at the port.
 */
static int leave_repair(int fd)
{
	const int one = 1;
	int err = set_number(fd, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);

	if (!err && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)))
		err = -errno;
	return err;
}

/* Make it the connection.  0, -EAGAIN when it is too early for that, or -errno. */
static int finish_socket(int fd, const struct steer_adoption *adoption)
{
	int err = connect_silently(fd, adoption);

	if (!err)
		err = set_negotiated(fd, adoption);
	if (!err)
		err = set_received(fd, adoption);
	if (!err)
		err = set_number(fd, TCP_REPAIR_QUEUE, TCP_NO_QUEUE);
	return err ? err : leave_repair(fd);
}

/* --- handing it over ---------------------------------------------------------------- */

union one_descriptor {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static int send_descriptor(int socket_fd, int fd)
{
	char byte = 0;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	union one_descriptor control = {.header = {.cmsg_level = SOL_SOCKET,
						   .cmsg_type = SCM_RIGHTS,
						   .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	return sendmsg(socket_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int tcp_repair_receive(int receive_fd)
{
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	union one_descriptor control;
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	ssize_t size = recvmsg(receive_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *header;
	int fd;

	if (size < 0)
		return -errno;
	if (!size)
		return -EPIPE;
	header = CMSG_FIRSTHDR(&message);
	if (!header || header->cmsg_type != SCM_RIGHTS)
		return -EMFILE; /* the kernel found no room for it, and closed it */
	memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}

/* From here on the client's segments are the new socket's, and the classifier knows it for ours. */
static int say_it_stands(struct tcp_repair *repair, const struct steer_adoption *adoption)
{
	_Alignas(8) unsigned char flow[STEER_FLOW_SIZE_MAX];
	const __u32 state = STEER_STANDS;

	if (bpf_map_lookup_elem(repair->flows_fd, adoption->flow_key, flow))
		return -errno;
	memcpy(flow, &state, sizeof(state));
	return bpf_map_update_elem(repair->flows_fd, adoption->flow_key, flow, BPF_EXIST);
}

/*
 * The connection is made, or cannot be.  Also in that case its segments are no longer dropped:
 * what the client sends again is then judged again, or refused.
 */
static void end_adoption(struct tcp_repair *repair, const struct steer_adoption *adoption, int fd,
			 int err)
{
	if (err || say_it_stands(repair, adoption))
		bpf_map_delete_elem(repair->flows_fd, adoption->flow_key);
	/* The client's handshake fails, nothing else; a stranger can cause it. */
	if (err)
		log_debug("cannot take a connection over: %s", strerror(-err));
	if (fd < 0)
		return;
	if (!err)
		err = send_descriptor(repair->send_fds[repair->next_thread], fd);
	if (err)
		log_debug("cannot hand a connection to its thread: %s", strerror(-err));
	repair->next_thread = (repair->next_thread + 1) % repair->threads;
	close(fd);
}

/* Try again soon. */
static int add_retry(struct tcp_repair *repair, const struct steer_adoption *adoption, int fd)
{
	struct retry *retry;
	uint64_t now = clock_monotonic_ns();

	if (repair->retry_count >= RETRIES_AT_ONCE)
		return -EBUSY;
	retry = malloc(sizeof(*retry));
	if (!retry)
		return -ENOMEM;
	*retry = (struct retry){.next = repair->retries,
				.due_ns = now + RETRY_FIRST_NS,
				.pause_ns = RETRY_FIRST_NS,
				.until_ns = now + RETRY_FOR_NS,
				.fd = fd,
				.adoption = *adoption};
	repair->retries = retry;
	repair->retry_count++;
	return 0;
}

static void adopt(struct tcp_repair *repair, const struct steer_adoption *adoption)
{
	int err, fd = open_socket(adoption);

	err = fd < 0 ? fd : finish_socket(fd, adoption);
	if (err == -EAGAIN && !add_retry(repair, adoption, fd))
		return;
	end_adoption(repair, adoption, fd, err);
}

/* One record; -ECANCELED after the last of a round. */
static int on_record(void *context, void *data, size_t size)
{
	struct tcp_repair *repair = context;

	if (size >= sizeof(struct steer_adoption))
		adopt(repair, data);
	return ++repair->records < RECORDS_A_ROUND ? 0 : -ECANCELED;
}

/* Those whose time has come, or is over; all of them at the `last`. */
static void work_retries(struct tcp_repair *repair, bool last)
{
	struct retry **link = &repair->retries, *retry;
	uint64_t now = clock_monotonic_ns();
	int err;

	while ((retry = *link)) {
		if (!last && now < retry->due_ns) {
			link = &retry->next;
			continue;
		}
		err = finish_socket(retry->fd, &retry->adoption);
		if (err == -EAGAIN && !last && now < retry->until_ns) {
			retry->pause_ns *= 2;
			retry->due_ns = now + retry->pause_ns;
			link = &retry->next;
			continue;
		}
		end_adoption(repair, &retry->adoption, retry->fd, err);
		*link = retry->next;
		free(retry);
		repair->retry_count--;
	}
}

/* --- the object ----------------------------------------------------------------------- */

int tcp_repair_new(struct tcp_repair **ret_repair, const struct tcp_repair_maps *maps,
		   const int *send_fds, size_t threads)
{
	struct tcp_repair *repair = calloc(1, sizeof(*repair));
	int err;

	if (!repair)
		return -ENOMEM;
	repair->flows_fd = maps->flows_fd;
	repair->send_fds = send_fds;
	repair->threads = threads;
	repair->ring = ring_buffer__new(maps->adoptions_fd, on_record, repair, NULL);
	if (!repair->ring) {
		err = -errno;
		free(repair);
		return err;
	}
	*ret_repair = repair;
	return 0;
}

void tcp_repair_free(struct tcp_repair *repair)
{
	if (!repair)
		return;
	work_retries(repair, true);
	ring_buffer__free(repair->ring);
	free(repair);
}

int tcp_repair_fd(const struct tcp_repair *repair)
{
	return ring_buffer__epoll_fd(repair->ring);
}

int tcp_repair_pause_ms(const struct tcp_repair *repair)
{
	uint64_t now = clock_monotonic_ns(), first_ns = UINT64_MAX;

	for (const struct retry *retry = repair->retries; retry; retry = retry->next)
		if (retry->due_ns < first_ns)
			first_ns = retry->due_ns;
	if (first_ns == UINT64_MAX)
		return INT_MAX;
	return first_ns <= now ? 0 : (int)((first_ns - now) / 1000000 + 1);
}

void tcp_repair_work(struct tcp_repair *repair)
{
	int count;

	work_retries(repair, false);
	repair->records = 0;
	count = ring_buffer__consume(repair->ring);
	if (count < 0 && count != -ECANCELED)
		log_error("cannot read the ring buffer of adoptions: %s", strerror(-count));
}
