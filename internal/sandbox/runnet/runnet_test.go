//go:build linux

package runnet

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acrux/acrux/internal/sandbox/userns"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("making network namespaces needs root")
	}
	t.Skip("making network namespaces needs root")
}

func openRouter(t *testing.T) (*Manager, *Router) {
	t.Helper()
	needRoot(t)
	m, err := NewManager(filepath.Join(t.TempDir(), "net"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.Open("run1", userns.IDs{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		mounts, _ := os.ReadFile("/proc/self/mountinfo")
		if strings.Contains(string(mounts), m.dir) {
			t.Errorf("mounts are left below %s", m.dir)
		}
	})
	return m, r
}

// reach tells whether a TCP connection can be made from inside a namespace. The
// socket is made by connect(2) on the locked thread: nothing leaves the namespace.
func reach(t *testing.T, namespace string, addr netip.AddrPort) bool {
	t.Helper()
	connected := false
	err := inside(namespace, func() error {
		connected = connect(addr) == nil
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return connected
}

func TestContainersReachTheRouter(t *testing.T) {
	_, r := openRouter(t)
	listener, err := r.Listen(netip.AddrPortFrom(MetadataAddr, 80))
	if err != nil {
		t.Fatal(err)
	}
	go http.Serve(listener, http.NotFoundHandler())
	n, err := r.AddNetwork(Options{Names: true, IPv6: true})
	if err != nil {
		t.Fatal(err)
	}
	a, err := join(n, Container{ID: "aaaaaaaaaaaa", Names: []string{"a"}, Hostname: "aaaa"})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if !reach(t, a.Namespace, netip.AddrPortFrom(MetadataAddr, 80)) {
		t.Error("the metadata address is not reachable from a container")
	}
	lone, err := r.Detached(Container{ID: "bbbbbbbbbbbb"})
	if err != nil {
		t.Fatal(err)
	}
	if err := attach(lone); err != nil {
		t.Fatal(err)
	}
	defer lone.Close()
	if reach(t, lone.Namespace, netip.AddrPortFrom(MetadataAddr, 80)) {
		t.Error("the metadata address is reachable without a network")
	}
}

func TestHostsFollowMembers(t *testing.T) {
	_, r := openRouter(t)
	n, err := r.AddNetwork(Options{Names: true})
	if err != nil {
		t.Fatal(err)
	}
	a, err := join(n, Container{ID: "aaaaaaaaaaaa", Names: []string{"a"}, Hosts: []string{"x:10.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	before, _ := os.Stat(a.HostsFile)
	b, err := join(n, Container{ID: "bbbbbbbbbbbb", Names: []string{"b"}})
	if err != nil {
		t.Fatal(err)
	}
	hosts := func() string { data, _ := os.ReadFile(a.HostsFile); return string(data) }
	if want := b.Addr.String() + "\tb\n"; !strings.Contains(hosts(), want) {
		t.Errorf("hosts file %q lacks %q", hosts(), want)
	}
	if !strings.Contains(hosts(), "10.0.0.1\tx\n") {
		t.Errorf("hosts file %q lacks the container's own entry", hosts())
	}
	if after, _ := os.Stat(a.HostsFile); !os.SameFile(before, after) {
		t.Error("the hosts file was replaced")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(hosts(), "\tb\n") {
		t.Errorf("hosts file %q names a container that left", hosts())
	}
}

func TestIsolatedNetwork(t *testing.T) {
	for _, isolated := range []bool{false, true} {
		_, r := openRouter(t)
		n, err := r.AddNetwork(Options{Isolated: isolated})
		if err != nil {
			t.Fatal(err)
		}
		a, err := join(n, Container{ID: "aaaaaaaaaaaa"})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		b, err := join(n, Container{ID: "bbbbbbbbbbbb"})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		addr := netip.AddrPortFrom(b.Addr, 8080)
		var listener net.Listener
		if err := inside(b.Namespace, func() (err error) {
			listener, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(addr))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		if got := reach(t, a.Namespace, addr); got == isolated {
			t.Errorf("isolated %v: reachable %v", isolated, got)
		}
	}
}

// Networks of a run without a way out are apart, whatever the machine does with packets. It
// fails without our doing on a machine that is a router, such as one with a Docker Engine.
func TestNetworksAreApart(t *testing.T) {
	_, r := openRouter(t)
	var ends [2]*Endpoint
	for i, id := range []string{"aaaaaaaaaaaa", "bbbbbbbbbbbb"} {
		n, err := r.AddNetwork(Options{})
		if err != nil {
			t.Fatal(err)
		}
		if ends[i], err = join(n, Container{ID: id}); err != nil {
			t.Fatal(err)
		}
		defer ends[i].Close()
	}
	at := netip.AddrPortFrom(ends[1].Addr, 8080)
	serveIn(t, ends[1].Namespace, at)
	if reach(t, ends[0].Namespace, at) {
		t.Error("a network of a run reaches another one")
	}
	if err := inside(r.Namespace(), func() error {
		if now, err := os.ReadFile(forwarding); err != nil || strings.TrimSpace(string(now)) != "0" {
			t.Errorf("a new router forwards packets: %s %v", now, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestCleanupRemovesWhatWasLeft(t *testing.T) {
	m, r := openRouter(t)
	n, err := r.AddNetwork(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := join(n, Container{ID: "aaaaaaaaaaaa"}); err != nil {
		t.Fatal(err)
	}
	if err := m.Cleanup(); err != nil {
		t.Fatal(err)
	}
	left, _ := os.ReadDir(m.dir)
	if len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}
