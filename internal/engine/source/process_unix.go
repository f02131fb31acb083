//go:build unix

package source

import (
	"os/exec"
	"syscall"
)

// endWithChildren makes the end of a command's context the end of all it started.
func endWithChildren(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
}
