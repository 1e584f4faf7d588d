#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Install and fetch everything that building and testing need, and with "bench" the programs that
# the benchmarks compare with: setup.sh WOLFSSL_PREFIX PEERS_DIR [bench]
# For Debian 12 or 13, as root.  It does not change what is installed already.
set -eu

wolfssl_prefix=${1:?usage: setup.sh WOLFSSL_PREFIX PEERS_DIR [bench]}
peers_dir=${2:?usage: setup.sh WOLFSSL_PREFIX PEERS_DIR [bench]}
here=$(cd "$(dirname "$0")" && pwd)

build_packages="gcc make clang llvm pkg-config libc6-dev linux-libc-dev bpftool
	libbpf-dev libelf-dev zlib1g-dev liburing-dev libseccomp-dev libcurl4-openssl-dev libjansson-dev libssl-dev
	libsqlite3-dev libc-ares-dev libidn2-dev libpsl-dev
	autoconf automake libtool debian-archive-keyring ca-certificates"
test_packages="libcmocka-dev clang-format cppcheck shellcheck iproute2 iputils-ping nftables iptables ethtool procps
	util-linux openssl gnutls-bin curl nginx haproxy apache2-bin wrk valgrind gnuplot-nox mandoc
	python3 python3-pytest python3-pytest-xdist python3-cryptography python3-scapy pyflakes3"

bench_packages=
[ "${3:-}" != bench ] || bench_packages="uacme sslh libnginx-mod-stream"

# Without dpkg, look for the programs, libraries and modules themselves.
missing_things()
{
	for program in gcc make clang bpftool pkg-config nginx haproxy openssl gnutls-cli curl nft ethtool; do
		command -v "$program" >/dev/null || printf 'program:%s ' "$program"
	done
	for library in libbpf liburing libcurl jansson libcrypto sqlite3 libcares libidn2 libpsl cmocka; do
		pkg-config --exists "$library" 2>/dev/null || printf 'library:%s ' "$library"
	done
	for module in pytest xdist cryptography scapy; do
		"${PYTHON:-/usr/bin/python3}" -c "import $module" 2>/dev/null || printf 'python:%s ' "$module"
	done
}

missing()
{
	for package in $build_packages $test_packages $bench_packages; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
			printf '%s ' "$package"
	done
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	wanted=$(missing_things)
	if [ -n "$wanted" ]; then
		echo "setup: these are missing: $wanted" >&2
		echo "setup: this is not Debian, so install them yourself; on Debian the packages are" \
			"$build_packages $test_packages $bench_packages" >&2
		exit 1
	fi
	wanted=
else
	wanted=$(missing)
fi
if [ -n "$wanted" ]; then
	if [ "$(id -u)" != 0 ]; then
		echo "setup: these packages are missing: $wanted" >&2
		echo "setup: run 'make setup' as root, or 'apt-get install' them yourself" >&2
		exit 1
	fi
	# The tests start their own servers.  A newly installed server must not start
	# and take the ports of this machine.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap 'rm -f "$policy"' EXIT
		trap 'exit 1' HUP INT TERM
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	echo "setup: installing $wanted"
	apt-get update -qq
	# shellcheck disable=SC2086 # a list of words
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $wanted >/dev/null
fi

"$here/build-wolfssl.sh" "$wolfssl_prefix"
"$here/fetch-peers.sh" "$peers_dir"
