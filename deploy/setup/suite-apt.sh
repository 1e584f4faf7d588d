# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
#
# A private view of another suite of the distribution, for the few packages that
# the installed suite lacks.  Sourced by build-wolfssl.sh, fetch-peers.sh
# and fetch-kernels.sh.
#
# It does not change the system's apt state: the source list, the indexes and the
# caches are in a separate directory.  The mirror's address and the keys come from
# the machine's apt configuration.

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

# suite_apt ARGS...: apt-get with the last prepared suite only.
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
