//go:build linux && cgo

package container

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"syscall"

	"golang.org/x/sys/unix"
)

// beReaper makes this process the first one of a container, if it was started as that:
// it runs what its arguments say, passes signals on, waits for whatever is left an
// orphan, and ends as its child did.
func beReaper() {
	if len(os.Args) < 3 || os.Args[0] != initPath || os.Args[1] != "--" {
		return
	}
	code, err := Reap(os.Args[2], os.Args[2:], os.Environ(), func() {})
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", path.Base(initPath), err)
		code = childCode(err)
	}
	os.Exit(code)
}

// Reap runs a program as the first process of a namespace has to: it passes signals on,
// waits for whatever is left an orphan, and returns the program's exit status once that
// has ended. It calls started once signals reach the program. An error says that it could not be
// started.
func Reap(program string, args, env []string, started func()) (code int, err error) {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	file, err := exec.LookPath(program)
	if err != nil {
		return 0, err
	}
	child, err := os.StartProcess(file, args, &os.ProcAttr{Env: env, Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		return 0, err
	}
	started()
	for s := range signals {
		switch s {
		case unix.SIGCHLD:
			if code, ended := reap(child.Pid); ended {
				return code, nil
			}
		case unix.SIGURG: // the Go runtime's own
		default:
			_ = unix.Kill(child.Pid, s.(syscall.Signal)) // fails only if it is just gone
		}
	}
	return 0, nil // the channel is never closed
}

// childCode is what a shell exits with if it cannot start a program.
func childCode(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return 127
	}
	return 126
}

// reap waits for all that have ended, and tells how the child did if it was among them.
func reap(child int) (code int, ended bool) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil || pid == 0:
			return code, ended
		case pid == child && status.Signaled():
			code, ended = 128+int(status.Signal()), true
		case pid == child && status.Exited():
			code, ended = status.ExitStatus(), true
		}
	}
}

// interpreted reports whether a program needs a loader and its libraries.
func interpreted(program string) (bool, error) {
	file, err := elf.Open(program)
	if err != nil {
		return false, err
	}
	defer file.Close()
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP {
			return true, nil
		}
	}
	return false, nil
}
