# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# Hosts, processes and output of the demo.  Sourced by demo.sh.
#
# At every exit the demo ends its processes, by their process ids, and removes its
# namespaces and its directory.

internet_ipv4=192.0.2.1
internet_ipv6=2001:db8::1
server_ipv4=192.0.2.2
server_ipv6=2001:db8::2
patience_s=60

started=()  # names of processes, the last started first
declare -A pid_of=()  # of the running ones
namespaces=()
step=0
work=

# --- output -----------------------------------------------------------------

say()
{
	step=$((step + 1))
	printf '\n%d. %s\n' "$step" "$*"
}

indent()
{
	sed 's/^/     /'
}

die()
{
	echo
	echo "demo: $*" >&2
	exit 1
}

# --- hosts ------------------------------------------------------------------

namespace()
{
	echo "/run/netns/sidestep-demo-$$-$1"
}

# on HOST COMMAND...
on()
{
	nsenter --net="$(namespace "$1")" "${@:2}"
}

make_hosts()
{
	local host

	for host in internet server; do
		ip netns add "sidestep-demo-$$-$host"
		namespaces+=("sidestep-demo-$$-$host")
		on "$host" ip link set lo up
	done
	ip link add eth0 netns "${namespaces[0]}" type veth peer name eth0 netns "${namespaces[1]}"
	set_up_wire internet "$internet_ipv4" "$internet_ipv6"
	set_up_wire server "$server_ipv4" "$server_ipv6"
	for host in internet server; do
		wait_until "the wire" has_wire "$host"
	done
}

# set_up_wire HOST IPV4 IPV6
set_up_wire()
{
	# As on a real wire, a segment is one packet: turn the offloads off.
	on "$1" ethtool -K eth0 tso off gso off gro off >/dev/null
	on "$1" ip address add "$2/24" dev eth0
	on "$1" ip address add "$3/64" dev eth0 nodad
	on "$1" ip link set eth0 up
}

has_wire()
{
	on "$1" ip link show dev eth0 | grep -q 'state UP'
}

# listens HOST PORT
listens()
{
	[ -n "$(on "$1" ss -Hltn "sport = :$2")" ]
}

# --- processes --------------------------------------------------------------

# start NAME HOST COMMAND...: run it in the background; its output goes to the log NAME.
start()
{
	: >"$work/log/$1"
	# nsenter executes the command, so both have the same process id.
	nsenter --net="$(namespace "$2")" "${@:3}" </dev/null >>"$work/log/$1" 2>&1 &
	pid_of[$1]=$!
	started=("$1" "${started[@]}")
}

# stop NAME: end the process, if it still runs.
stop()
{
	local pid=${pid_of[$1]:-} end=$((SECONDS + 20))

	[ -n "$pid" ] || return 0
	unset "pid_of[$1]"
	kill "$pid" 2>/dev/null || true
	while kill -0 "$pid" 2>/dev/null && [ "$SECONDS" -lt "$end" ]; do
		sleep 0.1
	done
	kill -9 "$pid" 2>/dev/null || true
	wait "$pid" || true
}

# wait_until WHAT COMMAND...: until the command succeeds; fails if a process ends.
wait_until()
{
	local what=$1 end=$((SECONDS + patience_s)) name

	shift
	until "$@"; do
		for name in "${!pid_of[@]}"; do
			kill -0 "${pid_of[$name]}" 2>/dev/null || die "$name has ended"
		done
		[ "$SECONDS" -lt "$end" ] || die "waited $patience_s s for $what"
		sleep 0.1
	done
}

# --- beginning and end ------------------------------------------------------

prepare()
{
	trap clean_up EXIT
	trap 'exit 1' HUP INT TERM
	work=$(mktemp -d "${TMPDIR:-/tmp}/sidestep-demo-XXXXXX")
	chmod 755 "$work"  # servers run as other users
	mkdir "$work/log" "$work/root"
}

clean_up()
{
	local status=$? i

	trap '' HUP INT TERM
	set +e
	if [ "$status" != 0 ]; then
		for i in "$work"/log/*; do
			[ -s "$i" ] && echo "--- ${i##*/}" && tail -n 15 "$i"
		done >&2
	fi
	for i in "${started[@]}"; do
		stop "$i"
	done
	if [ -d "$work/root/run" ]; then
		on server "$O/sidestep-responder" --root "$work/root" --user nobody --group users \
			--unload
	fi
	for i in "${namespaces[@]}"; do
		ip netns delete "$i"
	done
	rm -rf --one-file-system "$work"
	[ "$status" = 0 ] || echo "demo: failed, exit status $status"
	exit "$status"
}
