#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A demo of Sidestep's main job: a certificate authority validates three names by
# TLS-ALPN-01 on a port 443 that nginx holds all the time, under load.
#
# The demo uses two network namespaces and one temporary directory, and removes
# them at the end.  The last line says "demo: ok, ..." or "demo:
# failed, ..."; the exit status says the same.
# Settings: O (build directory), PYTHON.
set -euo pipefail
cd "$(dirname "$0")/../.."

O=$(realpath "${O:-build}")
PYTHON=${PYTHON:-/usr/bin/python3}
demo=$PWD/deploy/demo
peers=$PWD/build/peers/usr/bin
site=www.example.org    # has an IPv4 address
site6=ipv6.example.org  # has an IPv6 address
by_hand=hand.example.org
page="Welcome to the production server."
connections_min=5000
connections_while_armed_min=1000

# shellcheck source=deploy/demo/hosts.sh
. "$demo/hosts.sh"

check_needs()
{
	local program

	[ "$(id -u)" = 0 ] || die "root is needed to load BPF programs and to make network namespaces"
	for program in "$O/sidestep" "$O/sidestep-responder" "$peers/pebble"; do
		[ -x "$program" ] || die "$program is missing: run 'make demo'"
	done
	unshare --net true || die "this machine does not let root make network namespaces"
}

# --- processes --------------------------------------------------------------

# self_signed DIRECTORY NAMES: a key and a certificate for openssl's list of names.
self_signed()
{
	mkdir -p "$1"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 7 \
		-subj "/CN=self-signed" -addext "subjectAltName=$2" \
		-keyout "$1/privkey.pem" -out "$1/fullchain.pem" 2>"$work/log/openssl"
}

# nginx as the distribution sets it up, with its paths below $work.
start_nginx()
{
	mkdir -p "$work/nginx" "$work/www"
	echo "$page" >"$work/www/index.html"
	self_signed "$work/self-signed" "DNS:$site,DNS:$site6,IP:$server_ipv4"
	ln -s "$work/self-signed" "$work/nginx/tls"
	sed "s|@work@|$work|g" "$demo/nginx.conf" >"$work/nginx/nginx.conf"
	start nginx server nginx -e stderr -c "$work/nginx/nginx.conf"
	wait_until "nginx to listen" listens server 443
}

start_clients()
{
	start clients internet "$PYTHON" -B "$demo/load.py" --name "$site" \
		--page "$work/www/index.html" --report "$work/clients.json" \
		--connect "$server_ipv4" --connect "$server_ipv6" \
		--certificate "$work/self-signed/fullchain.pem" \
		--certificate "$live/fullchain.pem"
	wait_until "the first connections" has_made 500
}

start_responder()
{
	start responder server "$O/sidestep-responder" --root "$work/root" --foreground \
		--user nobody --group users
	wait_until "the responder to be ready" grep -q ': ready: ' "$work/log/responder"
}

# Pebble, and the DNS server that it uses.
start_authority()
{
	self_signed "$work/pebble" "IP:$internet_ipv4"
	sed "s|@work@|$work|g" "$demo/pebble.json" >"$work/pebble/pebble.json"
	start dns internet "$peers/pebble-challtestsrv" -dnsserver :53 -management :8055 \
		-defaultIPv4 "" -defaultIPv6 "" -http01 "" -https01 "" -tlsalpn01 "" -doh ""
	wait_until "DNS to listen" listens internet 8055
	on internet curl -sSf localhost:8055/add-a \
		--data "{\"host\": \"$site.\", \"addresses\": [\"$server_ipv4\"]}"
	on internet curl -sSf localhost:8055/add-aaaa \
		--data "{\"host\": \"$site6.\", \"addresses\": [\"$server_ipv6\"]}"
	# Post-quantum key shares, which are the default of Go 1.26 and so of Let's Encrypt's
	# validators.  Their ClientHellos do not fit into one packet.
	start pebble internet env GODEBUG=tlsmlkem=1,tlssecpmlkem=1 PEBBLE_VA_SLEEPTIME=4 \
		"$peers/pebble" -strict -config "$work/pebble/pebble.json" \
		-dnsserver "$internet_ipv4:53"
	wait_until "Pebble to listen" listens internet 15000
	on internet curl -sSf --cacert "$work/pebble/fullchain.pem" \
		"https://$internet_ipv4:15000/roots/0" >"$work/pebble/root.pem"
}

# --- checks -----------------------------------------------------------------

sidestep()
{
	on server "$O/sidestep" "$1" --root "$work/root" "${@:2}"
}

# counter NAME: a counter of the classifier.
counter()
{
	sidestep status --json | "$PYTHON" -c \
		'import json, sys; print(json.load(sys.stdin)["counters"][sys.argv[1]])' "$1"
}

# clients KEY: a count of the load client; "failed" is the sum of all failures.
clients()
{
	"$PYTHON" -c '
import json, sys
counts = json.load(open(sys.argv[1]))
requests, first = counts.pop("requests"), counts.pop("first_failure")
print({"requests": requests, "failed": sum(counts.values()), "first": first}[sys.argv[2]])
' "$work/clients.json" "$1"
}

has_made()
{
	[ -e "$work/clients.json" ] && [ "$(clients requests)" -ge "$1" ]
}

has_passed()
{
	[ "$(counter passed_other)" -ge "$1" ]
}

# The processes that listen on the server's port 443, and their sockets (by inode number).
listening_sockets()
{
	on server ss -Hltnpe 'sport = :443' |
		sed -E 's/^LISTEN +[0-9]+ +[0-9]+ +([^ ]+) .*users:\(\("([^"]+)".*ino:([0-9]+).*/\2 listens on \1, socket \3/'
}

# certificate_at ADDRESS NAME OPTION...: the certificate that s_client receives, as PEM.
certificate_at()
{
	on internet openssl s_client -connect "$1:443" -servername "$2" "${@:3}" \
		</dev/null 2>>"$work/log/openssl" | openssl x509
}

# show_certificate FILE: its subject, its names, and whether it answers a challenge.
show_certificate()
{
	openssl x509 -in "$1" -noout -subject -ext subjectAltName | sed '/^X509v3/d; s/^ */  /'
	if is_challenge "$1"; then
		echo "  acmeIdentifier (RFC 8737), critical"
	fi
}

# is_challenge FILE: newer versions of OpenSSL print the extension's name, older ones its number.
is_challenge()
{
	openssl x509 -in "$1" -noout -text |
		grep -Eq '^ +(1\.3\.6\.1\.5\.5\.7\.1\.31|acmeIdentifier): ?critical'
}

# is_certificate FILE PEM: whether the first certificates of both are the same.
is_certificate()
{
	cmp -s "$1" <(openssl x509 -in "$2")
}

# --- the demo ---------------------------------------------------------------

show_production()
{
	say "Two hosts, network namespaces on one wire:"
	echo "server    $server_ipv4  $server_ipv6" | indent
	echo "internet  $internet_ipv4  $internet_ipv6" | indent
	make_hosts

	say "nginx holds the server's port 443, with a self-signed certificate."
	start_nginx
	sockets=$(listening_sockets)
	echo "nginx is process ${pid_of[nginx]}" | indent
	indent <<<"$sockets"

	say "Clients make new TLS connections without pause; each page and certificate is checked."
	start_clients
	echo "$(clients requests) connections, $(clients failed) failed" | indent
}

show_responder()
{
	say "Sidestep's responder starts beside nginx. Nothing is pending, so it inspects nothing."
	start_responder
	sidestep status | sed -nE '/^  (user|takeover|attach|interfaces) /p' | indent
	wait_until "more connections" has_made $(($(clients requests) + 300))
	echo "$(clients requests) connections, $(clients failed) failed;" \
		"$(counter syn_mark) were inspected" | indent

	say "A challenge is armed by hand. The same port now gives two answers to two questions:"
	sidestep publish "$by_hand" --key-authorization token.thumbprint | indent
	certificate_at "$server_ipv4" "$by_hand" -alpn acme-tls/1 >"$work/challenge.pem"
	certificate_at "$server_ipv4" "$by_hand" >"$work/production.pem"
	echo "openssl s_client -servername $by_hand -alpn acme-tls/1" | indent
	show_certificate "$work/challenge.pem" | indent
	echo "openssl s_client -servername $by_hand" | indent
	show_certificate "$work/production.pem" | indent
	is_challenge "$work/challenge.pem" || die "the first is no challenge certificate"
	is_certificate "$work/production.pem" "$work/self-signed/fullchain.pem" ||
		die "the second is not nginx's certificate"
}

show_issuance()
{
	say "Pebble, Let's Encrypt's test authority, validates a name by IPv4, one by IPv6, and an" \
		"IPv4 address."
	start_authority
	steered=$(counter steered)
	NGINX_CONF=$work/nginx/nginx.conf DEMO_TLS=$work/nginx/tls sidestep certonly \
		--agree-tos --server "https://$internet_ipv4:14000/dir" \
		--cacert "$work/pebble/fullchain.pem" \
		-d "$site" -d "$site6" -d "$server_ipv4" \
		--deploy-hook "$demo/install-certificate" 2>&1 | indent
	steered=$(($(counter steered) - steered))

	say "nginx has reloaded. The page, fetched with nothing trusted but Pebble's root:"
	# A worker from before the reload may still take some connections.
	wait_until "nginx to serve the new certificate" page_is_trusted "$site" "$server_ipv4"
	wait_until "$site6 over IPv6" page_is_trusted "$site6" "[$server_ipv6]"
	wait_until "$server_ipv4 by its address" page_is_trusted "$server_ipv4" "$server_ipv4"
	wait_until "nginx to serve nothing else" serves_the_issued
	openssl x509 -in "$work/issued.pem" -noout -issuer -enddate | indent
	echo "https://$site/  https://$site6/  https://$server_ipv4/: $page" | indent
}

show_counts()
{
	say "The clients continue until there are enough connections."
	wait_until "$connections_while_armed_min connections while armed" \
		has_passed "$connections_while_armed_min"
	wait_until "$connections_min connections" has_made "$connections_min"
	stop clients
	sidestep withdraw "$by_hand" | indent

	say "The counts:"
	cat <<-END | indent
	$steered connections of the authority went to the responder
	$(counter passed_other) connections of clients were inspected while a name was armed, and went to nginx
	$(clients requests) connections of clients in all, $(clients failed) failed
	END
	[ "$steered" -ge 3 ] || die "the connections of the authority did not reach the responder"
	[ "$(listening_sockets)" = "$sockets" ] || die "the sockets that listen on port 443 have changed"
	kill -0 "${pid_of[nginx]}" || die "nginx has ended"
	echo "nginx is still process ${pid_of[nginx]}; on the same sockets:" | indent
	indent <<<"$sockets"
	[ "$(clients failed)" = 0 ] || die "a client failed: $(clients first)"
	echo
	echo "demo: ok, 1 certificates issued, $(clients requests) production requests, 0 failed"
}

serves_the_issued()
{
	certificate_at "$server_ipv4" "$site" >"$work/issued.pem" &&
		is_certificate "$work/issued.pem" "$live/cert.pem"
}

# page_is_trusted NAME ADDRESS
page_is_trusted()
{
	[ "$(on internet curl -sS --max-time 10 --cacert "$work/pebble/root.pem" \
		--resolve "$1:443:$2" "https://$1/" 2>>"$work/log/curl")" = "$page" ]
}

check_needs
prepare
live=$work/root/var/lib/sidestep/live/$site
show_production
show_responder
show_issuance
show_counts
