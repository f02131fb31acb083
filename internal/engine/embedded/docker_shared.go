//go:build linux && cgo

package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/acrux/acrux/internal/arm/problem"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/dockerapi"
)

// Networks implements dockerapi.Engine.
func (e dockerEngine) Networks() []dockerapi.Network {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []dockerapi.Network
	for name, n := range e.networks {
		if name != "" {
			v4, v6 := n.Prefixes()
			all = append(all, dockerapi.Network{Name: name, Subnet: v4, IPv6: v6})
		}
	}
	slices.SortFunc(all, func(a, b dockerapi.Network) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// CreateNetwork implements dockerapi.Engine.
func (e dockerEngine) CreateNetwork(ctx context.Context, network engine.Network) error {
	e.mu.Lock()
	taken := e.networks[network.Name] != nil
	e.mu.Unlock()
	if taken || slices.Contains([]string{"host", "none", "bridge", "default"}, network.Name) {
		return problem.New(problem.Conflict, "Exists", "network with name %s already exists", network.Name)
	}
	return e.Scope.CreateNetwork(ctx, network)
}

// RemoveNetwork implements dockerapi.Engine. The name is free again; what the network was
// made of stays until the run ends.
func (e dockerEngine) RemoveNetwork(name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if name == "" || e.networks[name] == nil {
		return problem.New(problem.NotFound, "NoSuchNetwork", "network %s not found", name)
	}
	for _, x := range e.boxes {
		if x.spec.Network == name && x.state != dockerapi.Exited {
			return problem.New(problem.Denied, "InUse", "error while removing network: network %s has active endpoints", name)
		}
	}
	delete(e.networks, name)
	return nil
}

// Volumes implements dockerapi.Engine.
func (e dockerEngine) Volumes() []dockerapi.Volume {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []dockerapi.Volume
	for name, v := range e.volumes {
		all = append(all, dockerapi.Volume{Name: name, Secret: v.secret})
	}
	slices.SortFunc(all, func(a, b dockerapi.Volume) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// CreateVolume implements dockerapi.Engine. One that is there already is the same one.
func (e dockerEngine) CreateVolume(name string) error {
	if !containerName.MatchString(name) {
		return problem.New(problem.Invalid, "BadVolume", "%q includes invalid characters for a local volume name", name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.volumes[name] != nil {
		return nil
	}
	_, err := e.makeVolume(name)
	return err
}

// RemoveVolume implements dockerapi.Engine.
func (e dockerEngine) RemoveVolume(name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := e.volumes[name]
	switch {
	case v == nil:
		return problem.New(problem.NotFound, "NoSuchVolume", "get %s: no such volume", name)
	case v.secret:
		return problem.New(problem.Conflict, "InUse", "remove %s: volume is in use: it is of the task file", name)
	}
	for _, x := range e.boxes {
		if slices.ContainsFunc(x.spec.Mounts, func(m engine.Mount) bool { return m.Volume == name }) {
			return problem.New(problem.Conflict, "InUse", "remove %s: volume is in use - [%s]", name, x.id)
		}
	}
	delete(e.volumes, name)
	if err := os.RemoveAll(v.dir); err != nil && !errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("removing volume %s: %w", name, err)
	}
	return nil
}
