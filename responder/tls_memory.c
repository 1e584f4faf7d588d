// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/tls_memory.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Blocks come in classes, 64 bytes apart; what is larger is malloc()'s alone. */
#define STEP    64
#define CLASSES 128
/* The most blocks of a class that a thread keeps: what several hundred handshakes at once use. */
#ifdef __SANITIZE_ADDRESS__
#define KEPT_MAX 0 /* the sanitizer then sees every use after the end */
#else
#define KEPT_MAX 256
#endif

/* Before each block. */
struct header {
	alignas(max_align_t) struct header *next; /* while the block is kept */
	size_t size_class; /* CLASSES: it has none */
};

struct kept {
	struct header *first;
	unsigned int count;
};

static _Thread_local struct kept kept[CLASSES];

static struct header *header_of(void *block)
{
	return (struct header *)block - 1;
}

void *tls_memory_alloc(size_t size)
{
	size_t size_class = size / STEP; /* of blocks with (size_class + 1) * STEP bytes */
	struct header *header;

	if (size_class >= CLASSES) {
		if (size > SIZE_MAX - sizeof(*header))
			return NULL;
		header = malloc(sizeof(*header) + size);
		size_class = CLASSES;
	} else if (kept[size_class].first) {
		header = kept[size_class].first;
		kept[size_class].first = header->next;
		kept[size_class].count--;
	} else {
		header = malloc(sizeof(*header) + (size_class + 1) * STEP);
	}
	if (!header)
		return NULL;
	header->size_class = size_class;
	return header + 1;
}

void tls_memory_free(void *block)
{
	struct header *header;
	struct kept *own;

	if (!block)
		return;
	header = header_of(block);
	own = &kept[header->size_class % CLASSES];
	if (header->size_class == CLASSES || own->count == KEPT_MAX) {
		free(header);
		return;
	}
	header->next = own->first;
	own->first = header;
	own->count++;
}

void *tls_memory_realloc(void *block, size_t size)
{
	size_t old_size = block ? (header_of(block)->size_class + 1) * STEP : 0;
	void *larger;

	if (block && header_of(block)->size_class == CLASSES) {
		struct header *header;

		if (size > SIZE_MAX - sizeof(*header))
			return NULL;
		header = realloc(header_of(block), sizeof(*header) + size);
		if (!header)
			return NULL;
		return header + 1;
	}
	if (block && size <= old_size)
		return block;
	larger = tls_memory_alloc(size);
	if (larger && block) {
		memcpy(larger, block, old_size);
		tls_memory_free(block);
	}
	return larger;
}

void tls_memory_release(void)
{
	for (size_t size_class = 0; size_class < CLASSES; size_class++) {
		while (kept[size_class].first) {
			struct header *header = kept[size_class].first;

			kept[size_class].first = header->next;
			free(header);
		}
		kept[size_class].count = 0;
	}
}
