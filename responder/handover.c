// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/handover.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/local_socket.h"
#include "common/paths.h"

#define PROTOCOL_VERSION 3
#define PATIENCE_MS      10000
#define DESCRIPTORS_MAX  3
#define OWN_DESCRIPTORS  3 /* that the first message carries */

/* Not root: to claim to be somebody else takes CAP_SETUID, see is_privileged(). */
#define PROOF_ID 1

/* The successor asks. */
struct claim {
	uint32_t version;
};

/* The answer, which carries the lock, the successors' socket and the status socket. */
struct greeting {
	uint32_t version;
	uint32_t threads; /* so many messages follow, each of a thread's listeners */
	uint32_t standalone_port;
};

/* The others: which families the descriptors are of. */
struct thread_listeners {
	uint32_t has_family[STEER_FAMILIES];
};

enum message_kind { MESSAGE_RETIRE = 'r', MESSAGE_RETIRED = 'd' };

/* --- messages ---------------------------------------------------------------------- */

union control_buffer {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int) * DESCRIPTORS_MAX)];
};

union credentials_buffer {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(struct ucred))];
};

static int send_message(int channel_fd, const void *data, size_t size, const int *fds,
			size_t fd_count)
{
	struct iovec part = {.iov_base = (void *)data, .iov_len = size};
	union control_buffer control = {0};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (fd_count) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
	}
	return sendmsg(channel_fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int wait_for_message(int channel_fd)
{
	struct pollfd polled = {.fd = channel_fd, .events = POLLIN};
	int count;

	do
		count = poll(&polled, 1, PATIENCE_MS);
	while (count < 0 && errno == EINTR);
	if (count < 0)
		return -errno;
	return count ? 0 : -ETIMEDOUT;
}

static void close_all(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
}

/* Receive a message of just this size, and just so many descriptors.  0 or -errno. */
static int receive_message(int channel_fd, void *data, size_t size, int *ret_fds, size_t *ret_count)
{
	struct iovec part = {.iov_base = data, .iov_len = size};
	union control_buffer control = {0};
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		/* Not what alignment adds: it would be room for one descriptor more. */
		.msg_controllen = CMSG_LEN(sizeof(int) * DESCRIPTORS_MAX),
	};
	const struct cmsghdr *header;
	ssize_t received;
	size_t count = 0;
	int err;

	err = wait_for_message(channel_fd);
	if (err)
		return err;
	received = recvmsg(channel_fd, &message, MSG_CMSG_CLOEXEC);
	if (received < 0)
		return -errno;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
		count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(ret_fds, CMSG_DATA(header), count * sizeof(int));
	}
	if ((size_t)received != size || message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		close_all(ret_fds, count);
		return received ? -EPROTO : -EPIPE;
	}
	*ret_count = count;
	return 0;
}

/* --- the predecessor's side -------------------------------------------------------- */

int handover_listen(const struct paths *paths)
{
	return local_socket_listen(paths->control, SOCK_SEQPACKET, 0600, 1);
}

static int offer_listeners(int channel_fd, const struct listeners *listeners)
{
	for (unsigned int thread = 0; thread < listeners->threads; thread++) {
		struct thread_listeners message = {0};
		int err, fds[STEER_FAMILIES];
		size_t count = 0;

		for (int family = 0; family < STEER_FAMILIES; family++) {
			if (listeners->fds[thread][family] < 0)
				continue;
			message.has_family[family] = 1;
			fds[count++] = listeners->fds[thread][family];
		}
		err = send_message(channel_fd, &message, sizeof(message), fds, count);
		if (err)
			return err;
	}
	return 0;
}

int handover_accept(int control_fd)
{
	int err, on = 1, channel_fd = accept4(control_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (channel_fd < 0)
		return -errno;
	if (!setsockopt(channel_fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)))
		return channel_fd;
	err = -errno;
	close(channel_fd);
	return err;
}

/*
 * Has the other side root's rights?  A process may be root by name alone, without a capability,
 * as in a sandbox, and the socket's owner is root.  But the kernel lets nobody send credentials
 * of another user without CAP_SETUID, which every responder that starts has.
 */
static bool is_privileged(int channel_fd, const struct msghdr *message)
{
	const struct cmsghdr *header = CMSG_FIRSTHDR(message);
	struct ucred peer, sent;
	socklen_t size = sizeof(peer);

	if (getsockopt(channel_fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) || peer.uid)
		return false;
	if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_CREDENTIALS ||
	    header->cmsg_len != CMSG_LEN(sizeof(sent)))
		return false;
	memcpy(&sent, CMSG_DATA(header), sizeof(sent));
	return sent.uid == PROOF_ID;
}

/* 0, -EPERM, -EPROTO or -errno. */
static int receive_claim(int channel_fd)
{
	struct claim claim;
	struct iovec part = {.iov_base = &claim, .iov_len = sizeof(claim)};
	union credentials_buffer control = {0};
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t size = recvmsg(channel_fd, &message, MSG_CMSG_CLOEXEC);

	if (size < 0)
		return -errno;
	if (!is_privileged(channel_fd, &message))
		return -EPERM;
	return size == sizeof(claim) && claim.version == PROTOCOL_VERSION ? 0 : -EPROTO;
}

int handover_offer(int channel_fd, const struct handover *handover)
{
	const int fds[OWN_DESCRIPTORS] = {handover->lock_fd, handover->control_fd,
					  handover->alive_fd};
	const struct greeting greeting = {
		.version = PROTOCOL_VERSION,
		.threads = handover->listeners.threads,
		.standalone_port = handover->standalone_port,
	};
	int err = receive_claim(channel_fd);

	if (!err)
		err = send_message(channel_fd, &greeting, sizeof(greeting), fds, OWN_DESCRIPTORS);
	return err ? err : offer_listeners(channel_fd, &handover->listeners);
}

int handover_receive(int channel_fd)
{
	char kind;
	ssize_t size = recv(channel_fd, &kind, sizeof(kind), MSG_DONTWAIT);

	if (size < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (!size)
		return -EPIPE;
	return kind == MESSAGE_RETIRE ? 1 : -EPROTO;
}

int handover_send_retired(int channel_fd)
{
	const char kind = MESSAGE_RETIRED;

	return send_message(channel_fd, &kind, sizeof(kind), NULL, 0);
}

/* --- the successor's side ---------------------------------------------------------- */

static int claim_listeners(int channel_fd, struct listeners *listeners)
{
	for (unsigned int thread = 0; thread < listeners->threads; thread++) {
		int err, fds[DESCRIPTORS_MAX];
		struct thread_listeners message;
		size_t count, taken = 0;

		err = receive_message(channel_fd, &message, sizeof(message), fds, &count);
		if (err)
			return err;
		for (int family = 0; family < STEER_FAMILIES; family++)
			if (message.has_family[family] && taken < count)
				listeners->fds[thread][family] = fds[taken++];
		close_all(fds + taken, count - taken);
	}
	return 0;
}

/* Ask, and prove to be who may. */
static int send_claim(int channel_fd)
{
	const struct ucred proof = {.pid = getpid(), .uid = PROOF_ID, .gid = PROOF_ID};
	struct claim claim = {.version = PROTOCOL_VERSION};
	struct iovec part = {.iov_base = &claim, .iov_len = sizeof(claim)};
	union credentials_buffer control = {.header = {.cmsg_level = SOL_SOCKET,
						       .cmsg_type = SCM_CREDENTIALS,
						       .cmsg_len = CMSG_LEN(sizeof(proof))}};
	const struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};

	memcpy(CMSG_DATA(&control.header), &proof, sizeof(proof));
	return sendmsg(channel_fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int claim(int channel_fd, struct handover *ret_handover)
{
	struct handover handover = {0};
	struct greeting greeting;
	int err, fds[DESCRIPTORS_MAX];
	size_t count;

	err = send_claim(channel_fd);
	if (err)
		return err;
	err = receive_message(channel_fd, &greeting, sizeof(greeting), fds, &count);
	if (err)
		return err;
	if (count != OWN_DESCRIPTORS || greeting.version != PROTOCOL_VERSION || !greeting.threads ||
	    greeting.threads > THREADS_MAX || greeting.standalone_port > UINT16_MAX) {
		close_all(fds, count);
		return -EPROTO;
	}
	handover.lock_fd = fds[0];
	handover.control_fd = fds[1];
	handover.alive_fd = fds[2];
	handover.standalone_port = (uint16_t)greeting.standalone_port;
	err = listeners_init(&handover.listeners, greeting.threads);
	if (!err)
		err = claim_listeners(channel_fd, &handover.listeners);
	if (err) {
		close_all(fds, count);
		listeners_leave(&handover.listeners);
		return err;
	}
	*ret_handover = handover;
	return 0;
}

int handover_claim(const struct paths *paths, struct handover *ret_handover)
{
	int err, channel_fd = local_socket_connect(paths->control, SOCK_SEQPACKET);

	if (channel_fd < 0)
		return channel_fd;
	err = claim(channel_fd, ret_handover);
	if (err)
		close(channel_fd);
	return err ? err : channel_fd;
}

int handover_complete(int channel_fd)
{
	char kind = MESSAGE_RETIRE;
	size_t count;
	int err, fds[DESCRIPTORS_MAX];

	err = send_message(channel_fd, &kind, sizeof(kind), NULL, 0);
	if (!err)
		err = receive_message(channel_fd, &kind, sizeof(kind), fds, &count);
	if (!err)
		close_all(fds, count);
	if (!err && kind != MESSAGE_RETIRED)
		err = -EPROTO;
	return err;
}

void handover_close(struct handover *handover)
{
	int *const fds[] = {&handover->lock_fd, &handover->control_fd, &handover->alive_fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}
