#!/usr/bin/env bash
# containerd's overlay snapshotter, github.com/containerd/containerd/v2 v2.4.2, and what a
# process leaves that is killed while it makes a snapshot: the directory, but no record.
#
# Guess: numbers of snapshots are not given twice, so such a directory is in nobody's way; at
#        least Cleanup removes it.
# Is:    the number was taken in the transaction that was lost. The next snapshot gets it again,
#        its directory is there, and Prepare fails with "file exists"; it takes the directory
#        away then, and the one after that succeeds. Cleanup helps before, except in a store
#        that has never had a snapshot: there it fails with "not found" and removes nothing.
#
# Seen on Linux 6.18, as root (the snapshotter tries an overlay mount):
#   empty store: Cleanup: bucket does not exist: not found
#   empty store: Prepare: file exists, again: ok
#   store with one: Prepare: file exists, again: ok
#   store with two: Cleanup: ok, then Prepare: ok
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat > go.mod <<'MOD'
module finding
go 1.25
require github.com/containerd/containerd/v2 v2.4.2
MOD
cat > main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
)

var ctx = context.Background()

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// said is an error without the paths of this machine.
func said(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, fs.ErrExist):
		return "file exists"
	}
	return err.Error()
}

func prepare(s snapshots.Snapshotter, key string) string {
	_, err := s.Prepare(ctx, key, "")
	return said(err)
}

func main() {
	root := os.Args[1]
	s, err := overlay.NewSnapshotter(root)
	must(err)
	leave := func(number string) { must(os.MkdirAll(filepath.Join(root, "snapshots", number, "fs"), 0o755)) }
	clean := s.(snapshots.Cleaner).Cleanup

	leave("1")
	fmt.Printf("empty store: Cleanup: %s\n", said(clean(ctx)))
	fmt.Printf("empty store: Prepare: %s, again: %s\n", prepare(s, "a"), prepare(s, "b"))
	leave("2")
	fmt.Printf("store with one: Prepare: %s, again: %s\n", prepare(s, "c"), prepare(s, "d"))
	leave("3")
	cleaned := said(clean(ctx))
	fmt.Printf("store with two: Cleanup: %s, then Prepare: %s\n", cleaned, prepare(s, "e"))
	must(s.Close())
}
GO
go mod tidy >/dev/null 2>&1
go build -o finding .
got=$(./finding "$dir/root")
echo "$got"
want='empty store: Cleanup: bucket does not exist: not found
empty store: Prepare: file exists, again: ok
store with one: Prepare: file exists, again: ok
store with two: Cleanup: ok, then Prepare: ok'
[ "$got" = "$want" ] || { echo "this has changed; wanted:"; echo "$want"; exit 1; }
