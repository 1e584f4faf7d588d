#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Make a program's manual page: make.sh PROGRAM SECTION SUMMARY >PAGE
#
# Verbs and options come from the program's own table (`PROGRAM --help-man`), so that the page and
# --help cannot differ.  The rest of the page is in PROGRAM.SECTION.in beside this script.
set -eu

program=$1 section=$2 summary=$3
name=${program##*/}

cat <<END
.\" SPDX-License-Identifier: GPL-3.0-or-later
.Dd November 28, 2026
.Dt $(printf %s "$name" | tr '[:lower:]' '[:upper:]') $section
.Os
.Sh NAME
.Nm $name
.Nd $summary
.Sh DESCRIPTION
END
"$program" --help-man
if [ -f "$(dirname "$0")/$name.$section.in" ]; then
	cat "$(dirname "$0")/$name.$section.in"
fi
