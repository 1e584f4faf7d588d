#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Put all that a trial needs into an initial RAM file system, which every kernel
# gets: pack.sh BUILD_DIR KERNELS_DIR FILE
# Programs of this machine go in with the libraries that they are linked with.
set -eu

build=${1:?usage: pack.sh BUILD_DIR KERNELS_DIR FILE}
kernels=${2:?usage: pack.sh BUILD_DIR KERNELS_DIR FILE}
file=${3:?usage: pack.sh BUILD_DIR KERNELS_DIR FILE}
here=$(cd "$(dirname "$0")" && pwd)
kernels=$(cd "$kernels" && pwd)
export PATH="$PATH:/usr/sbin:/sbin"

tree=$(mktemp -d)
chmod 755 "$tree" # it becomes the root directory, which users must be able to enter
trap 'rm -rf "$tree"' EXIT
trap 'exit 1' HUP INT TERM

# add PROGRAM [NAME]: with its libraries, without debugging information.
add()
{
	from=$(command -v "$1") || { echo "kernels: there is no program $1 here" >&2; exit 1; }
	cp "$from" "$tree/usr/bin/${2:-${1##*/}}"
	strip --strip-debug "$tree/usr/bin/${2:-${1##*/}}"
	for library in $(ldd "$from" | grep -o '/[^ ]*'); do
		[ -e "$tree$library" ] || install -D "$library" "$tree$library"
	done
}

mkdir -p "$tree/bin" "$tree/usr/bin" "$tree/etc" "$tree/var/lib/nginx" "$tree/tests/data"
cp "$kernels/busybox" "$tree/bin"
for program in ip tc nft bpftool ethtool openssl nginx setpriv \
	"$build/sidestep-responder" "$build/sidestep" "$build/sidestep-bench" \
	"$build/tests/kernels/verify" "$build/tests/kernels/visit" \
	"$build/tests/bpf/test_client_hello_bpf"; do
	add "$program"
done
# Named by the takeover that they test.
add "$build/tests/bpf/test_steer_bpf" test_steer_bpf_assign
add "$build/tests/bpf/test_steer_repair_bpf" test_steer_bpf_repair

cp "$here/init" "$here/trial" "$tree"
cp "$here/nginx.conf" "$tree/etc"
cp -r "$here/../data/hello" "$tree/tests/data"
printf 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n' >"$tree/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\nusers:x:100:\n' >"$tree/etc/group"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 7 \
	-subj /CN=production -keyout "$tree/etc/production.key" \
	-out "$tree/etc/production.pem" 2>"$file.log" || { cat "$file.log" >&2; exit 1; }
rm "$file.log"

(cd "$tree" && find . | "$kernels/busybox" cpio --quiet -o -H newc) >"$file"
