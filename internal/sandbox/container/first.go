//go:build linux && cgo

package container

import (
	"sync"
	"sync/atomic"

	"github.com/opencontainers/runc/libcontainer"
)

// first lets one container of this process start before all others. With it the library
// finds out how the machine names the files of control groups, and keeps that in
// variables of its own without a lock (opencontainers/cgroups v0.1.0, fs: blkio, cpuset).
var first struct {
	sync.Mutex
	started atomic.Bool
}

func start(c *libcontainer.Container, proc *libcontainer.Process) error {
	if first.started.Load() {
		return c.Start(proc)
	}
	first.Lock()
	defer first.Unlock()
	err := c.Start(proc)
	if err == nil {
		first.started.Store(true)
	}
	return err
}
