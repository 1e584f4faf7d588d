# SPDX-License-Identifier: GPL-3.0-or-later
#
# Completion of `sidestep` for bash.  It gets the verbs and options from the program itself, so the two
# cannot differ.

_sidestep_certificates()
{
	sidestep certificates --json 2>/dev/null |
		sed -n 's/^ *"name": "\([^"]*\)",\{0,1\}$/\1/p'
}

_sidestep()
{
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
	local verb=${COMP_WORDS[1]} words=

	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ] || { [ "$verb" = help ] && [ "$COMP_CWORD" = 2 ]; }; then
		words=$(sidestep help | sed -n 's/^  \([a-z_]*\) .*/\1/p')
		[ "$COMP_CWORD" = 2 ] || words="$words help"
	elif [ "$previous" = --key-type ]; then
		words="p256 p384 rsa2048 rsa3072 rsa4096"
	elif [ "$previous" = --server ] || [ "$previous" = --ca ]; then
		words="letsencrypt letsencrypt-staging zerossl google google-staging buypass buypass-staging
			ssl.com ssl.com-rsa actalis"
	elif [ "$previous" = --cert-name ]; then
		words=$(_sidestep_certificates)
	elif [[ $previous =~ ^--(cacert|eab-hmac-key-file|root)$ ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
	elif [[ $current = -* ]]; then
		words=$(sidestep help "$verb" | sed -n 's/^  .\{4\}\(--[a-z-]*\).*/\1/p')
	elif [[ $verb =~ ^(revoke|restore|delete|plan|certificates|reconfigure|pause|unpause|retry)$ ]]; then
		words=$(_sidestep_certificates)
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _sidestep sidestep
