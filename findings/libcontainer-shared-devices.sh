#!/usr/bin/env bash
# Library: github.com/opencontainers/runc v1.5.2, libcontainer/specconv.
#
# Guess: CreateLibcontainerConfig returns a configuration of the caller's own. Whoever puts a
# container into a user namespace may give the device nodes in it to the container's root.
#
# What it does: the device nodes that every container gets (/dev/null and its like) are pointers
# into one list of the package. Setting an owner changes them for all containers that the process
# has configured already and for all it will configure; the nodes of a container's own are its own.
#
# Output seen (2026-12-01, Go 1.26, linux/amd64):
#   first  /dev/null belongs to 100000, /dev/own to 100000
#   second /dev/null belongs to 100000, /dev/own to 0
#
# Exit status 0 as long as it is so.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >go.mod <<'MOD'
module finding

go 1.25

require (
	github.com/opencontainers/runc v1.5.2
	github.com/opencontainers/runtime-spec v1.3.0
)
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"

	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runc/libcontainer/specconv"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// configured is a container with a device of its own, as a runtime makes it from a bundle.
func configured(name string) *configs.Config {
	mode := os.FileMode(0o600)
	var root uint32
	spec := specconv.Example()
	spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/own", Type: "c", Major: 1, Minor: 3, FileMode: &mode, UID: &root, GID: &root}}
	config, err := specconv.CreateLibcontainerConfig(&specconv.CreateOpts{CgroupName: name, Spec: spec})
	if err != nil {
		panic(err)
	}
	return config
}

func owners(config *configs.Config) string {
	byPath := map[string]uint32{}
	for _, device := range config.Devices {
		byPath[device.Path] = device.Uid
	}
	return fmt.Sprintf("/dev/null belongs to %d, /dev/own to %d", byPath["/dev/null"], byPath["/dev/own"])
}

func main() {
	first := configured("first")
	for _, device := range first.Devices {
		device.Uid, device.Gid = 100000, 100000
	}
	fmt.Println("first ", owners(first))
	fmt.Println("second", owners(configured("second")))
}
GO
export GOFLAGS=-mod=mod GOWORK=off
go build -o finding . 2>build.log || { cat build.log; exit 1; }
./finding | tee out
diff out - <<'SEEN'
first  /dev/null belongs to 100000, /dev/own to 100000
second /dev/null belongs to 100000, /dev/own to 0
SEEN
