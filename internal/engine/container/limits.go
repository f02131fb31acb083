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
	// oomScore makes the kernel, when the machine runs out of memory, choose containers
	// before whoever runs them.
	oomScore = 500
	// memoryParts is how a container without a limit of its own is kept from taking all
	// memory: it may have all but one of so many parts.
	memoryParts = 8
)

// limit sets bounds where the spec has none, so that a step which forks or grows
// without end ends itself and not the machine.
func limit(spec *specs.Spec) {
	setScore(spec)
	if spec.Linux == nil {
		return
	}
	if spec.Linux.Resources == nil {
		spec.Linux.Resources = &specs.LinuxResources{}
	}
	r := spec.Linux.Resources
	if r.Pids == nil && controlled("pids") {
		processes := int64(maxProcesses)
		r.Pids = &specs.LinuxPids{Limit: &processes}
	}
	if (r.Memory == nil || r.Memory.Limit == nil) && controlled("memory") {
		if bytes := machineMemory(); bytes > 0 {
			if r.Memory == nil {
				r.Memory = &specs.LinuxMemory{}
			}
			most := bytes - bytes/memoryParts
			r.Memory.Limit = &most
		}
	}
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

func machineMemory() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit)
}
