# SPDX-License-Identifier: GPL-3.0-or-later
#
# The layers of the table deploy/setup/layers:
#
#	awk -f layers.awk layers FILE...          prints each include that the table forbids
#	awk -v mode=below -f layers.awk layers    for make: "below_FOLDER:=FOLDER,..." a folder, which
#	                                          names the folder and all below it, the highest first

function folder_of(path)
{
	sub(/\/[^\/]*$/, "", path)
	return path
}

function complain(what)
{
	printf "%s:%d: %s\n", FILENAME, FNR, what
}

function is_among(path, list,    words, count, i)
{
	count = split(list, words, " ")
	for (i = 1; i <= count; i++)
		if (words[i] == path || words[i] == folder_of(path))
			return 1
	return 0
}

# Mark the folder and all that it may include, directly or not.
function mark(folder,    words, count, i)
{
	if (!(folder in may))
		folder = folder_of(folder)
	if (marked[folder]++)
		return
	count = split(may[folder], words, " ")
	for (i = 1; i <= count; i++)
		mark(words[i])
}

FILENAME == ARGV[1] && $1 == "folder" {
	folders[++folder_count] = $2
	may[$2] = $0
	sub(/^folder +[^ ]+ */, "", may[$2])
}

FILENAME == ARGV[1] && $1 == "library" {
	libraries[++library_count] = $2
	users[$2] = $0
	sub(/^library +[^ ]+ */, "", users[$2])
}

FILENAME == ARGV[1] { next }

FNR == 1 { folder = folder_of(FILENAME) }

# Tests may look at everything.
FILENAME ~ /^tests\// { next }

FNR == 1 && !(folder in may) { complain("the folder " folder " is not in the table deploy/setup/layers") }

/^#include "/ {
	split($0, parts, "\"")
	header = parts[2]
	if (header !~ /\//)
		complain("includes " header " without its folder")
	else if (folder_of(header) != folder && !is_among(header, may[folder]))
		complain(folder " must not include " header " (deploy/setup/layers)")
}

/^#include </ {
	split($0, parts, /[<>]/)
	for (i = 1; i <= library_count; i++)
		if (index(parts[2], libraries[i]) == 1 && !is_among(FILENAME, users[libraries[i]]))
			complain("must not use <" parts[2] ">, which only " users[libraries[i]] \
				 " may (deploy/setup/layers)")
}

END {
	if (mode != "below")
		exit
	for (n = 1; n <= folder_count; n++) {
		split("", marked)
		mark(folders[n])
		text = ""
		for (i = folder_count; i; i--)
			if (folders[i] in marked)
				text = text (text ? "," : "") folders[i]
		print "below_" folders[n] ":=" text
	}
}
