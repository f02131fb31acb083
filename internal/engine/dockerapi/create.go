package dockerapi

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/signal"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/engine"
)

// createBody is what POST /containers/create takes, as far as it is offered.
type createBody struct {
	Hostname, Image, User, WorkingDir, StopSignal string
	StopTimeout                                   *int // seconds
	Tty, OpenStdin                                bool
	Env, Cmd                                      []string
	Entrypoint                                    []string
	Labels                                        map[string]string
	ExposedPorts, Volumes                         map[string]struct{}
	HostConfig                                    hostConfig
	NetworkingConfig                              struct {
		EndpointsConfig map[string]*struct{ Aliases []string }
	}
}

type hostConfig struct {
	Binds                                  []string
	Mounts                                 []mountConfig
	NetworkMode                            string
	PortBindings                           map[string][]struct{ HostIP, HostPort string }
	AutoRemove, Privileged, ReadonlyRootfs bool
	Init                                   *bool
	CapAdd, CapDrop, GroupAdd, ExtraHosts  []string
	SecurityOpt                            []string
	NanoCPUs, CPUShares                    int64
	CpusetCpus                             string
	Memory, MemoryReservation, MemorySwap  int64
	PidsLimit                              *int64
	ShmSize                                int64
	Tmpfs                                  map[string]string
	Ulimits                                []ulimit
}

type ulimit struct {
	Name       string
	Soft, Hard int64
}

// String is the limit as docker's client takes it.
func (u ulimit) String() string { return fmt.Sprintf("%s=%d:%d", u.Name, u.Soft, u.Hard) }

type mountConfig struct {
	Type, Source, Target string
	ReadOnly             bool
	TmpfsOptions         *struct {
		SizeBytes int64
		Mode      uint32
	}
}

// create makes a container.
func (h *Handler) create(w http.ResponseWriter, r *http.Request) error {
	var body createBody
	if err := containerShape.read(w, r, &body); err != nil {
		return err
	}
	if err := checkPlatform(r); err != nil {
		return err
	}
	spec, err := body.spec()
	if err != nil {
		return err
	}
	spec.Name = strings.TrimPrefix(r.URL.Query().Get("name"), "/")
	id, err := h.engine.Create(r.Context(), spec)
	if err != nil {
		return err
	}
	answer(w, http.StatusCreated, map[string]any{"Id": id, "Warnings": []string{}})
	return nil
}

// spec makes what the engine runs of the body.
func (b *createBody) spec() (Spec, error) {
	host := &b.HostConfig
	command := engine.Command{
		Image: b.Image, Args: b.Cmd, Entrypoint: b.Entrypoint, Env: withValues(b.Env), WorkingDir: b.WorkingDir, User: b.User,
		TTY: b.Tty, Privileged: host.Privileged, Memory: host.Memory, CPUs: float64(host.NanoCPUs) / 1e9, Hosts: host.ExtraHosts,
		Options: engine.Options{
			Hostname: b.Hostname, Init: host.Init != nil && *host.Init, ReadOnly: host.ReadonlyRootfs, ShmSize: host.ShmSize,
			CapAdd: host.CapAdd, CapDrop: host.CapDrop, Groups: host.GroupAdd, CPUSet: host.CpusetCpus, CPUShares: uint64(max(0, host.CPUShares)),
			Reservation: host.MemoryReservation, Swap: host.MemorySwap,
		},
	}
	if host.PidsLimit != nil && *host.PidsLimit > 0 {
		command.Options.Pids = *host.PidsLimit
	}
	for _, limit := range host.Ulimits {
		command.Options.Ulimits = append(command.Options.Ulimits, limit.String())
	}
	for _, at := range slices.Sorted(maps.Keys(host.Tmpfs)) {
		command.Options.Tmpfs = append(command.Options.Tmpfs, strings.TrimSuffix(at+":"+host.Tmpfs[at], ":"))
	}
	for port := range b.ExposedPorts {
		command.Expose = append(command.Expose, port)
	}
	for _, step := range []func(*engine.Command) error{b.bounds, b.network, b.mounts, b.ports, b.security} {
		if err := step(&command); err != nil {
			return Spec{}, err
		}
	}
	spec := Spec{Command: command, Labels: b.Labels, AutoRemove: host.AutoRemove, OpenStdin: b.OpenStdin,
		StopTimeout: b.StopTimeout}
	if b.StopSignal != "" {
		number, err := signal.ParseSignal(b.StopSignal)
		if err != nil {
			return Spec{}, problem.New(problem.Invalid, "BadSignal", "invalid signal: %s", b.StopSignal)
		}
		spec.StopSignal = int(number)
	}
	return spec, nil
}

func withValues(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool { return !strings.Contains(entry, "=") })
}

// network finds the network. Docker's own ones stand for none of the run's.
func (b *createBody) network(command *engine.Command) error {
	mode := b.HostConfig.NetworkMode
	if mode != "default" && mode != "bridge" {
		command.Network = mode
	}
	for name, endpoint := range b.NetworkingConfig.EndpointsConfig {
		if name != mode && !(name == "default" || name == "bridge") {
			return notOffered("a second network of a container")
		}
		if endpoint != nil {
			command.Aliases = append(command.Aliases, endpoint.Aliases...)
		}
	}
	return nil
}

// bounds refuses to take away what is bounded.
func (b *createBody) bounds(*engine.Command) error {
	host := &b.HostConfig
	if host.PidsLimit != nil && *host.PidsLimit < 0 {
		return notOffered("an unlimited number of processes (HostConfig.PidsLimit)")
	}
	for name, value := range map[string]int64{"NanoCpus": host.NanoCPUs, "CpuShares": host.CPUShares,
		"Memory": host.Memory, "MemoryReservation": host.MemoryReservation, "ShmSize": host.ShmSize} {
		if value < 0 {
			return problem.New(problem.Invalid, "BadLimit", "HostConfig.%s is negative", name)
		}
	}
	return nil
}

// bindModes are those of a bind that are carried out, and those that say nothing here: how
// labels of SELinux are set, and how far a Mac may lag behind.
var bindModes = map[string]bool{"": true, "rw": true, "ro": true, "z": true, "Z": true,
	"private": true, "rprivate": true, "consistent": true, "cached": true, "delegated": true}

// mounts finds the volumes among binds and mounts, and those that have a place alone.
func (b *createBody) mounts(command *engine.Command) error {
	for _, text := range b.HostConfig.Binds {
		source, target, _ := strings.Cut(text, ":")
		target, mode, _ := strings.Cut(target, ":")
		mount := engine.Mount{Volume: source, Path: target}
		for _, word := range strings.Split(mode, ",") {
			if !bindModes[word] {
				return notOffered("the mode " + word + " of a mount")
			}
			mount.ReadOnly = mount.ReadOnly || word == "ro"
		}
		command.Mounts = append(command.Mounts, mount)
	}
	for _, m := range b.HostConfig.Mounts {
		switch m.Type {
		case "volume", "bind":
			if m.Source == "" {
				m.Source = unnamed()
			}
			command.Mounts = append(command.Mounts, engine.Mount{Volume: m.Source, Path: m.Target, ReadOnly: m.ReadOnly})
		case "tmpfs":
			command.Options.Tmpfs = append(command.Options.Tmpfs, m.tmpfs())
		default:
			return notOffered("a mount of the type " + m.Type)
		}
	}
	for _, at := range slices.Sorted(maps.Keys(b.Volumes)) {
		taken := func(m engine.Mount) bool { return m.Path == at }
		if !slices.ContainsFunc(command.Mounts, taken) {
			command.Mounts = append(command.Mounts, engine.Mount{Volume: unnamed(), Path: at})
		}
	}
	return nil
}

// unnamed makes a name for a volume that was given none. It goes with the run.
func unnamed() string { return strings.ToLower(rand.Text()) }

// tmpfs is a file system in memory as --tmpfs writes it.
func (m mountConfig) tmpfs() string {
	var options []string
	if m.ReadOnly {
		options = append(options, "ro")
	}
	if m.TmpfsOptions != nil && m.TmpfsOptions.SizeBytes > 0 {
		options = append(options, "size="+strconv.FormatInt(m.TmpfsOptions.SizeBytes, 10))
	}
	if m.TmpfsOptions != nil && m.TmpfsOptions.Mode != 0 {
		options = append(options, fmt.Sprintf("mode=%o", m.TmpfsOptions.Mode))
	}
	return strings.TrimSuffix(m.Target+":"+strings.Join(options, ","), ":")
}

func (b *createBody) ports(command *engine.Command) error {
	for port, bindings := range b.HostConfig.PortBindings {
		for _, binding := range bindings {
			entry := port
			if binding.HostPort != "" || binding.HostIP != "" {
				entry = binding.HostPort + ":" + port
			}
			if binding.HostIP != "" {
				entry = "[" + binding.HostIP + "]:" + entry
			}
			command.Ports = append(command.Ports, entry)
		}
	}
	return nil
}

func (b *createBody) security(command *engine.Command) error {
	for _, option := range b.HostConfig.SecurityOpt {
		switch option {
		case "no-new-privileges", "no-new-privileges=true", "no-new-privileges:true":
			command.Options.NoNewPrivileges = true
		default:
			return notOffered("the security option " + option)
		}
	}
	return nil
}

// checkPlatform refuses images of another platform than this machine's, which is the one
// that all of a run are for.
func checkPlatform(r *http.Request) error {
	switch platform := r.URL.Query().Get("platform"); platform {
	case "", "linux", "linux/" + runtime.GOARCH:
		return nil
	default:
		return notOffered("the platform " + platform)
	}
}
