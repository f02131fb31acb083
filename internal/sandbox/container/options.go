//go:build linux && cgo

package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/cap"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/docker/go-units"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Options are the settings that few containers have. The fields are those of
// engine.Options.
type Options struct {
	Hostname        string
	Init            bool
	ReadOnly        bool
	NoNewPrivileges bool
	Tmpfs           []string
	ShmSize         int64
	Ulimits         []string
	CapAdd, CapDrop []string
	Groups          []string
	CPUSet          string
	CPUShares       uint64
	Pids            int64
	Reservation     int64
	Swap            int64
}

// Powers are the capabilities that are asked for and that a container does not have by
// itself. Names are checked.
func (o Options) Powers() ([]string, error) {
	if len(o.CapAdd)+len(o.CapDrop) == 0 {
		return nil, nil
	}
	given, err := usual()
	if err != nil {
		return nil, err
	}
	var more []string
	for _, name := range o.CapAdd {
		full, err := capability(name)
		if err != nil {
			return nil, err
		}
		if full == allCapabilities || !slices.Contains(given, full) {
			more = append(more, full)
		}
	}
	for _, name := range o.CapDrop {
		if _, err := capability(name); err != nil {
			return nil, err
		}
	}
	return more, nil
}

const allCapabilities = "ALL"

func capability(name string) (string, error) {
	full := strings.ToUpper(name)
	if full == allCapabilities {
		return full, nil
	}
	if !strings.HasPrefix(full, "CAP_") {
		full = "CAP_" + full
	}
	if !slices.Contains(cap.Known(), full) {
		return "", fmt.Errorf("invalid capability: %q", name)
	}
	return full, nil
}

// usual are the capabilities of every container: containerd's, which are docker's.
func usual() ([]string, error) {
	ctx := namespaces.WithNamespace(context.Background(), "acrux") // demanded, and of no effect here
	spec, err := oci.GenerateSpec(ctx, nil, &containers.Container{ID: "usual"})
	if err != nil {
		return nil, fmt.Errorf("finding the capabilities of containers: %w", err)
	}
	return spec.Process.Capabilities.Bounding, nil
}

// specOpts are what the options make of a spec that is otherwise done.
func (o Options) specOpts() []oci.SpecOpts {
	var opts []oci.SpecOpts
	add := func(wanted bool, opt oci.SpecOpts) {
		if wanted {
			opts = append(opts, opt)
		}
	}
	add(o.ReadOnly, oci.WithRootFSReadonly())
	add(o.NoNewPrivileges, oci.WithNoNewPrivileges)
	add(o.ShmSize > 0, oci.WithDevShmSize(o.ShmSize/1024))
	add(o.CPUSet != "", oci.WithCPUs(o.CPUSet))
	add(o.CPUShares > 0, oci.WithCPUShares(o.CPUShares))
	add(o.Pids > 0, oci.WithPidsLimit(o.Pids))
	add(len(o.Groups) > 0, oci.WithAppendAdditionalGroups(o.Groups...))
	return append(opts, o.capabilities, o.tmpfs, o.rlimits, o.memory, o.init)
}

// capabilities drops before it adds, so that "drop ALL, add one" leaves one.
func (o Options) capabilities(ctx context.Context, client oci.Client, c *containers.Container, s *oci.Spec) error {
	if len(o.CapAdd)+len(o.CapDrop) == 0 {
		return nil
	}
	have := slices.Clone(s.Process.Capabilities.Bounding)
	for _, name := range o.CapDrop {
		full, err := capability(name)
		if err != nil {
			return err
		}
		have = slices.DeleteFunc(have, func(one string) bool { return full == allCapabilities || one == full })
	}
	for _, name := range o.CapAdd {
		full, err := capability(name)
		switch {
		case err != nil:
			return err
		case full == allCapabilities:
			have = cap.Known()
		case !slices.Contains(have, full):
			have = append(have, full)
		}
	}
	return oci.WithCapabilities(have)(ctx, client, c, s)
}

// tmpfs mounts what lives in memory, by docker's defaults. Whoever made the options has
// checked them.
func (o Options) tmpfs(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	for _, entry := range o.Tmpfs {
		at, options, _ := strings.Cut(entry, ":")
		mount := specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: path.Clean(at), Options: []string{"noexec", "nosuid", "nodev"}}
		if options != "" {
			mount.Options = append(mount.Options, strings.Split(options, ",")...)
		}
		s.Mounts = append(s.Mounts, mount)
	}
	return nil
}

func (o Options) rlimits(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	for _, entry := range o.Ulimits {
		limit, err := units.ParseUlimit(entry)
		if err != nil {
			return err
		}
		s.Process.Rlimits = append(s.Process.Rlimits, specs.POSIXRlimit{
			Type: "RLIMIT_" + strings.ToUpper(limit.Name), Hard: uint64(limit.Hard), Soft: uint64(limit.Soft),
		})
	}
	return nil
}

func (o Options) memory(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	if o.Reservation == 0 && o.Swap == 0 {
		return nil
	}
	if s.Linux.Resources == nil {
		s.Linux.Resources = &specs.LinuxResources{}
	}
	if s.Linux.Resources.Memory == nil {
		s.Linux.Resources.Memory = &specs.LinuxMemory{}
	}
	memory := s.Linux.Resources.Memory
	if o.Reservation > 0 {
		memory.Reservation = &o.Reservation
	}
	if o.Swap != 0 {
		if memory.Limit == nil {
			return errors.New("you should always set the Memory limit when using Memoryswap limit")
		}
		memory.Swap = &o.Swap
	}
	return nil
}

// initPath is where a container sees this program as its first process, as docker has it.
const initPath = "/sbin/docker-init"

// init puts this program in front of the container's own.
func (o Options) init(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	if !o.Init {
		return nil
	}
	program, err := staticProgram()
	if err != nil {
		return fmt.Errorf("the option --init: %w", err)
	}
	s.Mounts = append(s.Mounts, specs.Mount{Type: "bind", Source: program, Destination: initPath, Options: []string{"bind", "ro"}})
	s.Process.Args = append([]string{initPath, "--"}, s.Process.Args...)
	return nil
}

// staticProgram is the file of this program, if it runs in a container that has none of
// our libraries.
func staticProgram() (string, error) {
	program, err := os.Executable()
	if err != nil {
		return "", err
	}
	if interpreted, err := interpreted(program); err != nil || interpreted {
		return "", errors.Join(errors.New("this program is not linked statically, so that containers could not run it"), err)
	}
	return program, nil
}
