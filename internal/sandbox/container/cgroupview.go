//go:build linux && cgo

package container

import (
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// ShowLimits lets a container see its control groups where programs look: Java, Node and Go
// choose heaps and threads by them, and without take the machine's memory and processors for
// their own. It is in a namespace of its own for that, whose root is the container's group, and
// changes nothing there unless it may. What the caller mounts at the same place lies on top.
func ShowLimits(spec *specs.Spec, writable bool) {
	isCgroup := func(m specs.Mount) bool { return m.Type == "cgroup" || m.Type == "cgroup2" }
	spec.Mounts = slices.DeleteFunc(spec.Mounts, isCgroup)
	access := "ro"
	if writable {
		access = "rw"
	}
	view := specs.Mount{
		Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup",
		Options: []string{"nosuid", "noexec", "nodev", "relatime", access},
	}
	sys := slices.IndexFunc(spec.Mounts, func(m specs.Mount) bool { return m.Destination == "/sys" })
	spec.Mounts = slices.Insert(spec.Mounts, sys+1, view)
	isCgroupNamespace := func(n specs.LinuxNamespace) bool { return n.Type == specs.CgroupNamespace }
	if !slices.ContainsFunc(spec.Linux.Namespaces, isCgroupNamespace) {
		spec.Linux.Namespaces = append(spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	}
}
