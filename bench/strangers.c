// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Strangers who come in a storm: strangers ADDRESS PORT RATE SECONDS STAY_S [SOURCE]...
 *
 * Opens RATE connections a second to the address, from the SOURCE addresses in turn, says
 * on each what standard input holds (a ClientHello), says no more, and resets it after
 * STAY_S or when the other end closes.  Prints one JSON object of counts.  Aim it at
 * namespaces of your own only.  Run by storm.py.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OPEN_MAX_COUNT 16384
#define SOURCES_MAX    64
#define EVENTS         256
#define NS_PER_S       UINT64_C(1000000000)

struct stranger {
	int fd; /* -1: nobody */
	bool has_spoken, was_answered;
	uint64_t leaves_ns;
};

struct storm {
	struct sockaddr_in target;
	struct in_addr sources[SOURCES_MAX];
	unsigned int source_count;
	uint64_t stay_ns;
	uint8_t words[4096];
	size_t size;
	int epoll;
	struct stranger strangers[OPEN_MAX_COUNT]; /* a ring: the oldest is overwritten last */
	unsigned long offered, connected, answered, closed, crowded;
};

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void leave(struct stranger *stranger)
{
	if (stranger->fd >= 0)
		close(stranger->fd);
	stranger->fd = -1;
}

/* One more, in the place of one that has stayed for long enough. */
static int come(struct storm *storm)
{
	struct stranger *stranger = &storm->strangers[storm->offered % OPEN_MAX_COUNT];
	struct sockaddr_in source = {.sin_family = AF_INET};
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
	const struct linger reset = {.l_onoff = 1};
	int on = 1;

	if (stranger->fd >= 0)
		storm->crowded++;
	leave(stranger);
	source.sin_addr = storm->sources[storm->offered % storm->source_count];
	storm->offered++;
	*stranger = (struct stranger){
		.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
		.leaves_ns = clock_ns() + storm->stay_ns,
	};
	if (stranger->fd < 0)
		return -errno;
	event.data.ptr = stranger;
	if (setsockopt(stranger->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) ||
	    setsockopt(stranger->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) ||
	    bind(stranger->fd, (struct sockaddr *)&source, sizeof(source)) ||
	    epoll_ctl(storm->epoll, EPOLL_CTL_ADD, stranger->fd, &event))
		return -errno;
	if (connect(stranger->fd, (struct sockaddr *)&storm->target, sizeof(storm->target)) &&
	    errno != EINPROGRESS)
		return -errno;
	return 0;
}

static void on_event(struct storm *storm, struct stranger *stranger, uint32_t events)
{
	uint8_t byte;

	if (stranger->fd < 0)
		return;
	if (events & EPOLLOUT && !stranger->has_spoken && !(events & EPOLLERR)) {
		storm->connected++;
		stranger->has_spoken = true;
		if (send(stranger->fd, storm->words, storm->size, MSG_NOSIGNAL) < 0)
			events |= EPOLLERR;
	}
	if (events & EPOLLIN && !stranger->was_answered &&
	    recv(stranger->fd, &byte, 1, MSG_PEEK) == 1) {
		stranger->was_answered = true;
		storm->answered++;
	}
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		storm->closed++;
		leave(stranger);
	}
}

static int blow(struct storm *storm, unsigned long rate, unsigned long seconds)
{
	struct epoll_event events[EVENTS];
	uint64_t began_ns = clock_ns(), now_ns = began_ns;
	unsigned long oldest = 0;
	int count, err;

	while (now_ns < began_ns + seconds * NS_PER_S) {
		while (storm->offered < (now_ns - began_ns) / 1000 * rate / 1000000) {
			err = come(storm);
			if (err)
				return err;
		}
		count = epoll_wait(storm->epoll, events, EVENTS, 1);
		if (count < 0)
			return -errno;
		while (count-- > 0)
			on_event(storm, events[count].data.ptr, events[count].events);
		now_ns = clock_ns();
		for (; oldest < storm->offered &&
		       storm->strangers[oldest % OPEN_MAX_COUNT].leaves_ns <= now_ns;
		     oldest++)
			leave(&storm->strangers[oldest % OPEN_MAX_COUNT]);
	}
	return 0;
}

static bool take_arguments(struct storm *storm, int argc, char **argv)
{
	if (argc < 6 || argc > 6 + SOURCES_MAX ||
	    inet_pton(AF_INET, argv[1], &storm->target.sin_addr) != 1)
		return false;
	storm->target.sin_family = AF_INET;
	storm->target.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
	storm->stay_ns = strtoul(argv[5], NULL, 10) * NS_PER_S;
	storm->source_count = argc > 6 ? (unsigned int)argc - 6 : 1; /* 0.0.0.0: any */
	for (int i = 6; i < argc; i++)
		if (inet_pton(AF_INET, argv[i], &storm->sources[i - 6]) != 1)
			return false;
	storm->size = fread(storm->words, 1, sizeof(storm->words), stdin);
	return storm->size > 0;
}

int main(int argc, char **argv)
{
	static struct storm storm;
	struct rlimit limit;
	int err;

	if (!take_arguments(&storm, argc, argv)) {
		fprintf(stderr,
			"usage: strangers ADDRESS PORT RATE SECONDS STAY_S [SOURCE]... <HELLO\n");
		return 2;
	}
	for (int i = 0; i < OPEN_MAX_COUNT; i++)
		storm.strangers[i].fd = -1;
	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit); /* come() tells if it does not suffice */
	}
	storm.epoll = epoll_create1(EPOLL_CLOEXEC);
	err = storm.epoll < 0
		      ? -errno
		      : blow(&storm, strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
	if (err) {
		fprintf(stderr, "strangers: %s\n", strerror(-err));
		return 1;
	}
	printf("{\"offered\": %lu, \"connected\": %lu, \"answered\": %lu, \"closed\": %lu, "
	       "\"crowded\": %lu}\n",
	       storm.offered, storm.connected, storm.answered, storm.closed, storm.crowded);
	return 0;
}
