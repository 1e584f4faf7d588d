// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/util/moment.h"

int64_t moment_bound(enum moment_kind kind, int64_t moment_s, int64_t now_s)
{
	static const int64_t most_ahead_s[] = {
#define MOMENT_MOST(name, most_ahead) [MOMENT_##name] = (most_ahead),
		MOMENTS(MOMENT_MOST)
#undef MOMENT_MOST
	};

	return moment_s - most_ahead_s[kind] > now_s ? now_s : moment_s;
}
