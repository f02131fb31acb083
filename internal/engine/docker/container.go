package docker

import (
	"context"
	"path"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/acrux/acrux/internal/engine"
)

// containerOptions puts a command in the engine's terms, and makes the networks and
// volumes that it needs.
func (s *Scope) containerOptions(ctx context.Context, c engine.Command, image string) (client.ContainerCreateOptions, error) {
	mounts, err := s.mounts(ctx, c, image)
	if err != nil {
		return client.ContainerCreateOptions{}, err
	}
	mode, networking, err := s.connect(ctx, c)
	if err != nil {
		return client.ContainerCreateOptions{}, err
	}
	o := client.ContainerCreateOptions{
		Config: &container.Config{
			Image: image, Cmd: c.Args, Entrypoint: c.Entrypoint, Env: c.Env, WorkingDir: c.WorkingDir, User: c.User,
			Labels: s.names.labels(), AttachStdout: !c.Detach, AttachStderr: !c.Detach,
			AttachStdin: c.Stdin != nil, OpenStdin: c.Stdin != nil, StdinOnce: c.Stdin != nil,
		},
		HostConfig: &container.HostConfig{
			NetworkMode: mode, Mounts: mounts, Privileged: c.Privileged, ExtraHosts: c.Hosts,
			Resources: container.Resources{NanoCPUs: int64(c.CPUs * 1e9), Memory: c.Memory},
			// What a step prints goes to the run's log, where it is masked, and nowhere else.
			LogConfig: container.LogConfig{Type: "none"},
		},
		NetworkingConfig: networking,
	}
	if c.Name != "" {
		o.Name = s.names.container(c.Name)
	}
	if err := s.publish(c.Ports, o.Config, o.HostConfig); err != nil {
		return client.ContainerCreateOptions{}, err
	}
	return o, apply(c.Options, o.Config, o.HostConfig)
}

// publish publishes ports on this machine.
func (s *Scope) publish(entries []string, config *container.Config, host *container.HostConfig) error {
	ports, err := engine.ParsePorts(entries)
	if err != nil {
		return daemonError("%v", err)
	}
	config.ExposedPorts, host.PortBindings = network.PortSet{}, network.PortMap{}
	for _, p := range ports {
		inside, _ := network.PortFrom(p.Container, network.IPProtocol(p.Network)) // it was read as one
		binding := network.PortBinding{HostIP: s.executor.options.PublishAt}
		if p.At.Port() != 0 {
			binding.HostPort = strconv.Itoa(int(p.At.Port()))
		}
		config.ExposedPorts[inside] = struct{}{}
		host.PortBindings[inside] = append(host.PortBindings[inside], binding)
	}
	return nil
}

// mounts are the run's directories and the command's volumes.
func (s *Scope) mounts(ctx context.Context, c engine.Command, image string) ([]mount.Mount, error) {
	var mounts []mount.Mount
	for _, dir := range []struct{ source, target string }{{s.spec.Workspace, "/workspace"}, {s.spec.Home, "/acb/home"}} {
		if dir.source != "" {
			mounts = append(mounts, mount.Mount{Type: mount.TypeBind, Source: dir.source, Target: dir.target})
		}
	}
	for _, m := range c.Mounts {
		if !path.IsAbs(m.Path) {
			return nil, daemonError("invalid mount path: '%s' mount path must be absolute", m.Path)
		}
		mounted, err := s.named(ctx, m, image)
		if err != nil {
			return nil, err
		}
		mounts = append(mounts, mounted)
	}
	return mounts, nil
}

// connect says which network a container is on, and by which name it is known there.
func (s *Scope) connect(ctx context.Context, c engine.Command) (container.NetworkMode, *network.NetworkingConfig, error) {
	if other, ok := strings.CutPrefix(c.Network, "container:"); ok {
		return container.NetworkMode("container:" + s.names.container(other)), nil, nil
	}
	if c.Network == "host" || c.Network == "none" {
		return container.NetworkMode(c.Network), nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.networks[c.Network] {
		if c.Network != "" {
			return "", nil, daemonError("network %s not found", c.Network)
		}
		// The one without names: the engine's own is shared with other people.
		if err := s.addNetwork(ctx, engine.Network{}); err != nil {
			return "", nil, err
		}
	}
	name := s.names.network(c.Network)
	endpoint := &network.EndpointSettings{}
	if c.Network != "" && c.Name != "" {
		endpoint.Aliases = append([]string{c.Name}, c.Aliases...)
	}
	return container.NetworkMode(name), &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{name: endpoint}}, nil
}
