// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/mapping.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>

/* One for each thread of the responder, and some more. */
#define MAPPINGS_MAX 2048

static _Atomic(struct mapping *) mappings[MAPPINGS_MAX];
static struct sigaction previous_action;

/* mmap(2) is a plain system call on Linux, so it may be called in a signal handler. */
static bool replace_by_zeros(struct mapping *mapping)
{
	void *base = mmap(mapping->base, mapping->size, mapping->protection,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	if (base == MAP_FAILED)
		return false;
	atomic_store(&mapping->lost, true);
	return true;
}

static void handle_bus_error(int signal, siginfo_t *info, void *context)
{
	uintptr_t address = (uintptr_t)info->si_addr;
	int saved_errno = errno, i;
	struct mapping *mapping;

	(void)context;
	for (i = 0; i < MAPPINGS_MAX; i++) {
		mapping = atomic_load(&mappings[i]);
		if (mapping && address - (uintptr_t)mapping->base < mapping->size &&
		    replace_by_zeros(mapping)) {
			errno = saved_errno;
			return;
		}
	}
	/* Not in a mapping of this file: restore the old handler, which gets the repeated access. */
	sigaction(signal, &previous_action, NULL);
	errno = saved_errno;
}

/* Repeat this for each mapping: other code may have replaced the handler. */
static void install_handler(void)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	struct sigaction action = {.sa_sigaction = handle_bus_error, .sa_flags = SA_SIGINFO};
	struct sigaction before;

	pthread_mutex_lock(&mutex);
	sigaction(SIGBUS, NULL, &before);
	if (before.sa_sigaction != handle_bus_error) {
		previous_action = before;
		sigaction(SIGBUS, &action, NULL);
	}
	pthread_mutex_unlock(&mutex);
}

int mapping_init(struct mapping *mapping, int fd, size_t size, bool writable)
{
	struct mapping *nobody;
	int i;

	mapping->size = size;
	mapping->protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
	atomic_init(&mapping->lost, false);
	mapping->base = mmap(NULL, size, mapping->protection, MAP_SHARED, fd, 0);
	if (mapping->base == MAP_FAILED)
		return -errno;
	install_handler();
	for (i = 0; i < MAPPINGS_MAX; i++) {
		nobody = NULL;
		if (atomic_compare_exchange_strong(&mappings[i], &nobody, mapping))
			return 0;
	}
	munmap(mapping->base, size);
	return -EMFILE;
}

void mapping_done(struct mapping *mapping)
{
	int i;

	for (i = 0; i < MAPPINGS_MAX; i++)
		if (atomic_load(&mappings[i]) == mapping)
			atomic_store(&mappings[i], NULL);
	munmap(mapping->base, mapping->size);
}

bool mapping_is_lost(const struct mapping *mapping)
{
	return atomic_load(&mapping->lost);
}
