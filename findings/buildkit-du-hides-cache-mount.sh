#!/usr/bin/env bash
# Program: BuildKit v0.34.2 (buildkitd, buildctl) with runc v1.5.2.
#
# Guess: `buildctl du` only looks. A RUN --mount=type=cache that starts meanwhile gets the cache
# that an earlier build filled.
#
# What it does: to know the size of a record that changed, du holds a reference to it. A cache
# mount of the default sharing mode that is held so counts as taken, by somebody who does not
# share it; the build does not wait and does not fail, but gets a new, empty cache mount. A later
# build finds the old one again, or the new one: there are two now, with one name. Collection of
# garbage measures records in the same way. The larger the cache, the longer du holds it.
#
# Output seen (2026-12-01, Debian 12, Linux 6.18, native snapshotter, 100,000 files; as root):
#   build 1, alone:          100000 files
#   build 2, beside du:      0 files
#   build 3, alone:          0 files
#   cache mounts with this name: 2
#
# Exit status 0 as long as some build in ten beside du finds nothing. Needs root, Go,
# gcc and libseccomp-dev.
set -euo pipefail
dir=$(mktemp -d)
daemon=
trap '[ -z "$daemon" ] || { kill "$daemon"; wait "$daemon" || true; }; rm -rf "$dir"' EXIT
cd "$dir"
export GOFLAGS=-mod=mod GOWORK=off

cat >go.mod <<'MOD'
module finding

go 1.25

require (
	github.com/moby/buildkit v0.34.2
	github.com/opencontainers/runc v1.5.2
)
MOD
mkdir bin context files
go build -tags seccomp -o bin/ github.com/moby/buildkit/cmd/buildkitd github.com/moby/buildkit/cmd/buildctl github.com/opencontainers/runc 2>build.log ||
  { cat build.log; exit 1; }

# The image's one program: files DIR N makes N files, files DIR counts them.
cat >files/main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"strconv"
)

func main() {
	if len(os.Args) > 2 {
		n, _ := strconv.Atoi(os.Args[2])
		for i := range n {
			if err := os.WriteFile(os.Args[1]+"/"+strconv.Itoa(i), nil, 0o644); err != nil {
				panic(err)
			}
		}
	}
	list, err := os.ReadDir(os.Args[1])
	if err != nil {
		panic(err)
	}
	fmt.Printf("found=%d\n", len(list))
}
GO
CGO_ENABLED=0 go build -o context/files ./files
cat >context/Dockerfile <<'DOCKERFILE'
FROM scratch
COPY files /files
ARG BUILD
RUN --mount=type=cache,target=/cache ["/files", "/cache"]
DOCKERFILE
sed 's|"/cache"\]|"/cache", "100000"]|' context/Dockerfile >context/Dockerfile.fill

PATH=$PWD/bin:$PATH buildkitd --addr "unix://$dir/socket" --root "$dir/root" --oci-worker-snapshotter=native \
  --oci-worker-net=host --containerd-worker=false >buildkitd.log 2>&1 &
daemon=$!
ctl() { bin/buildctl --addr "unix://$dir/socket" "$@"; }
for _ in $(seq 100); do ctl du >/dev/null 2>&1 && break || sleep 0.1; done

build() { # NUMBER DOCKERFILE: prints how many files it found
  ctl build --frontend dockerfile.v0 --local context=context --local dockerfile=context --opt "filename=$2" \
    --opt "build-arg:BUILD=$1" --opt force-network-mode=none --progress=plain >"log.$1" 2>&1 || cat "log.$1" >&2
  sed -n 's/.* found=//p' "log.$1" | tail -n 1
}

build 0 Dockerfile.fill >/dev/null
for n in $(seq 1 3 30); do
  alone=$(build $n Dockerfile)
  ctl du >/dev/null & du=$!
  beside=$(build $((n + 1)) Dockerfile)
  wait $du
  [ "$beside" = 0 ] && break
done
after=$(build $((n + 2)) Dockerfile)
echo "build 1, alone:          $alone files"
echo "build 2, beside du:      $beside files"
echo "build 3, alone:          $after files"
echo "cache mounts with this name: $(ctl du -v | grep -c 'cached mount /cache')"
[ "$alone" = 100000 ] && [ "$beside" = 0 ]
