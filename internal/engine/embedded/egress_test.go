//go:build linux && cgo

package embedded

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/enginetest"
)

// TestEgress runs TestEgressChild in a network namespace of its own: there it may set
// rules and switch forwarding on without touching the machine.
func TestEgress(t *testing.T) {
	needRoot(t)
	enginetest.Alone(t, "TestEgressChild")
}

func TestEgressChild(t *testing.T) {
	enginetest.StartAlone(t)
	root := t.TempDir()
	reachOutside(t, root, outside(t))
	enginetest.NoLeaks(t, append(marks(root), "acx")...)
}

// reachOutside opens an executor in root whose steps and builds must reach an address,
// and must not reach the machine itself.
func reachOutside(t *testing.T, root, address string) {
	t.Helper()
	e, err := Open(t.Context(), Options{Root: root, Dialer: loopback(), Egress: true})
	if err != nil {
		t.Fatal(err)
	}
	fixtures := enginetest.NewFixtures(t)
	s := openScope(t, e, "run1").(*Scope)
	run := func(network, script string) (engine.CommandResult, string) {
		var out bytes.Buffer
		result, err := s.Command(t.Context(), engine.Command{Image: fixtures.Base, Network: network, Args: []string{"sh", "-c", script}}, &out)
		if err != nil {
			t.Error(err)
		}
		return result, out.String()
	}
	fetch := "wget -q -O - http://" + address
	for _, network := range []string{"", "host"} {
		if result, out := run(network, fetch); result.ExitCode != 0 || !strings.HasSuffix(out, "hello from outside") {
			t.Errorf("network %q: result %+v\n%s", network, result, out)
		}
	}
	_, port, _ := strings.Cut(fixtures.Public.Host, ":")
	if result, out := run("", "wget -T 2 -q -O - http://"+enginetest.MachineAt+":"+port+"/v2/"); result.ExitCode == 0 {
		t.Errorf("a step reaches the machine itself:\n%s", out)
	}
	dockerfile := s.spec.Workspace + "/Dockerfile"
	if err := os.WriteFile(dockerfile, []byte("FROM "+fixtures.Base+"\nRUN "+fetch+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	built, err := s.Build(t.Context(), engine.Build{ContextDir: s.spec.Workspace, Dockerfile: dockerfile}, &out)
	if err != nil || !built.OK {
		t.Errorf("result %+v, error %v\n%s", built, err, out.String())
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// outside is a web server on a machine that is not this one.
func outside(t *testing.T) string {
	t.Helper()
	greet := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello from outside")) })
	go http.Serve(enginetest.Outside(t), greet)
	return enginetest.OutsideAt
}
