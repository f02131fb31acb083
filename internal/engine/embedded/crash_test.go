//go:build linux && cgo

package embedded

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/enginetest"
)

// TestChild is not a test: it is what TestKilledProcess runs and kills. It holds a run
// with a container, a volume and a build under way.
func TestChild(t *testing.T) {
	root, base := os.Getenv("ACRUX_TEST_ROOT"), os.Getenv("ACRUX_TEST_BASE")
	if root == "" {
		t.Skip("runs as a part of TestKilledProcess")
	}
	e, err := Open(t.Context(), Options{Root: root, Dialer: loopback()})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s, err := e.Open(t.Context(), engine.RunSpec{ID: "left", Workspace: dir, Home: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateVolume(t.Context(), "v", map[string][]byte{"key": []byte("secret")}); err != nil {
		t.Fatal(err)
	}
	c := engine.Command{Name: "server", Image: base, Detach: true, Args: []string{"sleep", "1000"}, Mounts: []engine.Mount{{Volume: "v", Path: "/v"}}}
	if result, err := s.Command(t.Context(), c, io.Discard); err != nil || result.ExitCode != 0 {
		t.Fatalf("result %+v, error %v", result, err)
	}
	if err := os.WriteFile(dir+"/Dockerfile", []byte("FROM "+base+"\nRUN echo build''ing; sleep 1000\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.Build(t.Context(), engine.Build{ContextDir: dir, Dockerfile: dir + "/Dockerfile"}, os.Stdout)
}

func TestKilledProcess(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	fixtures := enginetest.NewFixtures(t)
	child := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v")
	child.Env = append(os.Environ(), "ACRUX_TEST_ROOT="+root, "ACRUX_TEST_BASE="+fixtures.Base)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	building := false
	for !building && lines.Scan() {
		building = lines.Text() == "building"
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.Wait()
	if !building {
		t.Fatal("the child did not get as far as its build")
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(mounts), root) {
		t.Fatal("the child left nothing: the test tests nothing")
	}
	e := openIn(t, root)
	if _, err := os.Stat(e.path("runs", "left")); err == nil {
		t.Error("the directory of the run is left")
	}
	// Its ID and its names are free again, and the executor works.
	s := openScope(t, e, "left")
	if result, err := s.Command(t.Context(), engine.Command{Name: "server", Image: fixtures.Base, Args: []string{"true"}}, io.Discard); err != nil || result.ExitCode != 0 {
		t.Errorf("result %+v, error %v", result, err)
	}
}
