#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Fetch what 'make check-kernels' needs in addition to 'make setup': fetch-kernels.sh DIR
# For Debian 12 or 13 on x86-64, as root.
#
# It installs QEMU.  It unpacks, but does not install, BusyBox (DIR/busybox) and the
# kernels of four suites (DIR/SUITE/{vmlinuz,MODULE.ko}), in the flavour for virtual
# machines, which is enough here at a quarter of the size.  DIR/SUITE/order names the modules,
# each behind those that it needs.  It keeps existing files; remove DIR to fetch newer ones.
set -eu

dir=${1:?usage: fetch-kernels.sh DIR}
here=$(cd "$(dirname "$0")" && pwd)
suites="unstable trixie bookworm bullseye"  # BusyBox comes from the first
# A wire, what clsact needs, a bad wire, Docker's NAT rules, and what cannot be steered.
modules="veth sch_ingress cls_bpf sch_netem nft_chain_nat nft_nat nft_masq nft_fib_ipv4 nft_fib_ipv6 vrf ipvlan"
wanted="$suites: $modules"

if [ "$(dpkg --print-architecture 2>/dev/null)" != amd64 ]; then
	echo "setup: the test kernels are Debian's for amd64; run 'make check-kernels' on an x86-64 machine" >&2
	exit 1
fi
if ! command -v qemu-system-x86_64 >/dev/null; then
	if [ "$(id -u)" != 0 ]; then
		echo "setup: QEMU is missing: run 'make check-kernels' as root, or install" \
			"qemu-system-x86 yourself" >&2
		exit 1
	fi
	echo "setup: installing qemu-system-x86"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		qemu-system-x86 >/dev/null
fi
if [ "$(cat "$dir/complete" 2>/dev/null)" = "$wanted" ]; then
	exit 0
fi

mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
rm -f "$dir/busybox"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

. "$here/suite-apt.sh"

# unpack PACKAGE: below $tree, with the packages that newer kernels are split into.
unpack()
{
	(cd "$work" && suite_apt download -qq "$1")
	deb=$(find "$work" -maxdepth 1 -name "$1_*.deb" | head -n 1)
	dpkg-deb -x "$deb" "$tree"
	parts=$(dpkg-deb -f "$deb" Depends | grep -oE 'linux-(image|binary|modules)-[^ ,]+') || parts=
	rm "$deb"
	for part in $parts; do
		unpack "$part"
	done
}

# place PATTERN FILE: move the one file below $tree whose path matches to FILE, and decompress it.
place()
{
	found=$(find "$tree" -type f -path "$tree*/$1")
	case $found in
	'') echo "setup: the packages of $suite have no file $1" >&2; exit 1 ;;
	*.xz) "$dir/busybox" xz -dc "$found" >"$2" ;;
	*) cp "$found" "$2" ;;
	esac
}

# place_module NAME: with the modules that it needs, and their names in the file "order".
place_module()
{
	[ ! -e "$dir/$suite/$1.ko" ] || return 0
	place "$1.ko*" "$dir/$suite/$1.ko"
	for needed in $(tr '\0' '\n' <"$dir/$suite/$1.ko" | sed -n 's/^depends=//p' | tr , ' '); do
		place_module "$needed"
	done
	echo "$1" >>"$dir/$suite/order"
}

for suite in $suites; do
	echo "setup: fetching the kernel of $suite"
	suite_apt_init "$work/apt-$suite" "$suite" deb
	tree=$work/$suite
	if [ ! -x "$dir/busybox" ]; then
		unpack busybox-static
		place bin/busybox "$dir/busybox"
	fi
	unpack linux-image-cloud-amd64
	rm -rf "${dir:?}/$suite"
	mkdir "$dir/$suite"
	place 'vmlinuz*' "$dir/$suite/vmlinuz"
	for module in $modules; do
		place_module "$module"
	done
	rm -rf "$tree"
done
echo "$wanted" >"$dir/complete"
echo "setup: the kernels are in $dir"
