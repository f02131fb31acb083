//go:build !linux

package docker

// memory is a directory whose files are kept in memory, and seen by the engine: there is
// none where the engine is in a virtual machine.
func memory() string { return "" }
