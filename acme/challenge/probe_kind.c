// SPDX-License-Identifier: GPL-3.0-or-later
/* Apart from probe.c, which the simulation replaces. */
#include "acme/challenge/probe.h"

const char *probe_kind_name(enum probe_kind kind)
{
	static const char *const names[PROBE_KINDS] = {
		[PROBE_RIGHT] = "right",
		[PROBE_PRODUCTION] = "production",
		[PROBE_WRONG_CERTIFICATE] = "wrong_certificate",
		[PROBE_REFUSED] = "refused",
		[PROBE_UNREACHABLE] = "unreachable",
		[PROBE_TIMED_OUT] = "timed_out",
		[PROBE_BROKEN_OFF] = "broken_off",
		[PROBE_LOCAL] = "local",
	};

	return names[kind];
}
