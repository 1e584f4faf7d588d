/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the state keeps of a certificate that is on the disk. */
#ifndef ACME_RENEWAL_CERTIFICATE_FACTS_H
#define ACME_RENEWAL_CERTIFICATE_FACTS_H

struct state_certificate;
struct stored;

/*
 * Texts are those of `stored`.  The moment of its renewal is chosen at random, or as the setting
 * `renew_before` says; NULL: it is not set.
 */
void certificate_facts_fill(struct state_certificate *ret_certificate, const struct stored *stored,
			    const char *renew_before);

#endif
