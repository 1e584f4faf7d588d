#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Fetch the test peers that are too old in the stable suite: fetch-peers.sh DIR [bench]
#
# It unpacks Pebble >= 2.10 and Caddy >= 2.11, and for the bench lego >= 4.30, from the
# unstable suite into DIR; and into DIR/clients the clients of the installed suite whose
# certificates `sidestep import` takes over, with what they need and this machine lacks.  It
# installs nothing, and keeps existing files.
set -eu

dir=${1:?usage: fetch-peers.sh DIR [bench]}
here=$(cd "$(dirname "$0")" && pwd)
kind=${2:-test}

if [ "$kind" = test ] && [ -f "$dir/complete" ] && [ -f "$dir/complete-clients" ]; then
	exit 0
fi
if [ "$kind" = bench ] && [ -f "$dir/complete-bench" ]; then
	exit 0
fi
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# What an installation would fetch, unpacked instead.
fetch_clients()
{
	echo "setup: fetching certbot, lego and dehydrated"
	wanted=$(apt-get install -s -qq --no-install-recommends certbot lego dehydrated |
		awk '$1 == "Inst" { print $2 }')
	mkdir -p "$work/clients" "$dir/clients"
	# shellcheck disable=SC2086 # a list of names, empty where all are installed
	[ -z "$wanted" ] || (cd "$work/clients" && apt-get download -qq $wanted)
	find "$work/clients" -name '*.deb' -exec dpkg-deb -x {} "$dir/clients" ';'
	touch "$dir/complete-clients"
}

if [ "$kind" = test ] && [ ! -f "$dir/complete-clients" ]; then
	fetch_clients
fi
if [ "$kind" = test ] && [ -f "$dir/complete" ]; then
	exit 0
fi

. "$here/suite-apt.sh"
echo "setup: fetching $([ "$kind" = bench ] && echo lego || echo Pebble and Caddy)"
suite_apt_init "$work/apt" unstable deb

# fetch PACKAGE MINIMUM
fetch()
{
	(cd "$work" && suite_apt download -qq "$1")
	deb=$(find "$work" -maxdepth 1 -name "$1_*.deb" | head -n 1)
	version=$(dpkg-deb -f "$deb" Version)
	if ! dpkg --compare-versions "$version" ge "$2"; then
		echo "setup: $1 $version is older than $2" >&2
		exit 1
	fi
	dpkg-deb -x "$deb" "$dir"
	echo "setup: $1 $version is in $dir"
}

if [ "$kind" = bench ]; then
	fetch lego 4.30
	touch "$dir/complete-bench"
	exit 0
fi
fetch pebble 2.10
fetch caddy 2.11
touch "$dir/complete"
