//go:build linux && cgo

package container

import (
	"os"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const (
	// maxProcesses is how many processes and threads a container may have: more than any
	// build has needed, less than a machine has.
	maxProcesses = 4096
	// maxGroupProcesses is the same for all containers of a run.
	maxGroupProcesses = 4 * maxProcesses
	// oomScore makes the kernel, when the machine runs out of memory, choose containers
	// before whoever runs them.
	oomScore = 500
	// memoryParts is how containers without a limit of their own are kept from taking all
	// memory: they may have all but one of so many parts.
	memoryParts = 8
)

// DefaultBounds are those of a run when nobody has set any: what leaves the machine enough
// to go on.
func DefaultBounds() Bounds {
	memory := machineMemory()
	return Bounds{Memory: memory - memory/memoryParts, Processes: maxGroupProcesses}
}

// Unlimited names what the kernel cannot limit here: "cpu", "memory", "pids". Where that is
// so is for the machine's owner to change.
func Unlimited() (resources []string) {
	for _, name := range []string{"cpu", "memory", "pids"} {
		if !controlled(name) {
			resources = append(resources, name)
		}
	}
	return resources
}

// limit sets bounds where the spec has none, or larger ones than a container may have, so
// that a step which forks or grows without end ends itself and not the machine.
func limit(spec *specs.Spec) {
	setScore(spec)
	if spec.Linux == nil {
		return
	}
	if spec.Linux.Resources == nil {
		spec.Linux.Resources = &specs.LinuxResources{}
	}
	r := spec.Linux.Resources
	if controlled("pids") {
		if r.Pids == nil {
			r.Pids = &specs.LinuxPids{}
		}
		r.Pids.Limit = atMost(r.Pids.Limit, maxProcesses)
	}
	if most := DefaultBounds().Memory; controlled("memory") && most > 0 {
		if r.Memory == nil {
			r.Memory = &specs.LinuxMemory{}
		}
		limitMemory(r.Memory, most)
	}
}

// limitMemory bounds memory, and what may be swapped beside it.
func limitMemory(m *specs.LinuxMemory, most int64) {
	m.Limit = atMost(m.Limit, most)
	if m.Swap != nil {
		m.Swap = atMost(m.Swap, most)
	}
	if m.Reservation != nil {
		m.Reservation = atMost(m.Reservation, *m.Limit)
	}
}

// atMost is what was asked for, but no more than allowed. Nothing, and numbers below one,
// ask for all there is.
func atMost(asked *int64, allowed int64) *int64 {
	if asked != nil && *asked > 0 && *asked < allowed {
		return asked
	}
	return &allowed
}

// unlimited takes out of a spec what only root of the machine can have: control groups.
func unlimited(spec *specs.Spec) {
	setScore(spec)
	isControlGroups := func(m specs.Mount) bool { return m.Type == "cgroup" || m.Type == "cgroup2" }
	spec.Mounts = slices.DeleteFunc(spec.Mounts, isControlGroups)
	if spec.Linux != nil {
		spec.Linux.CgroupsPath, spec.Linux.Resources = "", nil
	}
}

func setScore(spec *specs.Spec) {
	if spec.Process.OOMScoreAdj == nil {
		score := oomScore
		spec.Process.OOMScoreAdj = &score
	}
}

// controlled reports whether the kernel can limit that resource here. Asking for a
// limit it cannot keep would fail the container.
func controlled(resource string) bool {
	if _, err := os.Stat("/sys/fs/cgroup/" + resource + "/cgroup.procs"); err == nil {
		return true // version 1
	}
	list, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	return err == nil && strings.Contains(" "+strings.TrimSpace(string(list))+" ", " "+resource+" ")
}

// swapControlled reports whether the kernel can limit memory and swap together. Version 2
// of control groups always can; version 1 if the machine was started so.
func swapControlled() bool {
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return true
	}
	_, err := os.Stat("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes")
	return err == nil
}

func machineMemory() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit)
}
