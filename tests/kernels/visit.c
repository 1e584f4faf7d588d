// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Clients of production: visit ADDRESS PORT NAME COUNT RATE.  Starts COUNT TLS
 * connections, RATE a second, each of which asks for a page.  Prints two
 * numbers: how many were started, and how many did not get the page.
 */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 20
#define STACK_SIZE (256u << 10)
#define NS_PER_S   1000000000L

static const char request[] = "GET / HTTP/1.0\r\n\r\n", expected[] = "this is production";

static SSL_CTX *context;
static struct sockaddr_storage server;
static socklen_t server_size;
static const char *name;
static atomic_uint failed;

/* 0 when `address` is one of either family. */
static int read_address(const char *address, const char *port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&server;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&server;
	uint16_t number = htons((uint16_t)atoi(port));

	if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = number;
		server_size = sizeof(*v4);
		return 0;
	}
	if (inet_pton(AF_INET6, address, &v6->sin6_addr) != 1)
		return -1;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = number;
	server_size = sizeof(*v6);
	return 0;
}

static bool gets_page(int fd)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	SSL *ssl = SSL_new(context);
	char page[4096];
	int size = 0, more = 1;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&server, server_size) == 0 && SSL_set_fd(ssl, fd) == 1 &&
	    SSL_set_tlsext_host_name(ssl, name) == 1 && SSL_connect(ssl) == 1 &&
	    SSL_write(ssl, request, sizeof(request) - 1) == sizeof(request) - 1)
		for (; more > 0 && size<(int)sizeof(page) - 1; size += more> 0 ? more : 0)
			more = SSL_read(ssl, page + size, (int)sizeof(page) - 1 - size);
	page[size] = '\0';
	SSL_free(ssl);
	return strstr(page, expected);
}

static void *visit(void *unused)
{
	int fd = socket(server.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)unused;
	if (fd < 0 || !gets_page(fd))
		atomic_fetch_add(&failed, 1);
	if (fd >= 0)
		close(fd);
	return NULL;
}

/* Start them at even distances, and wait for all.  How many there were. */
static unsigned int visit_all(unsigned int count, unsigned int rate)
{
	pthread_t *threads = calloc(count, sizeof(*threads));
	unsigned int started = 0;
	struct timespec next;
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	clock_gettime(CLOCK_MONOTONIC, &next);
	while (threads && started < count &&
	       !pthread_create(&threads[started], &attributes, visit, NULL)) {
		started++;
		next.tv_nsec += NS_PER_S / rate;
		if (next.tv_nsec >= NS_PER_S) {
			next.tv_nsec -= NS_PER_S;
			next.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	for (unsigned int i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	pthread_attr_destroy(&attributes);
	free(threads);
	return started;
}

int main(int argc, char **argv)
{
	unsigned int count, rate, started;

	count = argc == 6 ? (unsigned int)atoi(argv[4]) : 0;
	rate = argc == 6 ? (unsigned int)atoi(argv[5]) : 0;
	if (!count || rate < 2 || read_address(argv[1], argv[2])) {
		fputs("usage: visit ADDRESS PORT NAME COUNT RATE, of which RATE is 2 at least\n",
		      stderr);
		return 2;
	}
	name = argv[3];
	context = SSL_CTX_new(TLS_client_method());
	if (!context)
		return 1;
	started = visit_all(count, rate);
	printf("%u %u\n", started, failed);
	return 0;
}
