/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Properties of a ClientHello, for the evidence. Pure functions. */
#ifndef RESPONDER_HELLO_TRAITS_H
#define RESPONDER_HELLO_TRAITS_H

#include <stddef.h>
#include <stdint.h>

/*
 * The groups and key shares of the hello, as bits of enum evidence_feature. `bytes` are all bytes
 * received so far, from the record header on. If the hello is incomplete or spread over records, it
 * counts those it can see.
 */
uint16_t hello_traits(const uint8_t *bytes, size_t size);

/*
 * The size of the server name in the same bytes, including NULs; 0: there is no server name, or it
 * has not arrived.
 */
size_t hello_server_name_size(const uint8_t *bytes, size_t size);

#endif
