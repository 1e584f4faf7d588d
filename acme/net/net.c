// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/net/net.h"

#include <curl/curl.h>
#include <errno.h>
#include <stddef.h>

#include "acme/util/failure.h"
#include "acme/net/http.h"
#include "acme/net/loop.h"

int net_open(struct net *net, uint32_t timeout_s, struct failure *failure)
{
	const struct http_options options = {.timeout_s = timeout_s};
	int err;

	*net = (struct net){0};
	err = curl_global_init(CURL_GLOBAL_DEFAULT) ? -ENOMEM : 0;
	if (!err)
		err = loop_new(&net->loop);
	if (!err)
		err = http_new(&net->http, net->loop, &options);
	if (!err)
		return 0;
	failure_set_errno(failure, -err, "preparing to talk to the CA");
	net_close(net);
	return -1;
}

int net_run(struct net *net, struct failure *failure)
{
	int err = loop_run(net->loop);

	if (err == -EINTR)
		failure_set(failure, "run this again to continue",
			    "interrupted; no name stays armed");
	else if (err)
		failure_set_errno(failure, -err, "waiting for the CA");
	return err ? -1 : 0;
}

void net_close(struct net *net)
{
	http_free(net->http);
	loop_free(net->loop);
	curl_global_cleanup();
	*net = (struct net){0};
}
