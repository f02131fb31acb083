package docker

import (
	"context"
	"slices"
	"strings"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"github.com/acrux/acrux/internal/engine"
)

// usual are the capabilities that the engine gives by itself.
var usual = []string{"CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
	"NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"}

// powers returns a capability that a command asks for and the engine does not give.
func powers(o engine.Options) (string, bool) {
	for _, name := range o.CapAdd {
		if full := strings.TrimPrefix(strings.ToUpper(name), "CAP_"); !slices.Contains(usual, full) {
			return full, true
		}
	}
	return "", false
}

// apply puts the settings that few steps have in the engine's terms.
func apply(o engine.Options, config *container.Config, host *container.HostConfig) error {
	config.Hostname, host.ReadonlyRootfs, host.ShmSize, host.GroupAdd = o.Hostname, o.ReadOnly, o.ShmSize, o.Groups
	host.CapAdd, host.CapDrop = o.CapAdd, o.CapDrop
	host.CPUShares, host.CpusetCpus = int64(o.CPUShares), o.CPUSet
	host.MemoryReservation, host.MemorySwap = o.Reservation, o.Swap
	if o.Init {
		host.Init = &o.Init
	}
	if o.Pids > 0 {
		host.PidsLimit = &o.Pids
	}
	if o.NoNewPrivileges {
		host.SecurityOpt = append(host.SecurityOpt, "no-new-privileges")
	}
	for _, entry := range o.Tmpfs {
		at, options, _ := strings.Cut(entry, ":")
		if host.Tmpfs == nil {
			host.Tmpfs = map[string]string{}
		}
		host.Tmpfs[at] = options
	}
	for _, entry := range o.Ulimits {
		limit, err := units.ParseUlimit(entry)
		if err != nil {
			return daemonError("%v", err)
		}
		host.Ulimits = append(host.Ulimits, limit)
	}
	return nil
}

// named is the mount of a volume that steps share by name, or of the run's directories at
// another place. The engine makes a volume when it is first mounted, with what the image
// has there.
func (s *Scope) named(ctx context.Context, m engine.Mount, image string) (mount.Mount, error) {
	switch m.Volume {
	case engine.WorkspaceVolume:
		return mount.Mount{Type: mount.TypeBind, Source: s.spec.Workspace, Target: m.Path, ReadOnly: m.ReadOnly}, nil
	case engine.HomeVolume:
		return mount.Mount{Type: mount.TypeBind, Source: s.spec.Home, Target: m.Path, ReadOnly: m.ReadOnly}, nil
	}
	s.mu.Lock()
	v := s.volumes[m.Volume]
	s.mu.Unlock()
	if v != nil {
		return v.mount(ctx, s, image, m.Path)
	}
	return mount.Mount{
		Type: mount.TypeVolume, Source: s.names.volume(m.Volume), Target: m.Path, ReadOnly: m.ReadOnly,
		VolumeOptions: &mount.VolumeOptions{Labels: s.names.labels()},
	}, nil
}
