// Package embedded is an engine.Executor that needs nothing but this process: it
// builds with BuildKit composed in it, runs containers on libcontainer, keeps images
// on containerd's stores and gives each run a network of its own.
//
// An Executor owns a directory. A run's Scope owns all that the run makes below it
// and in the kernel: names of images, containers, mounts, namespaces, control groups.
// Closing the scope removes them. What a killed process left is removed by the next
// Open, before anything else: containers and control groups, mounts, network
// namespaces, names and leases.
//
// It needs Linux, root and cgo; elsewhere Open says so.
package embedded
