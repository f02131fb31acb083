//go:build warm

package main

import (
	_ "github.com/containerd/containerd/v2/core/metadata"
	_ "github.com/containerd/containerd/v2/core/remotes/docker"
	_ "github.com/containerd/containerd/v2/pkg/oci"
	_ "github.com/containerd/containerd/v2/plugins/content/local"
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/google/go-containerregistry/pkg/v1/remote"
	_ "github.com/google/nftables"
	_ "github.com/google/uuid"
	_ "github.com/golang-jwt/jwt/v5"
	_ "github.com/jmespath/go-jmespath"
	_ "github.com/moby/buildkit/client"
	_ "github.com/moby/buildkit/control"
	_ "github.com/moby/buildkit/frontend/dockerfile/builder"
	_ "github.com/moby/buildkit/worker/base"
	_ "github.com/moby/profiles/seccomp"
	_ "github.com/opencontainers/runc/libcontainer"
	_ "github.com/opencontainers/runc/libcontainer/nsenter"
	_ "github.com/pressly/goose/v3"
	_ "github.com/riverqueue/river"
	_ "github.com/riverqueue/river/riverdriver/riversqlite"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/spf13/cobra"
	_ "github.com/vishvananda/netlink"
	_ "github.com/vishvananda/netns"
	_ "golang.org/x/sync/errgroup"
	_ "modernc.org/sqlite"
	_ "github.com/Masterminds/sprig/v3"
	_ "go.yaml.in/yaml/v4"
	_ "gopkg.in/yaml.v3"
	_ "github.com/klauspost/compress/zstd"
	_ "github.com/spf13/pflag"
	_ "gopkg.in/yaml.v2"
	_ "mvdan.cc/sh/v3/expand"
	_ "mvdan.cc/sh/v3/syntax"
)

func main() {}
