//go:build !unix

package cli

import "os/exec"

// alone lets a program live on without the terminal that it was started from; there that
// needs nothing.
func alone(*exec.Cmd) {}
