//go:build linux && cgo

package container

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// asInit runs a script below this very program as the first process of a namespace.
func asInit(t *testing.T, script string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out := new(bytes.Buffer)
	cmd := &exec.Cmd{
		Path: program, Args: []string{initPath, "--", "sh", "-c", script}, Env: os.Environ(), Stdout: out, Stderr: out,
		SysProcAttr: &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID},
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

func TestReaper(t *testing.T) {
	if os.Geteuid() != 0 {
		skipOrFail(t)
	}
	for _, test := range []struct {
		name, script string
		code         int
		out          string
	}{
		{"code", "exit 7", 7, ""},
		{"signal", "kill -9 $$", 137, ""},
		{"not found", "exec no-such-program", 127, "not found"},
		// The orphan ends before its reaper does; nothing of it may be left then.
		{"orphans", "(sh -c 'exit 0' & echo $! > /proc/self/fd/1) | { read p; while kill -0 $p 2>/dev/null; do sleep 0.01; done; echo reaped; }", 0, "reaped\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd, out := asInit(t, test.script)
			if code := exitCode(cmd.Wait()); code != test.code || !strings.Contains(out.String(), test.out) {
				t.Errorf("code %d, printed %q, want %d and %q", code, out.String(), test.code, test.out)
			}
		})
	}
	t.Run("passes signals on", func(t *testing.T) {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer read.Close()
		program, _ := os.Executable()
		cmd := &exec.Cmd{Path: program, Args: []string{initPath, "--", "sh", "-c", "trap 'exit 3' TERM; echo ready; while true; do sleep 0.01; done"},
			Stdout: write, SysProcAttr: &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		write.Close()
		if _, err := read.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if code := exitCode(cmd.Wait()); code != 3 {
			t.Errorf("code %d, want 3", code)
		}
	})
}

// skipOrFail ends a test that needs root; where everything is to be tested, it fails.
func skipOrFail(t *testing.T) {
	if os.Getenv("CI") == "true" {
		t.Fatal("making a namespace needs root")
	}
	t.Skip("making a namespace needs root")
}
