#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Run tests and count: tests/run.sh KIND...   (unit, bpf, net)
#
# The last line says "N passed, N failed"; the exit status is 0 only when tests
# ran and none failed.  A program that crashes or stops before its last test
# counts as a failed test.  Skipped tests are named; under CI=true they count
# as failed.  Settings: O (build directory), PYTHON.
set -u
cd "$(dirname "$0")/.." || exit 1

O=${O:-build}
PYTHON=${PYTHON:-/usr/bin/python3}
program_limit_s=300
network_limit_s=1800

passed=0
failed=0
skipped=()

# What the sanitizers find must end the program that did it.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
export CMOCKA_MESSAGE_OUTPUT=TAP

need()
{
	echo "tests: $1" >&2
	echo "tests: $2" >&2
	exit 1
}

# All that the tests need of the machine, asked for once and before the first.
check_machine()
{
	local disabled=/proc/sys/kernel/io_uring_disabled

	[ "$(id -u)" = 0 ] ||
		need "loading BPF programs and making network namespaces needs root" \
			"run this again as root"
	unshare --net --mount true ||
		need "this machine lets root make no network or mount namespaces" \
			"run this outside of a container, or in a privileged one"
	bpftool prog show >/dev/null ||
		need "the bpf() system call does not work here" \
			"run this outside of a container, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"
	grep -qw bpf_sk_assign_tcp_reqsk /proc/kallsyms ||
		need "the kernel $(uname -r) has no bpf_sk_assign_tcp_reqsk" \
			"run this on Linux 6.9 or newer"
	if [ -e "$disabled" ] && [ "$(cat "$disabled")" = 2 ]; then
		need "io_uring is disabled" "run 'sysctl kernel.io_uring_disabled=1'"
	fi
	"$PYTHON" -c 'import pytest' ||
		need "$PYTHON has no pytest" "run 'make setup', or name another with PYTHON="
}

# run_program PATH: one cmocka program.
run_program()
{
	local path=$1 name=${1#"$O/tests/"} log=$work/log status planned ok bad

	# Two files: what goes to standard error must not get between the results.
	timeout --kill-after=10 "$program_limit_s" "$path" >"$log" 2>"$log.error"
	status=$?
	planned=$(sed -n 's/^1\.\.\([0-9]*\)$/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
	ok=$(grep -c '^ok [0-9]' "$log")
	bad=$(grep '^not ok [0-9]' "$log" | grep -vc '# SKIP')
	mapfile -t -O "${#skipped[@]}" skipped < <(
		sed -n "s|^\(not \)\{0,1\}ok [0-9].*# SKIP *|$name: |p" "$log")
	# What was planned and never told of, and what went wrong outside of any test.
	bad=$((bad + planned - $(grep -Ec '^(not )?ok [0-9]' "$log")))
	if [ "$planned" = 0 ] || { [ "$status" != 0 ] && [ "$bad" = 0 ]; }; then
		bad=$((bad + 1))
	fi
	if [ "$bad" = 0 ]; then
		echo "$name: $ok passed"
	else
		cat "$log.error" "$log"
		echo "$name: $ok passed, $bad failed, exit status $status"
	fi
	passed=$((passed + ok))
	failed=$((failed + bad))
}

run_programs()
{
	local kind=$1 path found=0

	# By the sources: a program whose source is gone is of an earlier build.
	while read -r path; do
		path=$O/${path%.c}
		[ -x "$path" ] || continue
		found=1
		run_program "$path"
	done < <(find "tests/$kind" -name 'test_*.c' | sort)
	if [ "$found" = 0 ]; then
		echo "$kind: there is no test program in $O/tests/$kind: run 'make check-$kind'"
		failed=$((failed + 1))
	fi
}

run_network()
{
	local report=$work/net.xml status tally=(0 0)

	# The interrupt lets pytest end its processes and remove its namespaces.
	O=$(realpath "$O") timeout --signal=INT --kill-after=60 "$network_limit_s" \
		"$PYTHON" -B -m pytest -p no:cacheprovider -o junit_family=legacy -v --tb=short \
		--junitxml="$report" \
		tests/net
	status=$?
	[ ! -s "$report" ] || mapfile -t tally < <("$PYTHON" -B tests/tally.py "$report")
	# 0: none failed, 1: some did; any other status means that pytest itself failed.
	if [ "$status" -gt 1 ] || [ "$status" != 0 ] && [ "${tally[1]}" = 0 ]; then
		echo "net: pytest ended with status $status"
		failed=$((failed + 1))
	fi
	passed=$((passed + tally[0]))
	failed=$((failed + tally[1]))
	skipped+=("${tally[@]:2}")
}

[ $# -gt 0 ] || need "no kind of tests named" "usage: tests/run.sh unit|bpf|net..."
for kind in "$@"; do
	case $kind in unit | bpf | net) ;; *)
		need "there are no tests of kind '$kind'" "usage: tests/run.sh unit|bpf|net..."
		;;
	esac
done
check_machine
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

for kind in "$@"; do
	if [ "$kind" = net ]; then
		run_network
	else
		run_programs "$kind"
	fi
done

for name in "${skipped[@]}"; do
	echo "skipped: $name"
done
if [ "${CI:-}" = true ]; then
	failed=$((failed + ${#skipped[@]}))
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
