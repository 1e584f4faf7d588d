// SPDX-License-Identifier: GPL-3.0-or-later
/* In a network namespace of the program's own, where every port is free.  Needs root. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "responder/listener.h"

#define PORT 443

static int set_loopback(short flags)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = flags};
	int err, fd = socket(AF_INET, SOCK_DGRAM, 0);

	err = ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
	return err;
}

static int enter_namespace(void **state)
{
	(void)state;
	return unshare(CLONE_NEWNET) || set_loopback(IFF_UP);
}

/* The port a socket is bound to, and whether at all addresses, or at the loopback address. */
static uint16_t bound_to(int fd, bool *ret_any)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address;
	socklen_t size = sizeof(address);

	assert_int_equal(getsockname(fd, &address.any, &size), 0);
	if (address.any.sa_family == AF_INET) {
		*ret_any = address.v4.sin_addr.s_addr == htonl(INADDR_ANY);
		assert_true(*ret_any || address.v4.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
		return ntohs(address.v4.sin_port);
	}
	*ret_any = IN6_IS_ADDR_UNSPECIFIED(&address.v6.sin6_addr);
	assert_true(*ret_any || IN6_IS_ADDR_LOOPBACK(&address.v6.sin6_addr));
	return ntohs(address.v6.sin6_port);
}

static int option(int fd, int level, int name)
{
	socklen_t size = sizeof(int);
	int value;

	assert_int_equal(getsockopt(fd, level, name, &value, &size), 0);
	return value;
}

static int bind_server(uint16_t port, bool shared)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = shared;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void test_to_be_steered_to(void **state)
{
	struct listeners listeners;
	uint16_t port;
	bool any;

	(void)state;
	assert_int_equal(listeners_open(&listeners, 3, 0), 0);
	for (int family = 0; family < STEER_FAMILIES; family++) {
		port = bound_to(listeners.fds[0][family], &any);
		assert_int_not_equal(port, 0);
		for (int thread = 0; thread < 3; thread++) {
			int fd = listeners.fds[thread][family];

			assert_int_equal(bound_to(fd, &any), port);
			assert_false(any);
			assert_int_equal(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
			assert_int_equal(option(fd, SOL_SOCKET, SO_DOMAIN),
					 family == STEER_V4 ? AF_INET : AF_INET6);
			assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
			assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		}
	}
	listeners_close(&listeners);
	listeners_close(&listeners);
}

/* Connections are spread over the threads' listeners, and none is lost between them. */
static void test_threads_share(void **state)
{
	struct listeners listeners;
	int clients[64], taken[2] = {0}, fd;
	struct sockaddr_in address;
	socklen_t size = sizeof(address);

	(void)state;
	assert_int_equal(listeners_open(&listeners, 2, 0), 0);
	fd = listeners.fds[0][STEER_V4];
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	for (int i = 0; i < 64; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_equal(connect(clients[i], (struct sockaddr *)&address, size), 0);
	}
	for (int thread = 0; thread < 2; thread++) {
		while ((fd = accept(listeners.fds[thread][STEER_V4], NULL, NULL)) >= 0) {
			taken[thread]++;
			close(fd);
		}
		assert_int_equal(errno, EAGAIN);
		assert_true(taken[thread] > 0);
	}
	assert_int_equal(taken[0] + taken[1], 64);
	for (int i = 0; i < 64; i++)
		close(clients[i]);
	listeners_close(&listeners);
}

static void test_standalone(void **state)
{
	struct listeners listeners;
	bool any;

	(void)state;
	assert_int_equal(listeners_open(&listeners, 2, PORT), 0);
	for (int thread = 0; thread < 2; thread++)
		for (int family = 0; family < STEER_FAMILIES; family++) {
			assert_int_equal(bound_to(listeners.fds[thread][family], &any), PORT);
			assert_true(any);
		}
	assert_int_equal(option(listeners.fds[0][STEER_V6], IPPROTO_IPV6, IPV6_V6ONLY), 1);
	listeners_close(&listeners);
}

/* A server that has the port keeps all of it, also one that shares it among its workers. */
static void test_port_is_taken(void **state)
{
	struct listeners listeners = {.threads = 77};
	int server;

	(void)state;
	for (int shared = 0; shared < 2; shared++) {
		server = bind_server(PORT, shared);
		assert_int_equal(listeners_open(&listeners, 2, PORT), -EADDRINUSE);
		assert_int_equal(listeners.threads, 77);
		close(server);
	}
	assert_int_equal(listeners_open(&listeners, 2, PORT), 0);
	listeners_close(&listeners);
}

/* The loopback addresses may come after the responder: both families, or just IPv6's.  Row S7. */
static void test_without_loopback_addresses(void **state)
{
	static const char path[] = "/proc/sys/net/ipv6/conf/lo/disable_ipv6";
	struct listeners listeners;
	int fd = open(path, O_WRONLY);

	(void)state;
	for (int down = 0; down < 2; down++) {
		assert_int_equal(set_loopback(down ? 0 : IFF_UP), 0);
		assert_int_equal(write(fd, down ? "0" : "1", 1), 1);
		assert_int_equal(listeners_open(&listeners, 2, 0), 0);
		for (int thread = 0; thread < 2; thread++)
			for (int family = 0; family < STEER_FAMILIES; family++)
				assert_true(listeners.fds[thread][family] >= 0);
		listeners_close(&listeners);
	}
	assert_int_equal(set_loopback(IFF_UP), 0);
	close(fd);
}

/* As a kernel without IPv6 does, socket(2) refuses the family: by a filter on system calls. */
static void refuse_ipv6(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {
		.len = sizeof(filter) / sizeof(filter[0]),
		.filter = filter,
	};

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(2);
}

static void test_one_family(void **state)
{
	struct listeners listeners;
	pid_t child = fork();
	int status;

	(void)state;
	if (!child) {
		refuse_ipv6();
		_exit(listeners_open(&listeners, 1, 0) || listeners.fds[0][STEER_V4] < 0 ||
		      listeners.fds[0][STEER_V6] != -1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_to_be_steered_to),
		cmocka_unit_test(test_threads_share),
		cmocka_unit_test(test_standalone),
		cmocka_unit_test(test_port_is_taken),
		cmocka_unit_test(test_one_family),
		cmocka_unit_test(test_without_loopback_addresses),
	};

	return cmocka_run_group_tests(tests, enter_namespace, NULL);
}
