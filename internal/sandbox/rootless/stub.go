//go:build !linux || !cgo

package rootless

import "errors"

var errSystem = errors.New("steps are executed on Linux only")

// Inside reports whether this process was started by Run.
func Inside() bool { return false }

// Available says that Run cannot work here.
func Available() error { return errSystem }

// Run is for Linux only.
func Run([]string) (int, error) { return 0, errSystem }

// Child is for Linux only.
func Child() (int, bool) { return 0, false }
