/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What kind of client a ClientHello tells of, for evidence.  Pure. */
#ifndef HELLO_TRAITS_H
#define HELLO_TRAITS_H

#include <stddef.h>
#include <stdint.h>

/*
 * The groups and key shares that are in the hello, as bits of enum evidence_feature.  `bytes` are
 * all that was received so far, from the record header on; of a hello that is not whole, or
 * spread over records, what there is of it counts.
 */
uint16_t hello_traits(const uint8_t *bytes, size_t size);

/*
 * The size of the server name in the same bytes, NULs in it included; 0: there is none, or
 * it is not among them.
 */
size_t hello_server_name_size(const uint8_t *bytes, size_t size);

#endif
