//go:build linux && cgo

package container

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Command is what a spec is built from: an image's configuration and what the
// caller wants otherwise.
type Command struct {
	ID         string
	Rootfs     string // mounted, absolute
	Image      ocispec.ImageConfig
	Args       []string
	Entrypoint []string // nil is the image's; one empty string clears it
	Env        []string // K=V
	WorkingDir string   // absolute; empty is the image's
	User       string   // empty is the image's
	Mounts     []specs.Mount
	NetworkNS  string // file of the network namespace; empty is a new, empty one
	CgroupPath string
	Privileged bool
	CPUs       float64 // 0 is no limit
	Memory     int64   // bytes; 0 is no limit
	Options    Options
}

// ErrNoCommand says that neither image nor caller named a program.
var ErrNoCommand = errors.New("no command specified")

// Arguments is the command line of the container: an entry point given by the
// caller takes the image's default arguments away with the image's entry point.
func (c Command) Arguments() []string {
	entrypoint, args := c.Image.Entrypoint, c.Args
	if len(args) == 0 && c.Entrypoint == nil {
		args = c.Image.Cmd
	}
	if c.Entrypoint != nil {
		entrypoint = c.Entrypoint
		if len(entrypoint) == 1 && entrypoint[0] == "" {
			entrypoint = nil
		}
	}
	return slices.Concat(entrypoint, args)
}

// cpuPeriod is the span over which a share of the processors is measured, in
// microseconds; docker's value.
const cpuPeriod = 100_000

// NewSpec builds the container's spec: docker's default capabilities, masked paths
// and seccomp profile, unless it is privileged.
func NewSpec(ctx context.Context, c Command) (*specs.Spec, error) {
	args := c.Arguments()
	if len(args) == 0 {
		return nil, ErrNoCommand
	}
	opts := []oci.SpecOpts{
		oci.WithRootFSPath(c.Rootfs),
		oci.WithProcessArgs(args...),
		oci.WithEnv(c.environment()),
		oci.WithProcessCwd(c.directory()),
		oci.WithHostname(c.hostname()),
		oci.WithMounts(c.Mounts),
		oci.WithCgroup(c.CgroupPath),
		// As docker does it: a program that changes its user, such as sudo, must work.
		oci.WithNewPrivileges,
		noFileLimit,
	}
	if user := c.user(); user != "" {
		opts = append(opts, oci.WithUser(user), oci.WithAdditionalGIDs(user))
	}
	if c.NetworkNS != "" {
		opts = append(opts, oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: c.NetworkNS}))
	}
	if c.CPUs > 0 {
		opts = append(opts, oci.WithCPUCFS(int64(c.CPUs*cpuPeriod), cpuPeriod))
	}
	if c.Memory > 0 {
		opts = append(opts, oci.WithMemoryLimit(uint64(c.Memory)), noSwap(c.Memory))
	}
	opts = append(opts, c.Options.specOpts()...)
	opts = append(opts, confinement(c.Privileged)...) // its seccomp profile follows the capabilities
	ctx = namespaces.WithNamespace(ctx, "acrux")      // demanded by GenerateSpec; the path above replaces its use
	spec, err := oci.GenerateSpec(ctx, nil, &containers.Container{ID: c.ID}, opts...)
	if err != nil {
		return nil, fmt.Errorf("building the container's spec: %w", err)
	}
	ShowLimits(spec, c.Privileged)
	return spec, nil
}

func confinement(privileged bool) []oci.SpecOpts {
	if privileged {
		return []oci.SpecOpts{oci.WithPrivileged, oci.WithHostDevices, oci.WithAllDevicesAllowed}
	}
	return []oci.SpecOpts{withSeccomp}
}

func (c Command) user() string {
	if c.User != "" {
		return c.User
	}
	return c.Image.User
}

func (c Command) directory() string {
	dir := c.WorkingDir
	if dir == "" {
		dir = c.Image.WorkingDir
	}
	return path.Join("/", dir)
}

// hostname is what docker gives: the first twelve digits of the ID.
func (c Command) hostname() string {
	if c.Options.Hostname != "" {
		return c.Options.Hostname
	}
	return c.ID[:min(12, len(c.ID))]
}

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment is the image's, overlaid by the caller's. WithEnv lets later entries
// win.
func (c Command) environment() []string {
	env := []string{defaultPath, "HOSTNAME=" + c.hostname()}
	for _, kv := range slices.Concat(c.Image.Env, c.Env) {
		if strings.Contains(kv, "=") {
			env = append(env, kv)
		}
	}
	return env
}

// noFileLimit drops the small limit of open files that containerd's spec starts
// from.
func noFileLimit(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	s.Process.Rlimits = nil
	return nil
}

// noSwap makes the memory limit one of memory and swap together, so that a
// container over it is killed and does not crawl.
func noSwap(limit int64) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		s.Linux.Resources.Memory.Swap = &limit
		return nil
	}
}
