// Package compat_test lets other people's clients work against whole servers, to keep
// us honest: the Azure CLI of Debian, the Azure SDK for Go, podman and skopeo.
//
// The tests run in namespaces of their own that have loopback and nothing else, with a
// name server that knows the installation's domain alone. So a client that asked
// somebody else would fail, and is found out.
package compat_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/acrux/acrux/internal/cli"
	"github.com/acrux/acrux/test/fixture"
)

// packages are Debian's packages of the clients.
const packages = "azure-cli podman skopeo"

func TestMain(m *testing.M) {
	testscript.Main(isolated{m}, map[string]func(){
		"acrux": func() { os.Exit(cli.Main(os.Args, os.Stdin, os.Stdout, os.Stderr)) },
		"az":    func() { os.Exit(runAz(os.Args[1:])) },
	})
}

// need skips a test where it cannot run, and fails it there if everything is supposed to
// be there.
func need(t testing.TB, programs ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("whole servers take longer than a short test may")
	}
	missing := ""
	if os.Geteuid() != 0 {
		missing = "the embedded engine needs root"
	}
	for _, program := range programs {
		if _, err := os.Stat(program); err != nil {
			missing = fmt.Sprintf("%s is missing; the clients are Debian's packages %s", program, packages)
		} else if program == azProgram && !azIsKnown() {
			missing = "the Azure CLI is another release than " + azRelease + ", whose faults are known here"
		}
	}
	if missing != "" && os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	if missing != "" {
		t.Skip(missing)
	}
}

// world is what a server finds around it: a registry that is docker.io to it, with
// library/node:15-alpine, and a web server with the git repository hello-world.git and
// files.
type world struct {
	upstream string // URL of the registry
	web      string // URL of the web server
	files    string // folder that is served below /files/
}

func newWorld(t testing.TB) world {
	t.Helper()
	upstream := httptest.NewServer(fixture.Upstream())
	t.Cleanup(upstream.Close)
	base := must[v1.Image](t)(fixture.BusyboxImage())
	check(t, fixture.Push(strings.TrimPrefix(upstream.URL, "http://"), "library/node:15-alpine", base))
	dir := t.TempDir()
	must[string](t)(fixture.GitRepository("../../examples/hello-world", filepath.Join(dir, "hello-world.git")))
	w := world{upstream: upstream.URL, files: t.TempDir()}
	mux := http.NewServeMux()
	mux.Handle("/files/", http.StripPrefix("/files/", http.FileServer(http.Dir(w.files))))
	mux.Handle("/", must[http.Handler](t)(fixture.Git(dir)))
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	w.web = web.URL
	return w
}

// serve runs a server with further lines of configuration.
func (w world) serve(t testing.TB, config string) *fixture.Server {
	t.Helper()
	config += fmt.Sprintf("\nregistryMirrors: {docker.io: %q}\nagent: {stepNetwork: none}\n", w.upstream)
	program := must[string](t)(exec.LookPath("acrux"))
	s, err := fixture.StartServer(program, filepath.Join(t.TempDir(), "data"), config, os.Environ())
	check(t, err)
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must returns a function that returns what it is given, and ends the test with an
// error.
func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
