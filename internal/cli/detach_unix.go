//go:build unix

package cli

import (
	"os/exec"
	"syscall"
)

// alone lets a program live on without the terminal that it was started from.
func alone(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
