/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Included before every file of the wolfSSL build (build-wolfssl.sh): two hooks that wolfSSL
 * documents, for the largest costs of a handshake apart from its cryptography.
 */
#ifndef WOLFSSL_BUILD_H
#define WOLFSSL_BUILD_H
#ifndef __ASSEMBLER__

#include <errno.h>
#include <sys/random.h>

/*
 * Random numbers directly from the kernel.  Otherwise wolfSSL seeds a generator for each
 * connection, which takes 11 us, as long as an X25519 key.
 */
static inline int wolfssl_build_random(unsigned char *output, unsigned int size)
{
	while (size) {
		ssize_t got = getrandom(output, size, 0);

		if (got < 0 && errno != EINTR)
			return -1;
		if (got > 0) {
			output += got;
			size -= (unsigned int)got;
		}
	}
	return 0;
}

/*
 * The assembly for P-256 leaves the upper halves of the AVX registers in use.  On Intel's
 * processors each SHA instruction then waits for them: SHA-256 takes a hundred times as long.
 */
#ifdef __x86_64__
#define RESTORE_VECTOR_REGISTERS()                    \
	do {                                          \
		if (__builtin_cpu_supports("avx"))    \
			__asm__ volatile("vzeroupper"); \
	} while (0)
#endif

#endif
#endif
