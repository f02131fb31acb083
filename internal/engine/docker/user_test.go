//go:build linux

package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/engine"
)

// someone is a user who is not root.
const someone = 12345

// asUser is the variable that makes this program one run of someone's.
const asUser = "ACRUX_TEST_RUN_AS_USER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(asUser); dir != "" {
		if err := runAsUser(dir, os.Args[1], os.Args[2]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// Whoever may use the socket needs no root: neither for a run, nor to remove what its steps
// wrote as root.
func testUser(t *testing.T, f *fixture) {
	socket := strings.TrimPrefix(f.host, "unix://")
	dir := filepath.Dir(socket)
	for path, mode := range map[string]fs.FileMode{dir: 0o755, socket: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	home, err := os.MkdirTemp("", "user") // the test's own directory is root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	program := filepath.Join(home, "program")
	copyProgram(t, program)
	if err := os.Chown(home, someone, someone); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, f.host, f.base)
	cmd.Env = append(os.Environ(), asUser+"="+home)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: someone, Gid: someone}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func copyProgram(t *testing.T, to string) {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o755); err != nil {
		t.Fatal(err)
	}
}

// runAsUser runs a step in directories below dir and removes them.
func runAsUser(dir, host, image string) (err error) {
	if os.Geteuid() != someone {
		return errors.New("this is not the user")
	}
	spec := engine.RunSpec{ID: "run", Workspace: filepath.Join(dir, "workspace"), Home: filepath.Join(dir, "home")}
	for _, d := range []string{spec.Workspace, spec.Home} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	ctx := context.Background()
	e, err := Open(ctx, Options{Root: filepath.Join(dir, "root"), Host: host, Dialer: &egress.Dialer{Policy: egress.Policy{Loopback: true}}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	s, err := e.Open(ctx, spec)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	script := []string{"sh", "-c", "mkdir -p /workspace/a/b /acb/home/c && touch /workspace/a/b/f /acb/home/c/f && chmod 700 /workspace/a"}
	result, err := s.Command(ctx, engine.Command{Image: image, Args: script}, &out)
	if err = errors.Join(err, s.Close()); err != nil || result.ExitCode != 0 {
		return fmt.Errorf("exit code %d, error %v\n%s", result.ExitCode, err, out.String())
	}
	return errors.Join(os.RemoveAll(spec.Workspace), os.RemoveAll(spec.Home))
}
