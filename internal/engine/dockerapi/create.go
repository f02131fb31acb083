package dockerapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
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
	Tty, OpenStdin                                bool
	Env, Cmd                                      []string
	Entrypoint                                    []string
	Labels                                        map[string]string
	ExposedPorts                                  map[string]struct{}
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
	Ulimits                                []struct {
		Name       string
		Soft, Hard int64
	}
}

type mountConfig struct {
	Type, Source, Target string
	ReadOnly             bool
	TmpfsOptions         *struct{ SizeBytes int64 }
}

// What is understood, beside what createBody has: what says nothing that would have to be
// done.
var (
	knownConfig = words("Hostname Image User WorkingDir StopSignal Tty OpenStdin Env Cmd Entrypoint Labels ExposedPorts HostConfig NetworkingConfig " +
		"AttachStdin AttachStdout AttachStderr StdinOnce StopTimeout Volumes ArgsEscaped")
	knownHostConfig = words("Binds Mounts NetworkMode PortBindings AutoRemove Privileged ReadonlyRootfs Init CapAdd CapDrop GroupAdd ExtraHosts SecurityOpt " +
		"NanoCpus CpuShares CpusetCpus Memory MemoryReservation MemorySwap PidsLimit ShmSize Tmpfs Ulimits ConsoleSize")
)

func words(text string) map[string]bool {
	found := map[string]bool{}
	for word := range strings.FieldsSeq(text) {
		found[word] = true
	}
	return found
}

// create makes a container.
func (h *Handler) create(w http.ResponseWriter, r *http.Request) error {
	var raw json.RawMessage
	if err := decode(w, r, &raw); err != nil {
		return err
	}
	var body createBody
	if err := json.Unmarshal(raw, &body); err != nil {
		return problem.New(problem.Invalid, "BadBody", "the body of the request cannot be read: %v", err)
	}
	if err := checkSettings(raw); err != nil {
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

// checkSettings refuses settings that nothing here would carry out.
func checkSettings(raw json.RawMessage) error {
	var config map[string]json.RawMessage
	if err := json.Unmarshal(raw, &config); err != nil {
		return problem.New(problem.Invalid, "BadBody", "the body of the request cannot be read: %v", err)
	}
	if err := unknownSettings(config, knownConfig, ""); err != nil {
		return err
	}
	var host map[string]json.RawMessage
	if text := config["HostConfig"]; len(text) > 0 {
		if err := json.Unmarshal(text, &host); err != nil {
			return problem.New(problem.Invalid, "BadBody", "HostConfig cannot be read: %v", err)
		}
	}
	return unknownSettings(host, knownHostConfig, "HostConfig.")
}

func unknownSettings(settings map[string]json.RawMessage, known map[string]bool, prefix string) error {
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if !known[name] && !isDefault(name, settings[name]) {
			return notOffered("the setting " + prefix + name)
		}
	}
	return nil
}

// isDefault reports whether a value is what clients send for a setting that nobody made.
func isDefault(name string, raw json.RawMessage) bool {
	var value any
	if json.Unmarshal(raw, &value) != nil {
		return false
	}
	switch name {
	case "MemorySwappiness":
		return value == nil || value == float64(-1)
	case "RestartPolicy":
		policy, _ := value.(map[string]any)
		return policy["Name"] == nil || policy["Name"] == "" || policy["Name"] == "no"
	case "LogConfig":
		config, _ := value.(map[string]any)
		return config["Type"] == nil || config["Type"] == "" || config["Type"] == "json-file"
	case "CgroupnsMode":
		return value == nil || value == "" || value == "private"
	case "IpcMode":
		return value == nil || value == "" || value == "private"
	}
	return isZero(value)
}

func isZero(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case bool:
		return !v
	case float64:
		return v == 0
	case string:
		return v == "" || v == "default"
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, member := range v {
			if !isZero(member) {
				return false
			}
		}
		return true
	}
	return false
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
		command.Options.Ulimits = append(command.Options.Ulimits, fmt.Sprintf("%s=%d:%d", limit.Name, limit.Soft, limit.Hard))
	}
	for _, at := range slices.Sorted(maps.Keys(host.Tmpfs)) {
		command.Options.Tmpfs = append(command.Options.Tmpfs, strings.TrimSuffix(at+":"+host.Tmpfs[at], ":"))
	}
	for port := range b.ExposedPorts {
		command.Expose = append(command.Expose, port)
	}
	for _, step := range []func(*engine.Command) error{b.network, b.mounts, b.ports, b.security} {
		if err := step(&command); err != nil {
			return Spec{}, err
		}
	}
	spec := Spec{Command: command, Labels: b.Labels, AutoRemove: host.AutoRemove, OpenStdin: b.OpenStdin}
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

// mounts finds the volumes among binds and mounts.
func (b *createBody) mounts(command *engine.Command) error {
	for _, bind := range b.HostConfig.Binds {
		source, target, _ := strings.Cut(bind, ":")
		target, mode, _ := strings.Cut(target, ":")
		command.Mounts = append(command.Mounts, engine.Mount{Volume: source, Path: target, ReadOnly: slices.Contains(strings.Split(mode, ","), "ro")})
	}
	for _, m := range b.HostConfig.Mounts {
		switch m.Type {
		case "volume", "bind":
			if m.Source != "" {
				command.Mounts = append(command.Mounts, engine.Mount{Volume: m.Source, Path: m.Target, ReadOnly: m.ReadOnly})
			}
		case "tmpfs":
			entry := m.Target
			if m.TmpfsOptions != nil && m.TmpfsOptions.SizeBytes > 0 {
				entry += ":size=" + strconv.FormatInt(m.TmpfsOptions.SizeBytes, 10)
			}
			command.Options.Tmpfs = append(command.Options.Tmpfs, entry)
		default:
			return notOffered("a mount of the type " + m.Type)
		}
	}
	return nil
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
