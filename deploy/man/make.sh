#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Make a program's manual page of what its help says, so that they cannot differ:
#   make.sh PROGRAM SECTION SUMMARY [verbs] >PAGE
# With "verbs" also of what `PROGRAM help VERB` says of each.
set -eu

program=$1 section=$2 summary=$3
shift 3
name=${program##*/}

# literal: standard input as it is.
literal()
{
	printf '.Bd -literal\n'
	sed -e 's/\\/\\e/g' -e "s/^\([.']\)/\\\\\&\1/" -e 's/-/\\-/g'
	printf '.Ed\n'
}

cat <<END
.\" SPDX-License-Identifier: GPL-3.0-or-later
.Dd November 26, 2026
.Dt $(printf %s "$name" | tr '[:lower:]' '[:upper:]') $section
.Os
.Sh NAME
.Nm $name
.Nd $summary
.Sh DESCRIPTION
END
"$program" --help | literal
verbs=
[ "${1:-}" != verbs ] || verbs=$("$program" help | sed -n 's/^  \([a-z_]*\) .*/\1/p')
for verb in $verbs; do
	printf '.Ss %s %s\n' "$name" "$verb"
	"$program" help "$verb" | tail -n +3 | literal
done
if [ -f "$(dirname "$0")/$name.$section.in" ]; then
	cat "$(dirname "$0")/$name.$section.in"
fi
