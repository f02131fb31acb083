#!/usr/bin/env bash
# Runs go test with the arguments given: a line for each package as it ends, then what failed
# with its output and, last of all, the names of that. Who reads the end of a long log finds them.
set -u
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
events=$(mktemp)
trap 'rm -f "$events"' EXIT
go tool -modfile="$tools/go.mod" gotestsum --format pkgname --format-hide-empty-pkg \
	--hide-summary=skipped --jsonfile "$events" -- "$@" && exit 0
code=$?
echo "failed:"
sed -n '/"Action":"fail"/{s/.*"Package":"\([^"]*\)","Test":"\([^"]*\)".*/  \1 \2/p;t;s/.*"Package":"\([^"]*\)".*/  \1/p}' \
	"$events" | sort -u
exit "$code"
