package compat_test

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/acrux/acrux/test/fixture"
)

// newestVariable names the folder that tools/newest-az.sh makes: a system of its own, since
// the newest Azure CLI needs a newer Python.
const newestVariable = "ACRUX_NEWEST_AZ"

// azImports repairs how the package finds its libraries.
//
//go:embed testdata/az_imports.py
var azImports string

// needNewest skips a test where there is no newest Azure CLI, and returns its folder.
func needNewest(t testing.TB) string {
	t.Helper()
	need(t)
	root := os.Getenv(newestVariable)
	if root == "" {
		t.Skip("the newest Azure CLI is not there: tools/newest-az.sh DIR makes a folder of it, and " +
			newestVariable + "=DIR says where")
	}
	if _, err := os.Stat(filepath.Join(root, azProgram)); err != nil {
		t.Fatalf("%s: %v; tools/newest-az.sh makes it", newestVariable, err)
	}
	check(t, furnishNewest(root))
	return root
}

// furnishNewest lets the programs of the folder see the devices, the names and the files of
// the tests. The mounts end with the namespace.
func furnishNewest(root string) error {
	furnished.Do(func() { furnishedError = mountInto(root) })
	return furnishedError
}

var (
	furnished      sync.Once
	furnishedError error
)

func mountInto(root string) error {
	for _, path := range []string{"/proc", "/dev", os.TempDir()} {
		at := filepath.Join(root, path)
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount(path, at, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
			return fmt.Errorf("showing %s below %s: %w", path, root, err)
		}
	}
	dir, err := os.MkdirTemp("", "names")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // what is mounted stays
	for _, path := range []string{"/etc/hosts", "/etc/resolv.conf"} {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := cover(dir, filepath.Join(root, path), string(text)); err != nil {
			return err
		}
	}
	return nil
}

// newestAz is the command that runs a program of the folder.
func newestAz(t testing.TB, root string, args ...string) *exec.Cmd {
	t.Helper()
	imports := t.TempDir()
	check(t, os.WriteFile(filepath.Join(imports, "sitecustomize.py"), []byte(azImports), 0o644))
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	cmd.Env = append(append(os.Environ(), azEnviron()...), "PYTHONPATH="+imports)
	return cmd
}

// startNewest runs the process that runs commands of the newest Azure CLI.
func startNewest(t testing.TB) azClient {
	t.Helper()
	root := needNewest(t)
	version := must[[]byte](t)(newestAz(t, root, "/usr/bin/dpkg-query", "-W", "-f", "${Version}", "azure-cli").Output())
	release, _, _ := strings.Cut(string(version), "-")
	return azClient{release: release, socket: serveAz(t, newestAz(t, root, "/usr/bin/python3", "-c", azServer))}
}

// setUp is that of scripts against one server.
func (c azClient) setUp(t testing.TB, w world, s *fixture.Server) func(*testscript.Env) error {
	config := c.signIn(t, s)
	return func(env *testscript.Env) error {
		w.describe(env, s)
		env.Setenv(azSocket, c.socket)
		return useAz(env, s, config)
	}
}

// The newest Azure CLI does its everyday work, and gets what it asks for or a refusal by name.
func TestNewestAzureCLI(t *testing.T) {
	t.Parallel()
	az := startNewest(t)
	w := newWorld(t)
	s := w.serve(t, "")
	testscript.Run(t, testscript.Params{Dir: "testdata/newest", RequireExplicitExec: true, Cmds: commands(),
		Setup: az.setUp(t, w, s)})
}

// It goes through the scripts of the tutorial and its refusals. Each has a server.
func TestTutorialWithNewestAzureCLI(t *testing.T) {
	t.Parallel()
	az := startNewest(t)
	testscript.Run(t, testscript.Params{Files: tutorials(), RequireExplicitExec: true, Cmds: commands(),
		Setup: func(env *testscript.Env) error {
			t := env.T().(testing.TB)
			w := newWorld(t)
			s := w.serve(t, fixture.Aliases("myResourceGroup", "mybaseregistry"))
			return az.setUp(t, w, s)(env)
		}})
}
