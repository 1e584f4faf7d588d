/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a server said in one handshake, for tcp_floor.c to say again. */
#ifndef BENCH_TCP_FLOOR_H
#define BENCH_TCP_FLOOR_H

#include <stdbool.h>
#include <stdint.h>
#include <netinet/in.h>

#define FLIGHT_MAX 4096

/* A file has it as it is: it is read on the machine that wrote it. */
struct recording {
	uint32_t hello_size, finished_size; /* the client's flights */
	uint32_t flight_size, goodbye_size; /* the server's */
	uint8_t flight[FLIGHT_MAX], goodbye[FLIGHT_MAX];
};

/* Shake hands with the server once. Ends the process on failure, as all of the program does. */
void clients_record(const struct sockaddr_in *address, struct recording *ret_recording);

/* Let `concurrency` validators at once converse, for `seconds`. The number of conversations. */
unsigned long clients_load(const struct sockaddr_in *address, unsigned long concurrency,
			   unsigned long seconds);

void require(bool holds, const char *what);

#endif
