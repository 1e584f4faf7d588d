#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Build the static wolfSSL that Sidestep links: build-wolfssl.sh PREFIX
#
# The distribution's builds are slow and have vulnerabilities in code that Sidestep
# uses (the ALPN list).  So this script builds the newest source of the unstable
# suite, with the fast single-precision mathematics.  apt verifies its signature.
# It keeps a prefix that already holds such a build.
set -eu

prefix=${1:?usage: build-wolfssl.sh PREFIX}
here=$(cd "$(dirname "$0")" && pwd)
minimum=5.9.2

# The build depends on these settings; a prefix from other settings is built again.
settings="--enable-static --disable-shared --disable-examples --disable-crypttests
	--enable-sp=yes,4096 --enable-sp-asm --enable-sp-math --enable-intelasm
	--enable-tls13 --disable-oldtls --disable-psk --disable-dh
	--enable-ecc --enable-curve25519 --enable-mlkem
	--enable-alpn --enable-sni --enable-certgen --enable-certreq --enable-certext
	--enable-keygen --disable-hashdrbg"
case $(uname -m) in
x86_64) ;;
aarch64) settings=$(echo "$settings" | sed 's/--enable-intelasm/--enable-armasm/') ;;
*) settings=$(echo "$settings" | sed 's/--enable-intelasm//; s/--enable-sp-asm//') ;;
esac
# NO_ERROR_QUEUE: errors are returned, never kept per thread.
# WOLFSSL_TLS13_MIDDLEBOX_COMPAT: the change_cipher_spec of RFC 8446 appendix D.4.
defines="-DWOLFSSL_ALT_NAMES -DWOLFSSL_CUSTOM_OID -DHAVE_OID_ENCODING -DNO_ERROR_QUEUE
	-DKEEP_PEER_CERT -DWC_RSA_BLINDING -DWOLFSSL_TLS13_MIDDLEBOX_COMPAT
	-DCUSTOM_RAND_GENERATE_BLOCK=wolfssl_build_random"
hooks=$here/wolfssl_build.h
# For sidestep-responder alone, in front of the library: P-256 with tables that are read at an index
# that depends on the key. The agent's keys must not show in the processor's caches; the responder's
# one key is no secret of any domain, and reading all of a table takes a fifth of a signature's time.
open_tables=-DWC_NO_CACHE_RESISTANT
stamp="$minimum $settings $defines $open_tables $(cksum <"$hooks")"

if [ -f "$prefix/lib/libwolfssl.a" ] && [ "$(cat "$prefix/settings" 2>/dev/null)" = "$stamp" ]; then
	exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

. "$here/suite-apt.sh"
echo "setup: fetching the wolfSSL source"
suite_apt_init "$work/apt" unstable deb-src
(cd "$work" && suite_apt source -qq --download-only --tar-only wolfssl)
tarball=$(find "$work" -maxdepth 1 -name 'wolfssl_*.orig.tar.*' ! -name '*.asc' | head -n 1)
[ -n "$tarball" ] || { echo "setup: apt delivered no wolfSSL source" >&2; exit 1; }

version=$(basename "$tarball" | sed 's/^wolfssl_//; s/[+~-].*//; s/\.orig\.tar.*//')
if [ "$(printf '%s\n%s\n' "$minimum" "$version" | sort -V | head -n 1)" != "$minimum" ]; then
	echo "setup: wolfSSL $version is older than $minimum, which fixes CVE-2026-3547;" \
		"name a newer build with WOLFSSL_PREFIX=" >&2
	exit 1
fi

echo "setup: building wolfSSL $version (about two minutes)"
log=$work/build.log
mkdir "$work/source"
tar -xf "$tarball" -C "$work/source" --strip-components=1
(
	cd "$work/source"
	[ -x configure ] || autoreconf -fi
	# shellcheck disable=SC2086 # the settings are words
	./configure --prefix="$prefix" $settings \
		CFLAGS="-O3 -g -include $hooks $(echo $defines)"
	make -j"$(nproc)" src/libwolfssl.la
	if [ "$(uname -m)" = x86_64 ]; then
		p256=wolfcrypt/src/src_libwolfssl_la-sp_x86_64
		rm $p256.lo $p256.o
		make CPPFLAGS=$open_tables $p256.lo
		cp $p256.o "$work/p256_open_tables.o"
	fi
) >"$log" 2>&1 || { tail -n 30 "$log" >&2; echo "setup: wolfSSL did not build" >&2; exit 1; }

# Install beside the prefix, then rename once: the prefix is never incomplete.
staged=$work/staged
make -C "$work/source" DESTDIR="$staged" install-libLTLIBRARIES install-data >>"$log" 2>&1 ||
	{ tail -n 30 "$log" >&2; exit 1; }
[ ! -f "$work/p256_open_tables.o" ] || cp "$work/p256_open_tables.o" "$staged$prefix/lib/"
printf '%s' "$stamp" >"$staged$prefix/settings"
mkdir -p "$(dirname "$prefix")"
rm -rf "$prefix.new" && cp -a "$staged$prefix" "$prefix.new"
rm -rf "$prefix" && mv "$prefix.new" "$prefix"
echo "setup: wolfSSL $version is in $prefix"
