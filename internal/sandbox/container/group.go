//go:build linux && cgo

package container

import (
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
)

// Bounds are what containers may have together. Zero is no bound of that kind.
type Bounds struct {
	CPUs      float64
	Memory    int64 // bytes, with swap
	Processes int64 // and threads
}

// Group is a control group that containers of one owner are in, with bounds for all of them
// together. It is safe for concurrent use.
type Group struct {
	path    string // "" is nowhere: nothing is bounded
	manager cgroups.Manager
	runtime *Runtime

	// Of Balance alone.
	shares uint64
	kills  int            // by the kernel, for want of memory
	killed map[string]int // of that by container, where only containers are told of
}

// OpenGroup makes a control group; its name must be free and fit for a file. The caller
// closes it once its containers have ended.
func (r *Runtime) OpenGroup(name string, b Bounds) (*Group, error) {
	if r.rootless {
		return &Group{}, nil
	}
	g := &Group{path: path.Join("/", r.cgroup, name), runtime: r}
	resources := b.resources()
	var err error
	if g.manager, err = manager.New(&cgroups.Cgroup{Path: g.path, Resources: resources}); err != nil {
		return nil, fmt.Errorf("finding the machine's control groups: %w", err)
	}
	if err := g.manager.Apply(-1); err != nil { // nobody is in it but those below
		return nil, fmt.Errorf("making a control group: %w", err)
	}
	if err := g.manager.Set(resources); err != nil {
		return nil, errors.Join(fmt.Errorf("setting the bounds of a control group: %w", err), g.Close())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.groups[g] = true
	return g, nil
}

// resources are the bounds in the library's terms, as far as the kernel can keep them.
func (b Bounds) resources() *cgroups.Resources {
	r := &cgroups.Resources{SkipDevices: true}
	if controlled("memory") && b.Memory > 0 {
		r.Memory = b.Memory
		if swapControlled() {
			r.MemorySwap = b.Memory // of both together: nothing is swapped instead
		}
	}
	if controlled("pids") && b.Processes > 0 {
		r.PidsLimit = &b.Processes
	}
	if controlled("cpu") && b.CPUs > 0 {
		r.CpuQuota, r.CpuPeriod = int64(b.CPUs*cpuPeriod), cpuPeriod
	}
	return r
}

// CgroupPath is where a container's control group belongs, for its spec.
func (g *Group) CgroupPath(id string) string {
	if g.path == "" {
		return ""
	}
	return path.Join(g.path, id)
}

// Close removes the group.
func (g *Group) Close() error {
	if g == nil || g.manager == nil {
		return nil
	}
	g.runtime.mu.Lock()
	delete(g.runtime.groups, g)
	g.runtime.mu.Unlock()
	var err error
	for range 200 { // the kernel may need a moment after the last process
		if err = g.manager.Destroy(); err == nil {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("removing a control group: %w", err)
}
