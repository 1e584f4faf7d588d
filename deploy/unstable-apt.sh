# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
#
# A private view of the distribution's unstable suite, for the few things that
# the stable suite has too old.  Sourced by build-wolfssl.sh and fetch-peers.sh.
#
# Nothing of the system's own apt state is changed: the source list, the
# indexes and the caches all live in one directory of ours.  The address and
# the trust come from the machine's own apt configuration.

# unstable_apt_init DIR TYPE: prepare DIR for TYPE (deb or deb-src).
unstable_apt_init()
{
	unstable_apt_dir=$1
	mkdir -p "$unstable_apt_dir/lists/partial" \
		"$unstable_apt_dir/cache/archives/partial" \
		"$unstable_apt_dir/parts"

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
	echo "$2 [signed-by=$keyring] $mirror unstable main" \
		>"$unstable_apt_dir/sources.list"
	unstable_apt update -qq
}

# unstable_apt ARGS...: apt-get that sees the unstable suite and nothing else.
unstable_apt()
{
	apt-get -o Dir::Etc::SourceList="$unstable_apt_dir/sources.list" \
		-o Dir::Etc::SourceParts="$unstable_apt_dir/parts" \
		-o Dir::State::Lists="$unstable_apt_dir/lists" \
		-o Dir::Cache="$unstable_apt_dir/cache" \
		-o APT::Sandbox::User=root \
		-o Acquire::Languages=none \
		"$@"
}
