//go:build linux && cgo

package embedded

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/acrux/acrux/internal/engine"
	"github.com/acrux/acrux/internal/engine/enginetest"
	"github.com/acrux/acrux/internal/engine/runnet"
	"github.com/acrux/acrux/internal/engine/userns"
)

// TestEgress runs TestEgressChild in a network namespace of its own: there it may set
// rules and switch forwarding on without touching the machine.
func TestEgress(t *testing.T) {
	needRoot(t)
	child := exec.Command(os.Args[0], "-test.run=^TestEgressChild$", "-test.v")
	child.Env = append(os.Environ(), "ACRUX_TEST_EGRESS=yes")
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestEgressChild(t *testing.T) {
	if os.Getenv("ACRUX_TEST_EGRESS") == "" {
		t.Skip("runs as a part of TestEgress")
	}
	alone(t)
	root := t.TempDir()
	reachOutside(t, root, outside(t))
	enginetest.NoLeaks(t, append(marks(root), "acx")...)
}

// alone gets a namespace going that this process alone is in.
func alone(t *testing.T) {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}
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
	if result, out := run("", "wget -T 2 -q -O - http://198.51.100.1:"+port+"/v2/"); result.ExitCode == 0 {
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

// outside is a web server on a machine that is not this one, played by a namespace.
func outside(t *testing.T) string {
	t.Helper()
	m, err := runnet.NewManager(filepath.Join(t.TempDir(), "net"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.Open("outside", userns.IDs{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	ns, err := netns.GetFromPath(r.Namespace())
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "lan0"
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNamespace = "lan0", netlink.NsFd(ns)
	if err := netlink.LinkAdd(veth); err != nil {
		t.Fatal(err)
	}
	near, err := netlink.NewHandle()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := netlink.NewHandleAt(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	for handle, text := range map[*netlink.Handle]string{near: "198.51.100.1/24", far: "198.51.100.2/24"} {
		addr, err := netlink.ParseAddr(text)
		if err != nil {
			t.Fatal(err)
		}
		link, err := handle.LinkByName("lan0")
		if err != nil {
			t.Fatal(err)
		}
		if err := handle.AddrAdd(link, addr); err != nil {
			t.Fatal(err)
		}
		if err := handle.LinkSetUp(link); err != nil {
			t.Fatal(err)
		}
	}
	at := netip.MustParseAddrPort("198.51.100.2:8080")
	listener, err := r.Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello from outside")) }))
	return at.String()
}
