#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The checks that need no build: lint.sh C_FILE...
#
# It checks the C files for layout, layers, function length and cppcheck's findings,
# every tracked file for its licence line, trailing white space and private words
# (words.txt), and shell and Python scripts with shellcheck and pyflakes.
set -u
cd "$(dirname "$0")/../.." || exit 1

function_lines_max=70
failed=0

# complain TEXT: report TEXT as a fault, unless it is empty.
complain()
{
	[ -n "$1" ] || return 0
	printf '%s\n' "$1" >&2
	failed=1
}

need()
{
	command -v "$1" >/dev/null && return
	echo "lint: $1 is missing: run 'make setup' as root" >&2
	exit 1
}

# A function's lines from its head to its closing brace, which is in the first column.
long_functions()
{
	awk -v max="$function_lines_max" '
		FNR == 1 { start = 0 }
		/^[a-zA-Z_].*\(/ && !/;$/ { start = FNR }
		/^}/ && start {
			if (FNR - start + 1 > max)
				printf "%s:%d: this function has %d lines; the limit is %d\n",
					FILENAME, start, FNR - start + 1, max
			start = 0
		}' "$@"
}

# One way to write what can be written in two.
dialect()
{
	local file line

	for file in "$@"; do
		read -r line <"$file"
		case $file:${line%%SPDX*} in
		*.c:'// ' | *.h:'/* ') ;;
		*) echo "$file: the SPDX line is // in a .c file and /* */ in a .h file" ;;
		esac
	done
	grep -nE '!strn?cmp\(' "$@" | sed "s/$/: write strcmp() == 0/"
	printf '%s\n' "$@" | grep -E '^(acme/|common/[a-z_]+\.)' |
		xargs -r grep -nE '^[^"*]*\bint ([a-z_]+( = [^,;()]*)?, )*error( =|,|;)' |
		sed "s/$/: an error code (0 or -errno) is called err/"
}

# tracked PATTERN...: the files of the repository, except the licence text.
tracked()
{
	git ls-files -- "$@" ':!LICENSE'
}

for program in clang-format cppcheck shellcheck git; do
	need "$program"
done

if [ $# -gt 0 ]; then
	clang-format --dry-run -Werror "$@" || failed=1
	complain "$(long_functions "$@")"
	complain "$(dialect "$@")"
	complain "$(awk -f deploy/setup/layers.awk deploy/setup/layers "$@")"
	# cppcheck reads no system headers, so define the macros that do not look like C.
	cppcheck --quiet --error-exitcode=1 --std=c11 --language=c --inline-suppr \
		--enable=warning --suppress=missingInclude --suppress=uninitvar \
		-D'LIBBPF_OPTS(type,name,...)=struct type name = {__VA_ARGS__}' -D'SEC(name)=' \
		-j "$(nproc)" -I. "$@" || failed=1
fi

mapfile -t files < <(tracked)
complain "$(grep -L 'SPDX-License-Identifier: GPL-3.0-or-later' "${files[@]}" |
	grep -vE '\.(png|svg|json)$' | sed 's/$/: no SPDX line/')"
complain "$(grep -nIE '[[:blank:]]+$' "${files[@]}" | sed 's/$/: trailing white space/')"

# Private words and phrases: words.txt has each with what to write instead.
private_words()
{
	local expression instead
	while IFS=$'\t' read -r expression instead; do
		case $expression in '' | \#*) continue ;; esac
		git grep -nIwiE "$expression" -- . ':!CHANGELOG.md' ':!LICENSE' ':!tests/MOVED.txt' \
			':!deploy/setup/words.txt' | sed "s/$/: write '$instead'/"
	done <deploy/setup/words.txt
}
complain "$(private_words)"

# One clock and one source of chance, which tests/sim replaces.
complain "$(tracked 'acme/*.[ch]' 'common/*.[ch]' | grep -vE '^common/(clock|random)\.c$' |
	xargs grep -nE '\b(time|clock_(get|nano)[a-z]+|gettimeofday|u?sleep|nanosleep|getrandom|l?rand(48|om)?|rand_r)\(' |
	sed 's/$/: use common\/clock.h or common\/random.h/')"

# Other folders get the command line as settings.
complain "$(tracked 'acme/*.[ch]' | grep -vE '^acme/(cmd/|config/|main\.c)' |
	xargs grep -n '"acme/config/arguments\.h"' |
	sed 's/$/: only cmd, config and main know the command line/')"

mapfile -t scripts < <(tracked | xargs grep -lE -m 1 '^#!.*\b(ba)?sh$|^# shellcheck shell=')
[ ${#scripts[@]} = 0 ] || shellcheck --severity=warning "${scripts[@]}" || failed=1
mapfile -t scripts < <(tracked '*.py')
[ ${#scripts[@]} = 0 ] || "${PYTHON:-/usr/bin/python3}" -m pyflakes "${scripts[@]}" || failed=1

exit "$failed"
