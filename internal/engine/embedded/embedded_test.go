//go:build linux && cgo

package embedded

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/egress"
	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/internal/sandbox/container"
)

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("running containers needs root")
	}
	t.Skip("running containers needs root")
}

// openIn opens an executor in root and checks, after it was closed, that nothing is
// left of it.
func openIn(t testing.TB, root string) *Executor {
	t.Helper()
	needRoot(t)
	e, err := Open(t.Context(), Options{Root: root, Dialer: loopback()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("closing the executor: %v", err)
		}
		enginetest.NoLeaks(t, marks(root)...)
	})
	return e
}

// loopback lets the test's registries be reached.
func loopback() *egress.Dialer {
	return &egress.Dialer{Policy: egress.Policy{Loopback: true}}
}

func marks(root string) []string {
	return []string{root, container.CgroupName(filepath.Join(root, "containers"))}
}

func TestSuite(t *testing.T) {
	needRoot(t)
	enginetest.RunSuite(t, func(t *testing.T) engine.Executor { return openIn(t, t.TempDir()) }, enginetest.NewFixtures(t))
}

func openScope(t testing.TB, e *Executor, id string) engine.Scope {
	t.Helper()
	s, err := e.Open(t.Context(), engine.RunSpec{ID: id, Workspace: t.TempDir(), Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the scope: %v", err)
		}
	})
	return s
}

func TestRootIsTakenOnce(t *testing.T) {
	root := t.TempDir()
	openIn(t, root)
	if second, err := Open(context.Background(), Options{Root: root}); err == nil {
		second.Close()
		t.Fatal("a second executor took the same directory")
	}
}

func TestSystemCallsAreFiltered(t *testing.T) {
	if !container.Seccomp {
		t.Skip("built without the tag seccomp")
	}
	s := openScope(t, openIn(t, t.TempDir()), "run1").(*Scope)
	base := enginetest.NewFixtures(t).Base
	var out bytes.Buffer
	if _, err := s.Command(t.Context(), engine.Command{Image: base, Args: []string{"grep", "Seccomp:", "/proc/self/status"}}, &out); err != nil {
		t.Fatal(err)
	}
	dockerfile := filepath.Join(s.spec.Workspace, "Dockerfile")
	if err := os.WriteFile(dockerfile, []byte("FROM "+base+"\nRUN grep Seccomp: /proc/self/status\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Build(t.Context(), engine.Build{ContextDir: s.spec.Workspace, Dockerfile: dockerfile}, &out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "Seccomp:\t2\n"); n != 2 {
		t.Errorf("%d of two containers are filtered:\n%s", n, out.String())
	}
}

func TestSymbolicLinksStayInTheWorkspace(t *testing.T) {
	e := openIn(t, t.TempDir())
	s := openScope(t, e, "run1").(*Scope)
	dir := s.spec.Workspace
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("FROM secret-of-the-machine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "Dockerfile")); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	result, err := s.Build(t.Context(), engine.Build{ContextDir: dir, Dockerfile: filepath.Join(dir, "Dockerfile")}, &out)
	if err != nil || result.OK || strings.Contains(out.String(), "secret-of") {
		t.Errorf("result %+v, error %v, output %s", result, err, out.String())
	}
}
