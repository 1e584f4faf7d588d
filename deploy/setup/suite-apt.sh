# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
#
# A private view of one of the distribution's suites, for the few things that
# the installed one does not have.  Sourced by build-wolfssl.sh, fetch-peers.sh
# and fetch-kernels.sh.
#
# Nothing of the system's own apt state is changed: the source list, the
# indexes and the caches all live in one directory of ours.  The address and
# the trust come from the machine's own apt configuration.

# suite_apt_init DIR SUITE TYPE: prepare DIR for TYPE (deb or deb-src) of SUITE.
suite_apt_init()
{
	suite_apt_dir=$1
	mkdir -p "$suite_apt_dir/lists/partial" \
		"$suite_apt_dir/cache/archives/partial" \
		"$suite_apt_dir/parts"

	mirror=$(apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(LABEL)' \
		'Created-By: Packages' |
		awk '$2 == "Debian" && $3 == "Debian" { print $1; exit }')
	if [ -z "$mirror" ]; then
		echo "setup: apt knows no Debian mirror; run 'apt-get update' first," \
			"or add one to /etc/apt/sources.list" >&2
		return 1
	fi
	keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	if [ ! -r "$keyring" ]; then
		echo "setup: $keyring is missing; run 'apt-get install" \
			"debian-archive-keyring'" >&2
		return 1
	fi
	echo "$3 [signed-by=$keyring] $mirror $2 main" \
		>"$suite_apt_dir/sources.list"
	suite_apt update -qq
}

# suite_apt ARGS...: apt-get that sees the suite prepared last, and nothing else.
suite_apt()
{
	apt-get -o Dir::Etc::SourceList="$suite_apt_dir/sources.list" \
		-o Dir::Etc::SourceParts="$suite_apt_dir/parts" \
		-o Dir::State::Lists="$suite_apt_dir/lists" \
		-o Dir::Cache="$suite_apt_dir/cache" \
		-o APT::Sandbox::User=root \
		-o Acquire::Languages=none \
		"$@"
}
