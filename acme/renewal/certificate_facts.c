// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/certificate_facts.h"

#include <stddef.h>

#include "acme/renewal/renewal_time.h"
#include "acme/store/state.h"
#include "acme/store/store.h"
#include "common/clock.h"
#include "common/random.h"

void certificate_facts_fill(struct state_certificate *ret_certificate, const struct stored *stored,
			    const char *renew_before)
{
	const struct renewal_facts facts = {
		.now_s = clock_now_s(),
		.not_before_s = stored->certificate.not_before_s,
		.not_after_s = stored->certificate.not_after_s,
		.before_s = renewal_time_before(renew_before),
	};
	const char *ari_id = stored->certificate.ari_id;

	*ret_certificate = (struct state_certificate){
		.server = stored->server,
		.generation = stored->generation,
		.ari_id = *ari_id ? ari_id : NULL,
		.check_at_s = *ari_id ? facts.now_s : 0,
		.not_before_s = facts.not_before_s,
		.not_after_s = facts.not_after_s,
		.renew_at_s = renewal_time_next(&facts, random_unit()),
	};
}
