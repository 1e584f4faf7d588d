// SPDX-License-Identifier: GPL-3.0-or-later
/* The ring against real sockets on the loopback interface, on each of its engines. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "responder/ring.h"
#include "tests/unit/responder/engines.h"
#include "common/clock.h"

#define SLOTS       4
#define GENERATION  0xfffffffeu
#define LISTENER    1
#define PATIENCE_NS 2000000000u

static struct ring *ring;
static int listener_fd;
static struct sockaddr_in address;
static const uint8_t loopback[16] = {127, 0, 0, 1};

/* What the handler has seen and nobody has asked for yet; the bytes of one are kept. */
static struct ring_event events[2 * RING_ACCEPTS_MAX];
static size_t event_count;
static uint8_t received[RING_BUFFER_SIZE];

static int setup(void **state)
{
	socklen_t size = sizeof(address);
	const char *missing;

	event_count = 0;
	assert_int_equal(ring_new(&ring, engine_of(state), SLOTS, &missing), 0);
	assert_int_equal(ring_enable(ring), 0);
	listener_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	address = (struct sockaddr_in){.sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(listener_fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener_fd, 16), 0);
	assert_int_equal(getsockname(listener_fd, (struct sockaddr *)&address, &size), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(listener_fd);
	ring_free(ring);
	return 0;
}

static int connect_client(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Whether the other end has closed: nothing but its end can be read. */
static bool is_closed(int fd)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN};
	char byte;

	return poll(&polled, 1, 2000) == 1 && read(fd, &byte, 1) <= 0;
}

static void handle(void *owner, const struct ring_event *event)
{
	assert_ptr_equal(owner, &events);
	assert_true(event_count < sizeof(events) / sizeof(events[0]));
	if (event->data)
		memcpy(received, event->data, (size_t)event->result);
	events[event_count++] = *event;
}

/* Take the first event of this operation, waiting for it. */
static struct ring_event expect(enum ring_operation operation)
{
	uint64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;
	struct ring_event event;

	for (;;) {
		for (size_t i = 0; i < event_count; i++) {
			if (events[i].operation != operation)
				continue;
			event = events[i];
			memmove(&events[i], &events[i + 1],
				(--event_count - i) * sizeof(events[0]));
			return event;
		}
		if (clock_monotonic_ns() > until_ns)
			fail_msg("no event of operation %d came", operation);
		assert_int_equal(ring_run(ring, until_ns, handle, &events), 0);
	}
}

static uint32_t accept_client(void)
{
	struct ring_event event;

	ring_accept(ring, listener_fd, LISTENER);
	event = expect(RING_ACCEPT);
	assert_int_equal(event.slot, LISTENER);
	assert_in_range(event.result, 0, SLOTS - 1);
	assert_int_equal(event.peer.family, STEER_V4);
	assert_memory_equal(event.peer.address, loopback, sizeof(loopback));
	return (uint32_t)event.result;
}

static void test_carries_bytes(void **state)
{
	struct ring_event event;
	uint32_t slot;
	char text[8];
	int fd;

	(void)state;
	fd = connect_client();
	slot = accept_client();
	ring_receive(ring, slot, GENERATION);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(write(fd, "hello", 5), 5);
		event = expect(RING_RECEIVE);
		assert_int_equal(event.slot, slot);
		assert_int_equal(event.generation, GENERATION);
		assert_int_equal(event.result, 5);
		assert_memory_equal(received, "hello", 5);
		assert_true(event.more);
	}
	ring_send(ring, slot, GENERATION, (const uint8_t *)"goodbye", 7);
	event = expect(RING_SEND);
	assert_int_equal(event.slot, slot);
	assert_int_equal(event.generation, GENERATION);
	assert_int_equal(event.result, 7);
	assert_int_equal(read(fd, text, sizeof(text)), 7);
	assert_memory_equal(text, "goodbye", 7);
	close(fd);
	event = expect(RING_RECEIVE);
	assert_int_equal(event.result, 0);
	assert_false(event.more);
	ring_close(ring, slot, GENERATION);
	assert_int_equal(expect(RING_CLOSE).result, 0);
}

static void test_closes_what_is_under_way(void **state)
{
	struct ring_event event;
	uint32_t slot;
	int fd;

	(void)state;
	fd = connect_client();
	slot = accept_client();
	ring_receive(ring, slot, GENERATION);
	ring_close(ring, slot, GENERATION);
	event = expect(RING_RECEIVE);
	assert_int_equal(event.result, -ECANCELED);
	assert_int_equal(event.generation, GENERATION);
	assert_int_equal(expect(RING_CLOSE).result, 0);
	assert_true(is_closed(fd));
	close(fd);
	/* The slot is free again. */
	for (int i = 0; i < 2 * SLOTS; i++) {
		fd = connect_client();
		ring_close(ring, accept_client(), GENERATION);
		assert_int_equal(expect(RING_CLOSE).result, 0);
		close(fd);
	}
}

/* A reset is reported, and a send into it raises no signal. */
static void test_tells_of_a_reset(void **state)
{
	const struct linger reset = {.l_onoff = 1};
	uint32_t slot;
	int fd;

	(void)state;
	fd = connect_client();
	slot = accept_client();
	ring_receive(ring, slot, GENERATION);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
	close(fd);
	assert_int_equal(expect(RING_RECEIVE).result, -ECONNRESET);
	ring_send(ring, slot, GENERATION, (const uint8_t *)"x", 1);
	assert_int_equal(expect(RING_SEND).result, -EPIPE);
	ring_close(ring, slot, GENERATION);
	assert_int_equal(expect(RING_CLOSE).result, 0);
}

/* --- sends that wait for room ---------------------------------------------------------- */

static uint8_t bulk[1 << 20];

/* Send until the kernel takes no more: a send is under way when this returns. */
static void fill(uint32_t slot)
{
	struct ring_event event = {.result = 1};

	while (event.result > 0) {
		ring_send(ring, slot, GENERATION, bulk, sizeof(bulk));
		event.result = 0;
		/* The first round or two report what is sent. */
		for (int i = 0; i < 3 && !event.result; i++) {
			assert_int_equal(ring_run(ring, 0, handle, &events), 0);
			if (event_count)
				event = expect(RING_SEND);
		}
	}
	assert_int_equal(event.result, 0);
}

static void test_waits_for_room(void **state)
{
	struct pollfd polled;
	uint32_t slot;
	int fd;

	(void)state;
	fd = connect_client();
	slot = accept_client();
	fill(slot);
	polled = (struct pollfd){.fd = fd, .events = POLLIN};
	/* The client reads all that has come: there is room again. */
	while (!event_count && poll(&polled, 1, 2000) == 1) {
		static uint8_t read_bytes[sizeof(bulk)];

		assert_true(recv(fd, read_bytes, sizeof(read_bytes), 0) > 0);
		assert_int_equal(ring_run(ring, 0, handle, &events), 0);
	}
	assert_in_range(expect(RING_SEND).result, 1, sizeof(bulk));
	ring_close(ring, slot, GENERATION);
	assert_int_equal(expect(RING_CLOSE).result, 0);
	close(fd);
}

/* All that is under way ends before the slot is free, and then nothing more comes of it. */
static void test_closes_with_a_send_under_way(void **state)
{
	uint32_t slot;
	int fd;

	(void)state;
	fd = connect_client();
	slot = accept_client();
	ring_receive(ring, slot, GENERATION);
	fill(slot);
	ring_close(ring, slot, GENERATION);
	while (!event_count || events[event_count - 1].operation != RING_CLOSE)
		assert_int_equal(
			ring_run(ring, clock_monotonic_ns() + PATIENCE_NS, handle, &events), 0);
	assert_int_equal(event_count, 4);
	for (size_t i = 0; i < event_count; i++) {
		assert_int_equal(events[i].slot, slot);
		assert_int_equal(events[i].generation, GENERATION);
	}
	assert_int_equal(expect(RING_RECEIVE).result, -ECANCELED);
	assert_int_equal(expect(RING_SEND).result, -ECANCELED);
	expect(RING_CANCEL);
	assert_int_equal(expect(RING_CLOSE).result, 0);
	assert_int_equal(ring_run(ring, 0, handle, &events), 0);
	assert_int_equal(event_count, 0);
	close(fd);
}

/* --- ends ---------------------------------------------------------------------------- */

/* A client that has said all it has to say can still be answered. */
static void test_answers_after_a_half_close(void **state)
{
	char text[8];
	uint32_t slot;
	int fd;

	(void)state;
	fd = connect_client();
	slot = accept_client();
	assert_int_equal(write(fd, "hello", 5), 5);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	ring_receive(ring, slot, GENERATION);
	assert_int_equal(expect(RING_RECEIVE).result, 5);
	assert_int_equal(expect(RING_RECEIVE).result, 0);
	ring_send(ring, slot, GENERATION, (const uint8_t *)"goodbye", 7);
	assert_int_equal(expect(RING_SEND).result, 7);
	assert_int_equal(read(fd, text, sizeof(text)), 7);
	close(fd);
}

/* Where nothing is under way there is nothing to tell, and no reason to wake up. */
static void test_sleeps_beside_a_dead_connection(void **state)
{
	const struct linger reset = {.l_onoff = 1};
	unsigned int rounds = 0;
	uint64_t until_ns;
	int fd;

	(void)state;
	fd = connect_client();
	ring_receive(ring, accept_client(), GENERATION);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_int_equal(expect(RING_RECEIVE).result, 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
	close(fd);
	until_ns = clock_monotonic_ns() + 50000000u;
	/* The kernel, still ending the ring of an earlier test, may interrupt it. */
	for (; clock_monotonic_ns() < until_ns; rounds++)
		assert_int_equal(ring_run(ring, until_ns, handle, &events), 0);
	assert_in_range(rounds, 1, 10);
	assert_int_equal(event_count, 0);
}

/* Who says a lot takes nothing from who says a little. */
static void test_is_fair(void **state)
{
	uint32_t loud, quiet;
	bool is_heard = false;
	int loud_fd, quiet_fd;

	(void)state;
	loud_fd = connect_client();
	loud = accept_client();
	quiet_fd = connect_client();
	quiet = accept_client();
	ring_receive(ring, loud, GENERATION);
	ring_receive(ring, quiet, GENERATION);
	assert_int_equal(ring_run(ring, 0, handle, &events), 0);
	assert_true(send(loud_fd, bulk, sizeof(bulk), MSG_DONTWAIT) > 16 * RING_BUFFER_SIZE);
	assert_int_equal(write(quiet_fd, "x", 1), 1);
	assert_int_equal(ring_run(ring, clock_monotonic_ns() + PATIENCE_NS, handle, &events), 0);
	for (size_t i = 0; i < event_count; i++)
		is_heard |= events[i].operation == RING_RECEIVE && events[i].slot == quiet;
	assert_true(is_heard);
	close(loud_fd);
	close(quiet_fd);
}

/* --- accepting ------------------------------------------------------------------------ */

static void test_tells_when_slots_run_out(void **state)
{
	struct ring_event event;
	uint32_t slots[SLOTS];
	int fds[SLOTS + 1];

	(void)state;
	for (int i = 0; i < SLOTS; i++) {
		fds[i] = connect_client();
		slots[i] = accept_client();
	}
	fds[SLOTS] = connect_client();
	ring_accept(ring, listener_fd, LISTENER);
	event = expect(RING_ACCEPT);
	assert_int_equal(event.result, -ENFILE);
	assert_true(is_closed(fds[SLOTS]));
	/* With one free again it goes on. */
	ring_close(ring, slots[2], GENERATION);
	assert_int_equal(expect(RING_CLOSE).result, 0);
	close(fds[SLOTS]);
	fds[SLOTS] = connect_client();
	assert_int_equal(accept_client(), slots[2]);
	for (int i = 0; i <= SLOTS; i++)
		close(fds[i]);
}

/* As many as may wait do, each with the address of its own peer, until they are stopped. */
static void test_accepts_many_and_stops(void **state)
{
	struct sockaddr_in from = {.sin_family = AF_INET};
	struct ring_event event;
	bool seen[SLOTS] = {false};
	int fds[SLOTS];

	(void)state;
	for (int i = 0; i < RING_ACCEPTS_MAX; i++)
		ring_accept(ring, listener_fd, LISTENER);
	assert_int_equal(ring_run(ring, 0, handle, &events), 0);
	for (int i = 0; i < SLOTS; i++) {
		from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)i);
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(fds[i], (struct sockaddr *)&from, sizeof(from)), 0);
		assert_int_equal(connect(fds[i], (struct sockaddr *)&address, sizeof(address)), 0);
	}
	for (int i = 0; i < SLOTS; i++) {
		event = expect(RING_ACCEPT);
		assert_memory_equal(event.peer.address, loopback, 3);
		assert_in_range(event.peer.address[3], 2, 1 + SLOTS);
		assert_false(seen[event.peer.address[3] - 2]);
		seen[event.peer.address[3] - 2] = true;
	}
	ring_stop_accept(ring, listener_fd);
	for (int i = SLOTS; i < RING_ACCEPTS_MAX; i++)
		assert_int_equal(expect(RING_ACCEPT).result, -ECANCELED);
	/* And then as many may wait again. */
	for (int i = 0; i < RING_ACCEPTS_MAX; i++)
		ring_accept(ring, listener_fd, LISTENER);
	for (int i = 0; i < SLOTS; i++)
		close(fds[i]);
}

static void count_accepts(void *owner, const struct ring_event *event)
{
	if (event->operation == RING_ACCEPT && event->result >= 0)
		++*(unsigned int *)owner;
}

/* As while another responder takes over: both accept, and neither waits for the other. */
static void test_shares_a_listener(void **state)
{
	enum { ROUNDS = 200 };
	enum ring_engine other = engine_of(state) == RING_EPOLL ? RING_IO_URING : RING_EPOLL;
	unsigned int accepted = 0, connected = 0;
	struct ring *rings[2];
	const char *missing;
	uint64_t until_ns = clock_monotonic_ns() + 5 * PATIENCE_NS;
	int fds[2 * SLOTS];

	rings[0] = ring;
	assert_int_equal(ring_new(&rings[1], other, SLOTS, &missing), 0);
	assert_int_equal(ring_enable(rings[1]), 0);
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < SLOTS; j++)
			ring_accept(rings[i], listener_fd, LISTENER);
	while (connected < 2 * SLOTS) {
		fds[connected++] = connect_client();
		while (accepted < connected && clock_monotonic_ns() < until_ns)
			for (int i = 0; i < 2; i++)
				assert_int_equal(ring_run(rings[i], 0, count_accepts, &accepted),
						 0);
	}
	/* All accepts are done on both, and with none waiting both go on at once. */
	assert_int_equal(accepted, 2 * SLOTS);
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < 2; i++)
			assert_int_equal(ring_run(rings[i], 0, count_accepts, &accepted), 0);
	ring_free(rings[1]);
	for (int i = 0; i < 2 * SLOTS; i++)
		close(fds[i]);
}

/* Descriptors of the process are what epoll's connections need: one that finds none is closed. */
static void test_refuses_without_descriptors(void **state)
{
	struct rlimit before, none;
	struct ring_event event;
	int fds[2], highest;

	(void)state;
	for (int i = 0; i < 2; i++)
		fds[i] = connect_client();
	highest = dup(fds[1]);
	close(highest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = (rlim_t)highest;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (int i = 0; i < 2; i++) {
		ring_accept(ring, listener_fd, LISTENER);
		event = expect(RING_ACCEPT);
		assert_int_equal(event.result, -EMFILE);
		assert_true(is_closed(fds[i]));
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	for (int i = 0; i < 2; i++) {
		close(fds[i]);
		fds[i] = connect_client();
		accept_client();
		close(fds[i]);
	}
}

/* A socket that somebody else accepted: whose it is is known, and it works like the others. */
static void test_installs_a_socket(void **state)
{
	struct ring_event event;
	int fd = connect_client(), accepted;
	char byte;

	accepted = accept(listener_fd, NULL, NULL);
	assert_true(accepted >= 0);
	ring_install(ring, accepted);
	event = expect(RING_INSTALL);
	assert_in_range(event.result, 0, SLOTS - 1);
	assert_int_equal(event.peer.family, STEER_V4);
	assert_memory_equal(event.peer.address, loopback, sizeof(loopback));
	if (engine_of(state) == RING_IO_URING)
		assert_int_equal(fcntl(accepted, F_GETFD), -1);
	ring_send(ring, (uint32_t)event.result, GENERATION, (const uint8_t *)"x", 1);
	assert_int_equal(expect(RING_SEND).result, 1);
	assert_int_equal(read(fd, &byte, 1), 1);
	close(fd);
}

static void test_waits_no_longer_than_told(void **state)
{
	uint64_t start_ns = clock_monotonic_ns(), until_ns = start_ns + 50000000u, end_ns;

	(void)state;
	while (clock_monotonic_ns() < until_ns)
		assert_int_equal(ring_run(ring, until_ns, handle, &events), 0);
	end_ns = clock_monotonic_ns();
	assert_int_equal(event_count, 0);
	assert_in_range(end_ns - start_ns, 50000000u, PATIENCE_NS);
	/* And not at all when that is past. */
	assert_int_equal(ring_run(ring, start_ns, handle, &events), 0);
}

static void *wake(void *argument)
{
	ring_wake(argument);
	return NULL;
}

static void test_can_be_woken(void **state)
{
	pthread_t thread;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pthread_create(&thread, NULL, wake, ring), 0);
		expect(RING_WAKE);
		pthread_join(thread, NULL);
	}
}

static _Atomic unsigned int orders;

static void *give_orders(void *argument)
{
	const unsigned int *count = argument;

	for (unsigned int i = 0; i < *count; i++) {
		atomic_fetch_add(&orders, 1);
		ring_wake(ring);
	}
	return NULL;
}

static void note_orders(void *owner, const struct ring_event *event)
{
	if (event->operation == RING_WAKE)
		*(unsigned int *)owner = atomic_load(&orders);
}

/* Several orders may come with one event, but each has an event after it. */
static void test_loses_no_wake_up(void **state)
{
	static unsigned int count = 20000;
	uint64_t until_ns = clock_monotonic_ns() + 5 * PATIENCE_NS;
	unsigned int seen = 0;
	pthread_t thread;

	(void)state;
	atomic_store(&orders, 0);
	assert_int_equal(pthread_create(&thread, NULL, give_orders, &count), 0);
	while (seen < count && clock_monotonic_ns() < until_ns)
		assert_int_equal(ring_run(ring, until_ns, note_orders, &seen), 0);
	assert_int_equal(seen, count);
	pthread_join(thread, NULL);
}

/* --- io_uring's own --------------------------------------------------------------------- */

/* The descriptor of the test's only ring. */
static int find_ring_fd(void)
{
	char path[32], target[PATH_MAX];

	for (int fd = 0; fd < 64; fd++) {
		ssize_t size;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		size = readlink(path, target, sizeof(target) - 1);
		target[size < 0 ? 0 : size] = '\0';
		if (strstr(target, "[io_uring]"))
			return fd;
	}
	fail_msg("the ring has no descriptor");
	return -1;
}

/* Whoever takes over the process does not get all of io_uring with it. */
static void test_is_restricted(void **state)
{
	(void)state;
	assert_int_equal(
		syscall(SYS_io_uring_register, find_ring_fd(), IORING_UNREGISTER_FILES, NULL, 0),
		-1);
	assert_int_equal(errno, EACCES);
}

/* --- a kernel that takes no submissions ------------------------------------------------ */

static int refuse_to_enter(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_enter, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* The child's whole life; 0 when all was as it should be. */
static int submit_in_vain(void)
{
	struct ring *doomed;
	const char *missing;

	if (ring_new(&doomed, RING_IO_URING, SLOTS, &missing) || ring_enable(doomed) ||
	    refuse_to_enter())
		return 1;
	/* As long as nothing is lost the kernel may change its mind. */
	if (ring_run(doomed, 0, handle, &events))
		return 2;
	for (int i = 0; i < 5000; i++)
		ring_send(doomed, 0, GENERATION, (const uint8_t *)"x", 1);
	return ring_run(doomed, 0, handle, &events) == -EAGAIN ? 0 : 3;
}

static void test_tells_of_lost_submissions(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (!pid)
		_exit(submit_in_vain());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* --- more than there is room for -------------------------------------------------------------- */

/* Events by number, and how many came twice. */
struct tally {
	bool *seen;
	size_t count, doubles;
};

static void count_readable(void *owner, const struct ring_event *event)
{
	struct tally *tally = owner;

	if (event->operation != RING_READABLE)
		return;
	tally->doubles += tally->seen[event->slot];
	tally->count += !tally->seen[event->slot];
	tally->seen[event->slot] = true;
}

/* Twice as many completions as the queue holds, before anybody looks: none is lost. */
static void test_survives_overflow(void **state)
{
	enum { WATCHES = 20000 };
	uint64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;
	struct tally tally = {.seen = calloc(WATCHES, sizeof(bool))};
	int readable = eventfd(1, EFD_CLOEXEC);

	(void)state;
	assert_non_null(tally.seen);
	assert_true(readable >= 0);
	for (uint32_t i = 0; i < WATCHES; i++)
		ring_watch(ring, readable, i);
	while (tally.count < WATCHES && clock_monotonic_ns() < until_ns)
		assert_int_equal(ring_run(ring, until_ns, count_readable, &tally), 0);
	assert_int_equal(tally.count, WATCHES);
	assert_int_equal(tally.doubles, 0);
	free(tally.seen);
	close(readable);
	/* And it works as before. */
	test_carries_bytes(NULL);
}

enum { MANY = 1500 }; /* connections: more than there are receive buffers */

struct crowd {
	uint32_t slots[MANY];
	size_t installed, received, starved, closed;
};

static void receive_of_many(void *owner, const struct ring_event *event)
{
	struct crowd *crowd = owner;

	if (event->operation == RING_INSTALL) {
		assert_true(event->result >= 0);
		crowd->slots[crowd->installed++] = (uint32_t)event->result;
	} else if (event->operation == RING_RECEIVE && event->result > 0) {
		assert_int_equal(event->data[0], 'x');
		crowd->received++;
	} else if (event->operation == RING_CLOSE) {
		crowd->closed++;
	} else if (event->operation == RING_RECEIVE && event->result == -ENOBUFS) {
		/* As worker.c does: they are back as soon as this round is over. */
		crowd->starved++;
		ring_receive(ring, event->slot, event->generation);
	}
}

static void run_crowd(struct crowd *crowd, const size_t *count, size_t wanted)
{
	uint64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;

	while (*count < wanted && clock_monotonic_ns() < until_ns)
		assert_int_equal(ring_run(ring, until_ns, receive_of_many, crowd), 0);
	assert_int_equal(*count, wanted);
}

/* All say something at once: whoever finds no buffer is heard in the next round. */
static void test_survives_want_of_buffers(void **state)
{
	struct rlimit before, files = {.rlim_cur = 3 * MANY, .rlim_max = 3 * MANY};
	struct crowd crowd = {0};
	const char *missing;
	int pairs[MANY][2];

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	files.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	ring_free(ring);
	assert_int_equal(ring_new(&ring, engine_of(state), MANY, &missing), 0);
	assert_int_equal(ring_enable(ring), 0);
	for (size_t i = 0; i < MANY; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pairs[i]), 0);
		ring_install(ring, pairs[i][1]);
		run_crowd(&crowd, &crowd.installed, i + 1);
	}
	for (size_t i = 0; i < MANY; i++)
		ring_receive(ring, crowd.slots[i], GENERATION);
	assert_int_equal(ring_run(ring, 0, receive_of_many, &crowd), 0);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(write(pairs[i][0], "x", 1), 1);
	run_crowd(&crowd, &crowd.received, MANY);
	/* All closed at once, with a receive under way on each. */
	for (size_t i = 0; i < MANY; i++)
		ring_close(ring, crowd.slots[i], GENERATION);
	run_crowd(&crowd, &crowd.closed, MANY);
	for (size_t i = 0; i < MANY; i++)
		close(pairs[i][0]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void test_probes(void **state)
{
	const char *missing;

	assert_int_equal(ring_probe(engine_of(state), &missing), 0);
}

/* --- the choice of an engine --------------------------------------------------------------- */

static int refuse(int call)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* The engine that a process chooses in which this system call fails (0: none does). */
static enum ring_engine choice_without(int call)
{
	pid_t pid = fork();
	const char *missing;
	int err, status;

	if (!pid) {
		if (call && refuse(call))
			_exit(100);
		_exit((int)ring_choose(&missing, &err) + (call && err != -EPERM ? 10 : 0));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return (enum ring_engine)WEXITSTATUS(status);
}

static void test_chooses_what_works(void **state)
{
	(void)state;
	assert_int_equal(choice_without(0), RING_IO_URING);
	assert_int_equal(choice_without(SYS_io_uring_setup), RING_EPOLL);
	assert_int_equal(choice_without(SYS_io_uring_register), RING_EPOLL);
	assert_int_equal(choice_without(SYS_io_uring_enter), RING_EPOLL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EACH_ENGINE(test_carries_bytes, setup, teardown),
		ON_EACH_ENGINE(test_closes_what_is_under_way, setup, teardown),
		ON_EACH_ENGINE(test_tells_of_a_reset, setup, teardown),
		ON_EACH_ENGINE(test_waits_for_room, setup, teardown),
		ON_EACH_ENGINE(test_closes_with_a_send_under_way, setup, teardown),
		ON_EACH_ENGINE(test_answers_after_a_half_close, setup, teardown),
		ON_EACH_ENGINE(test_sleeps_beside_a_dead_connection, setup, teardown),
		ON_EACH_ENGINE(test_is_fair, setup, teardown),
		ON_EACH_ENGINE(test_tells_when_slots_run_out, setup, teardown),
		ON_EACH_ENGINE(test_accepts_many_and_stops, setup, teardown),
		ON_EACH_ENGINE(test_shares_a_listener, setup, teardown),
		ON_EACH_ENGINE(test_installs_a_socket, setup, teardown),
		ON_EACH_ENGINE(test_waits_no_longer_than_told, setup, teardown),
		ON_EACH_ENGINE(test_can_be_woken, setup, teardown),
		ON_EACH_ENGINE(test_loses_no_wake_up, setup, teardown),
		ON_EACH_ENGINE(test_survives_want_of_buffers, setup, teardown),
		ON_EACH_ENGINE(test_probes, NULL, NULL),
		ON_EPOLL(test_refuses_without_descriptors, setup, teardown),
		ON_IO_URING(test_is_restricted, setup, teardown),
		ON_IO_URING(test_survives_overflow, setup, teardown),
		cmocka_unit_test(test_tells_of_lost_submissions),
		cmocka_unit_test(test_chooses_what_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
