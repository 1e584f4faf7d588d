/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * wolfSSL's memory. A handshake allocates and frees about two hundred blocks, always of the same
 * sizes, so each thread keeps the blocks that it has freed and takes them again: that costs a tenth of
 * malloc()'s time, and the blocks are still in the processor's caches.
 */
#ifndef RESPONDER_TLS_MEMORY_H
#define RESPONDER_TLS_MEMORY_H

#include <stddef.h>

/* As malloc(), free() and realloc(). A block may be freed by another thread than its owner. */
void *tls_memory_alloc(size_t size);
void tls_memory_free(void *block);
void *tls_memory_realloc(void *block, size_t size);

/* Give the blocks that the calling thread keeps back to the system. */
void tls_memory_release(void);

#endif
